"""A stranger finds three planted faults, from the page alone and from the terminal alone, and replays one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from chaos.outcome import ExitCode

ROOT = Path(__file__).parents[2]
FAULTS = (
    ("H5.1", "store/limits.py", "count >= limits.max_reports:", "count > limits.max_reports + 2:"),
    ("H3.3", "errors/ipc.py", 'code = "unknown_command"', 'code = "internal"'),
    ("C1.7", "shutdown.py", "Outcome.FORCED: EXIT_FORCED", "Outcome.FORCED: EXIT_CLEAN"),
)
FOUND = {"H5.1": "13 reports accepted, limit 10", "H3.3": "no_such_command", "C1.7": "the exit said clean"}


@pytest.fixture(scope="module")
def sabotaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a copy of the service in which three things are wrong."""
    folder = tmp_path_factory.mktemp("sabotaged")
    shutil.copytree(ROOT / "pywats_reliability", folder / "pywats_reliability")
    (folder / "pyproject.toml").write_text("[tool.pywats-chaos.profiles.ci]\nworlds = ['live']\n")
    for _, name, right, wrong in FAULTS:
        path = folder / "pywats_reliability" / name
        text = path.read_text(encoding="utf-8")
        assert text.count(right) == 1, f"{name} has changed: plant another fault"
        path.write_text(text.replace(right, wrong), encoding="utf-8")
    return folder


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chaos", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "100"},
    )


@pytest.fixture(scope="module")
def campaign(sabotaged: Path) -> subprocess.CompletedProcess[str]:
    return run("verify", "--property", ",".join(FOUND), "--out", "out", folder=sabotaged)


def test_the_terminal_alone_says_what_broke_and_how_to_replay_it(campaign: subprocess.CompletedProcess[str]) -> None:
    assert (campaign.returncode, "3 properties broken" in campaign.stdout) == (ExitCode.BROKEN, True)
    for property_id, words in FOUND.items():
        story = campaign.stdout.partition(f"{property_id} BROKEN")[2].partition(" BROKEN")[0]
        assert words in " ".join(story.split())
        assert re.search(
            rf"^  replay +pywats-chaos run {property_id}/\w+ --world live --seed \d+$", story, re.MULTILINE
        )


def test_the_page_alone_says_so_and_its_line_replays_the_failure(
    campaign: subprocess.CompletedProcess[str], sabotaged: Path
) -> None:
    assert campaign.returncode == ExitCode.BROKEN
    page = (sabotaged / "out" / "report.html").read_text(encoding="utf-8")
    cards = [unescape(re.sub(r"<[^>]+>", "", card)) for card in re.findall(r'<li class="card.*?</li>', page, re.DOTALL)]
    assert len(cards) == 3
    for property_id, words in FOUND.items():
        (card,) = [card for card in cards if f" {property_id} " in card]
        assert words in card
    lines = {unescape(line) for line in re.findall(r'data-copy="([^"]+)"', page)}
    (line,) = [line for line in lines if " H3.3/" in line]
    program, *arguments = shlex.split(line)
    replayed = run(*arguments, folder=sabotaged)
    assert (program, replayed.returncode) == ("pywats-chaos", ExitCode.BROKEN)
    assert FOUND["H3.3"] in replayed.stdout
