"""The report in a real browser: it draws, its script runs without an error, and it asks nothing from anywhere.

Chromium is large, so this runs where /usr/bin/chromium is there already and says so where it is not; what can be known
without a browser stands in ``test_reports_html.py`` and runs everywhere.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path

import pytest

from chaos.evidence import write_evidence
from tests.toolkit import sample_outcomes

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
)
PROBE = """
<script>
const told = {};
window.addEventListener("error", (event) => { told.error = event.message; });
document.addEventListener("securitypolicyviolation", (event) => { told.refused = event.blockedURI; });
window.addEventListener("load", () => {
  const figure = document.querySelector(".timeline");
  const press = (key) => figure.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const detail = () => figure.querySelector(".detail").textContent;
  press("Home");
  told.first = detail();
  press("ArrowRight");
  told.second = detail();
  press("End");
  told.last = detail();
  told.looked = figure.parentElement.querySelectorAll(".looks .now").length;
  press("+");
  told.zoomed = figure.querySelector(".stage").style.width;
  told.cursor = figure.querySelectorAll(".cursor").length;
  const bars = [...document.querySelectorAll("#broken .bar rect")];
  told.bars = bars.filter((bar) => bar.getBoundingClientRect().width > 0).length;
  told.wide = document.documentElement.scrollWidth <= window.innerWidth;
  const button = document.querySelector(".to-copy");
  told.copy = !button.hidden && button.dataset.copy;
  document.getElementById("theme").click();
  told.theme = document.documentElement.dataset.theme;
  told.requests = performance.getEntriesByType("resource").length;
  document.title = JSON.stringify(told);
});
</script>
"""


@pytest.fixture(scope="module")
def browser() -> Path:
    if not CHROMIUM.exists():
        pytest.skip("not available here: a browser; apt install chromium")
    return CHROMIUM


def rendered(browser: Path, page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(browser), *FLAGS, f"--user-data-dir={folder}", "--window-size=1280,900", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_the_page_draws_walks_zooms_copies_and_asks_for_nothing(browser: Path, tmp_path: Path) -> None:
    write_evidence(sample_outcomes.red(), tmp_path)
    page = tmp_path / "report.html"
    page.write_text(page.read_text(encoding="utf-8").replace("</head>", f"{PROBE}</head>"), encoding="utf-8")
    found = rendered(browser, page, tmp_path / "profile")
    title = re.search(r"<title>(.*?)</title>", found.stdout, re.DOTALL)
    assert title, found.stderr
    told = json.loads(html.unescape(title[1]))
    assert (told.get("error"), told.get("refused"), told["requests"]) == (None, None, 0)
    assert [told["first"][:2], told["second"][:2]] == ["1/", "2/"]
    assert told["last"] not in (told["first"], told["second"])
    assert (told["looked"], told["cursor"], told["zoomed"]) == (1, 1, "160%")
    assert (told["bars"] > 4, told["wide"], told["theme"]) == (True, True, "dark")
    assert told["copy"] == "pywats-chaos run C1.6/kill_mid_upload --world live --seed 4117"
    assert not [line for line in found.stderr.splitlines() if "CONSOLE" in line]


def test_an_error_of_the_script_would_be_seen(browser: Path, tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text("<!doctype html><script>console.error('seen'); nothing();</script>")
    assert "CONSOLE" in rendered(browser, page, tmp_path / "profile").stderr
