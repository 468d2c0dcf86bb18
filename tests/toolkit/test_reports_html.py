"""The report as a page: what it says, that it is whole, asks nothing from outside, and shows nothing as markup."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chaos.evidence import write_evidence
from chaos.history import History
from chaos.outcome import Outcome, RunResult
from chaos.reports.html import to_html
from chaos.verdict import Finding, Verdict
from tests.toolkit import sample_outcomes

BYTES_MAX = 2_000_000
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """What a page has: its tags with their attributes, its text, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> where it does not belong"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.text += data

    def values(self, name: str) -> Iterator[str]:
        return (attributes[name] for _, attributes in self.tags if name in attributes)


@pytest.fixture(scope="module")
def red() -> Page:
    return Page(to_html(sample_outcomes.red()))


@pytest.mark.parametrize("outcome", [sample_outcomes.green(), sample_outcomes.red()], ids=["green", "red"])
def test_the_page_is_well_formed_and_small(outcome: Outcome) -> None:
    text = to_html(outcome)
    assert Page(text).text
    assert len(text.encode()) < BYTES_MAX


def test_links_lead_to_something_on_the_page_or_beside_it(tmp_path: Path) -> None:
    write_evidence(sample_outcomes.red(), tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    ids = list(page.values("id"))
    links = [link for link in page.values("href") if link != "data:,"]
    assert len(ids) == len(set(ids))
    assert len(links) > 10
    assert not [link for link in links if link.startswith("#") and link[1:] not in ids]
    assert not [link for link in links if not link.startswith("#") and not (tmp_path / link).exists()]


def test_nothing_is_asked_from_outside(red: Page) -> None:
    text = to_html(sample_outcomes.red())
    assert not re.findall(r"(?:src|href|action)=\"(?:https?:)?//", text)
    assert not re.findall(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text
    assert not [tag for tag, _ in red.tags if tag in ("iframe", "object", "embed", "img")]


def test_what_a_run_left_is_never_markup(red: Page) -> None:
    assert "<b>not</b> markup" in red.text
    assert "<script>1</script>" in red.text
    assert sum(tag == "script" for tag, _ in red.tags) == 1


def test_it_says_what_broke_where_to_look_and_how_to_replay(red: Page) -> None:
    for words in (
        "2 properties broken",
        "report 7f3a0c1e was delivered 0 times",
        "store.py:88 renames before it syncs",
        "power@12.031",
        "shrunk from 14 faults",
        "Smallest plan that still breaks it",
        "What the nearest passing run did differently",
        "Files at each step",
    ):
        assert words in red.text
    assert "pywats-chaos replay 'H1.1/every_crash_state state=17'" in set(red.values("data-copy"))


def test_the_matrix_tells_how_strong_each_cell_is(red: Page) -> None:
    titles = [title for title in red.values("title") if "schedules" in title]
    (held,) = [title for title in titles if title.startswith("held: 2000 schedules")]
    assert "6000 faults fired, 666 marks reached" in held
    assert "a failure in more than 1 of 668 schedules is excluded at 95 %" in held
    assert any(title.startswith("broken: 1 schedules, 212 crash states") for title in titles)


def test_it_tells_how_often_each_property_was_judged_under_each_fault() -> None:
    page = to_html(sample_outcomes.green())
    assert "network.cut 30 · process.kill 1,000 (&lt; 1/334)" in page


def test_what_is_not_available_is_named_with_its_reason(red: Page) -> None:
    assert "Qt cannot load; apt install libegl1" in red.text


def test_the_picture_has_ok_failed_unknown_faults_and_the_moment(red: Page) -> None:
    classes = {name for value in red.values("class") for name in [value]}
    for needed in ("item bar ok", "item bar failed", "item bar unknown", "item bar life", "item band lasting",
                   "item moment", "item level"):  # fmt: skip
        assert needed in classes


def test_a_campaign_of_huge_histories_stays_under_its_size() -> None:
    history = History(itertools.count().__next__)
    for number in range(1_500):
        history.invoke("submit", report_id=f"{number:036}", text="x" * 300).ok()
    bad = Finding("C1.6", Verdict.BROKEN, "e" * 500, "f" * 500)
    runs = [RunResult("C1.6/huge", "live", seed, (bad,), {}, 1.0, history, log="l" * 50_000) for seed in range(80)]
    text = to_html(sample_outcomes.outcome_of(runs))
    assert len(text.encode()) < BYTES_MAX
    assert text.count('id="run-') == 80
