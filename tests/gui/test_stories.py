"""The stories of the proofs, a share of each: closing at any instant, cycles, failing clean-ups, failing actions."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.subjects.configurator.census import more
from chaos.subjects.configurator.stage import Stage, play, traced
from pywats_reliability.gui.pages import PAGES
from tests.gui.playing import told_by


@pytest.mark.parametrize("page", ["Setup", "Log"])
def test_a_page_holds_nothing_whenever_it_is_closed(page: str, tmp_path: Path) -> None:
    assert told_by(tmp_path, "pages_closed", pages=[page]) == []


def test_every_step_of_a_clean_up_runs_though_another_fails(tmp_path: Path) -> None:
    assert told_by(tmp_path, "steps_fail", pages=["Setup", "Log"]) == []


def test_the_window_ends_everything(tmp_path: Path) -> None:
    assert told_by(tmp_path, "window_closed", activities=["started", "request hangs", "uploading", "diagnosing"]) == []


def test_nothing_grows_when_pages_come_and_go(tmp_path: Path) -> None:
    assert told_by(tmp_path, "cycles", cycles=2) == []


@pytest.mark.parametrize("page", ["Connection", "About"])
def test_every_failed_action_of_a_page_is_seen(page: str, tmp_path: Path) -> None:
    assert told_by(tmp_path, "actions", pages=[page]) == []


def test_the_census_names_what_is_more_and_where_it_was_made(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        with traced():
            before = stage.census()
            page = stage.open(PAGES[0])
            await stage.idle(page)
            found = more(before, stage.census())
            await stage.dispose(page)
        assert [words for words in found if words.startswith("timer timer looking anew, made at dashboard.py:")]
        assert [words for words in found if words.startswith("connection WatchedLink.came_up, made at page.py:")]
        assert [words for words in found if words.startswith("object QPushButton 'sync', made at page.py:")]

    play(tmp_path, story)
