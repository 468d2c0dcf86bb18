"""The checkers of H2 in virtual time, on histories written by hand: one that passes, and each way to fail."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.checkers.h2_simulated import nothing_is_left_of_any_start, the_other_steps_run_and_all_is_told
from chaos.history import History
from chaos.verdict import Verdict

GOOD: dict[str, Any] = {
    "start_error": "", "status": "Stopped", "steps": ["store", "IPC"], "ran": ["IPC", "store"], "failed": ["IPC"],
    "errors": ["IPC: OSError: planted in IPC"], "tasks": [], "threads": [], "left": False,
    "descriptors": 0, "sockets": 0,
}  # fmt: skip


def lived(*lives: dict[str, Any], planned: int | None = None, crashed: str = "") -> History:
    history = History(lambda: 0)
    for life in lives:
        history.observe("lived", **{**GOOD, **life})
    history.observe("lives", planned=len(lives) if planned is None else planned, crashed=crashed)
    return history


@pytest.mark.parametrize(
    ("life", "words"),
    [
        ({"ran": ["IPC"]}, "store did not run"),
        ({"ran": ["IPC", "store", "IPC"]}, "IPC ran twice"),
        ({"errors": []}, "the failure of IPC was not told"),
        ({"failed": ["IPC", "store"]}, "the failure of store was not told"),
        ({"status": "StopPending"}, "the status is StopPending"),
    ],
)
def test_a_step_that_is_skipped_or_not_told_breaks_h2_3(life: dict[str, Any], words: str) -> None:
    found = the_other_steps_run_and_all_is_told(lived({}, life))
    assert (found.verdict, words in found.found) == (Verdict.BROKEN, True), found.found


@pytest.mark.parametrize(
    ("life", "words"),
    [
        ({"tasks": ["ping"]}, "start 2 (stopped) left task ping"),
        ({"threads": ["pywats-store_0"], "start_error": "no"}, "start 2 (failed) left thread pywats-store_0"),
        ({"descriptors": 1}, "left 1 descriptors"),
        ({"sockets": 2}, "left 2 sockets"),
        ({"left": True}, "left its address"),
        ({"status": "Error"}, "left the status Error"),
    ],
)
def test_whatever_a_start_leaves_breaks_h2_4(life: dict[str, Any], words: str) -> None:
    found = nothing_is_left_of_any_start(lived({}, life))
    assert (found.verdict, words in found.found) == (Verdict.BROKEN, True), found.found


@pytest.mark.parametrize("check", [the_other_steps_run_and_all_is_told, nothing_is_left_of_any_start])
def test_what_is_as_promised_holds_and_a_process_that_ends_too_early_does_not(check: Any) -> None:
    assert check(lived({}, {})).verdict is Verdict.HELD
    assert check(lived({}, planned=2, crashed="KeyError: 7")).verdict is Verdict.BROKEN
    assert check(History(lambda: 0)).verdict is Verdict.NOT_EXERCISED
