"""Checkers of simulated stops and failing tasks, judged by histories written by hand: some pass, some must fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from chaos.checkers import c1_simulated_stops, c2_failing_tasks, c2_silent_tasks
from chaos.checkers.c2_failing_tasks import Expected
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Verdict

HELD, BROKEN, NOT_EXERCISED = Verdict.HELD, Verdict.BROKEN, Verdict.NOT_EXERCISED


class Pen:
    """Writes histories in few words; time passes only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.history = History(lambda: int(self.now_s * 1e9))
        self.records: list[dict[str, Any]] = []

    def planned(self, task: str, *, critical: bool = False) -> None:
        self.history.observe("planned", task=task, critical=critical, kind="OSError")

    def fails(self, task: str, words: str, *, level: int = logging.ERROR, failure: str = "Traceback: OSError") -> None:
        self.history.fault("failpoint.raise", place=f"run:{task}")
        self.says(f"task {task} failed ({words})", level=level, failure=failure)

    def says(self, text: str, *, level: int = logging.ERROR, failure: str = "") -> None:
        time_ns = int(self.now_s * 1e9)
        self.records.append({"time_ns": time_ns, "process": "r", "level": level, "text": text, "failure": failure})

    def status(self, status: str, *reasons: str, **tasks: tuple[str, int]) -> None:
        states = [
            {"name": name, "condition": condition, "failures": failures, "restarts": failures, "heartbeats": 1,
             "last_restart_at": 1.0}
            for name, (condition, failures) in tasks.items()
        ]  # fmt: skip
        self.history.observe("status", status=status, degraded=bool(reasons), reasons=list(reasons), tasks=states)

    def stopped(self, took_s: float, outcome: str = "clean") -> None:
        operation = self.history.invoke("stop", signals=1)
        self.now_s += took_s
        operation.ok(outcome=outcome)


def lived(*, starts_again: bool = True, **more: Any) -> Callable[[Pen], None]:
    ended = {"outcomes": [{"what": "stop", "error": ""}], "status": "Stopped", "ends": 1, "tasks": [], "threads": []}

    def tell(pen: Pen) -> None:
        pen.history.observe("life", **{**ended, "said": ["shutdown clean after 0.1 s: 0 reports"], **more})
        operation = pen.history.invoke("start")
        if starts_again:
            operation.ok()
        else:
            operation.failed()
        pen.history.observe("folders", reports=[])
        pen.history.observe("deliveries", reports={})

    return tell


def signalled_in_a_restart(*, is_lost: bool = False) -> Callable[[Pen], None]:
    def tell(pen: Pen) -> None:
        pen.history.invoke("submit", report_id="a", sha256="ab").ok(id="a")
        pen.history.observe("signalled", exit=0)
        kept = [] if is_lost else [{"folder": "pending", "report_id": "a", "sha256": "ab", "attempts": 0}]
        pen.history.observe("folders", reports=kept)
        pen.history.observe("deliveries", reports={})

    return tell


def logged_once(pen: Pen) -> None:
    pen.planned("ping")
    pen.fails("ping", "failure 1; restart in 1 s")
    pen.status("Running", "task ping is backoff", ping=("backoff", 1))


def logged_as_a_warning(pen: Pen) -> None:
    pen.planned("ping")
    pen.fails("ping", "failure 1; restart in 1 s", level=logging.WARNING)


def logged_without_traceback(pen: Pen) -> None:
    pen.planned("ping")
    pen.fails("ping", "failure 1; restart in 1 s", failure="")


def not_counted(pen: Pen) -> None:
    pen.planned("ping")
    pen.fails("ping", "failure 1; restart in 1 s")
    pen.status("Running", "task ping is backoff", ping=("backoff", 0))


def not_named(pen: Pen) -> None:
    pen.planned("ping")
    pen.fails("ping", "failure 1; restart in 1 s")
    pen.status("Running", "something is wrong", ping=("backoff", 1))


def an_error_for_a_lesser_task(pen: Pen) -> None:
    pen.planned("ping")
    pen.fails("ping", "failure 1; restart in 1 s")
    pen.status("Error", "task ping is backoff", ping=("backoff", 1))


def an_error_at_once(pen: Pen) -> None:
    pen.planned("pending_queue", critical=True)
    pen.fails("pending_queue", "failure 1; restart in 1 s")
    pen.status("Error", "pending_queue is backoff", pending_queue=("backoff", 1), config_watcher=("running", 0))


def running_all_the_same(pen: Pen) -> None:
    pen.planned("pending_queue", critical=True)
    pen.fails("pending_queue", "failure 1; restart in 1 s")
    pen.status("Running", "pending_queue is backoff", pending_queue=("backoff", 1), config_watcher=("running", 0))


def another_task_was_stopped(pen: Pen) -> None:
    pen.planned("pending_queue", critical=True)
    pen.fails("pending_queue", "failure 1; restart in 1 s")
    pen.status("Error", "pending_queue is backoff", pending_queue=("backoff", 1), config_watcher=("stopped", 0))


def the_pause_does_not_grow(pen: Pen) -> None:
    pen.planned("ping")
    pen.fails("ping", "failure 1; restart in 1 s")
    pen.now_s += 1
    pen.fails("ping", "failure 2; restart in 1 s")


def an_error_at_the_stop(pen: Pen) -> None:
    pen.history.fault("subject.stop")
    pen.says("task ping failed (failure 1; it was being stopped)")
    pen.stopped(0.1)


def a_quiet_stop(pen: Pen) -> None:
    pen.history.fault("subject.stop")
    pen.stopped(0.1)


def block_of(seconds: float, *, said: str = "") -> Callable[[Pen], None]:
    def a_block(pen: Pen) -> None:
        pen.history.fault("failpoint.block", place="tick:ping")
        pen.history.observe("blocked", seconds=seconds)
        pen.now_s += seconds
        if said:
            pen.says(f"the event loop was blocked for at least {said} s: nothing could run meanwhile")
        pen.status("Running", "event loop: blocked")

    return a_block


def last_answer_then(after_s: float) -> Callable[[Pen], None]:
    def a_stop(pen: Pen) -> None:
        pen.stopped(10 + after_s)
        pen.history.observe("last_answer", at_ns=10_000_000_000)

    return a_stop


def hung_for(took_s: float) -> Callable[[Pen], None]:
    def a_stop(pen: Pen) -> None:
        pen.history.observe("settings", graceful_shutdown_seconds=60.0)
        pen.history.fault("server.hang_after_body")
        pen.stopped(took_s, "forced")

    return a_stop


def nothing(_: Pen) -> None:
    """Nothing of it happened."""


CASES: tuple[tuple[Checker, Callable[[Pen], None], Verdict], ...] = (
    (c2_failing_tasks.a_failure_is_logged_once, logged_once, HELD),
    (c2_failing_tasks.a_failure_is_logged_once, logged_as_a_warning, BROKEN),
    (c2_failing_tasks.a_failure_is_logged_once, logged_without_traceback, BROKEN),
    (c2_failing_tasks.a_failure_is_logged_once, not_counted, BROKEN),
    (c2_failing_tasks.a_failure_is_logged_once, nothing, NOT_EXERCISED),
    (c2_failing_tasks.another_failure_only_degrades, logged_once, HELD),
    (c2_failing_tasks.another_failure_only_degrades, not_named, BROKEN),
    (c2_failing_tasks.another_failure_only_degrades, an_error_for_a_lesser_task, BROKEN),
    (c2_failing_tasks.an_error_names_the_critical_task, an_error_at_once, HELD),
    (c2_failing_tasks.an_error_names_the_critical_task, running_all_the_same, BROKEN),
    (c2_failing_tasks.an_error_names_the_critical_task, another_task_was_stopped, BROKEN),
    (c2_failing_tasks.restarts_follow_the_rules, logged_once, HELD),
    (c2_failing_tasks.restarts_follow_the_rules, the_pause_does_not_grow, BROKEN),
    (c2_silent_tasks.a_cancellation_is_no_error, a_quiet_stop, HELD),
    (c2_silent_tasks.a_cancellation_is_no_error, an_error_at_the_stop, BROKEN),
    (c2_silent_tasks.a_blocked_loop_is_told, block_of(3, said="2.7"), HELD),
    (c2_silent_tasks.a_blocked_loop_is_told, block_of(3), BROKEN),
    (c2_silent_tasks.a_blocked_loop_is_told, block_of(3, said="9.0"), BROKEN),
    (c2_silent_tasks.a_blocked_loop_is_told, block_of(0.3, said="0.3"), BROKEN),
    (c2_silent_tasks.a_blocked_loop_is_told, block_of(0.3), HELD),
    (c1_simulated_stops.a_signal_ends_a_restart, signalled_in_a_restart(), HELD),
    (c1_simulated_stops.a_signal_ends_a_restart, signalled_in_a_restart(is_lost=True), BROKEN),
    (c1_simulated_stops.a_signal_ends_a_restart, lived(), NOT_EXERCISED),
    (c1_simulated_stops.every_stop_is_the_same_stop, lived(), HELD),
    (c1_simulated_stops.every_stop_is_the_same_stop, lived(ends=2), BROKEN),
    (c1_simulated_stops.every_stop_is_the_same_stop, lived(status="StopPending"), BROKEN),
    (c1_simulated_stops.every_stop_is_the_same_stop, lived(threads=["pywats-store_0"]), BROKEN),
    (c1_simulated_stops.every_stop_is_the_same_stop, lived(tasks=["ping"]), BROKEN),
    (c1_simulated_stops.every_stop_is_the_same_stop, lived(said=[]), BROKEN),
    (c1_simulated_stops.every_stop_is_the_same_stop, lived(outcomes=[{"what": "stop", "error": "StartError"}]), BROKEN),
    (c1_simulated_stops.every_stop_is_the_same_stop, lived(starts_again=False), BROKEN),
    (c1_simulated_stops.every_stop_is_the_same_stop, lived(crashed="a traceback"), BROKEN),
    (c1_simulated_stops.the_stop_ends_with_its_last_answer, last_answer_then(0.2), HELD),
    (c1_simulated_stops.the_stop_ends_with_its_last_answer, last_answer_then(5), BROKEN),
    (c1_simulated_stops.the_window_is_used_and_kept, hung_for(60.1), HELD),
    (c1_simulated_stops.the_window_is_used_and_kept, hung_for(30), BROKEN),
    (c1_simulated_stops.the_window_is_used_and_kept, hung_for(100), BROKEN),
)


@pytest.mark.parametrize(
    ("check", "story", "verdict"), CASES, ids=[f"{c.__name__}-{s.__name__}-{n}" for n, (c, s, _) in enumerate(CASES)]
)
def test_a_checker_gives_the_verdict_that_the_history_deserves(
    check: Checker, story: Callable[[Pen], None], verdict: Verdict
) -> None:
    """Each history, a few lines long, is judged as a person would."""
    pen = Pen()
    story(pen)
    pen.history.observe("logged", records=pen.records)
    found = check(pen.history)
    assert found.verdict is verdict, found.found


def test_the_fourth_restart_within_five_minutes_is_not_expected() -> None:
    """Failures at once get pauses of 1, 2 and 4 seconds, and then the task is to stay down."""
    expected, at_s, said = Expected(), 0.0, []
    for _ in range(4):
        said.append(expected.fails(at_s, ""))
        at_s = expected.restarts[-1]
    assert said == ["1", "2", "4", "stays down"]


@pytest.mark.parametrize(("lived_s", "said", "pause"), [
    (10.0, "1", "1"), (9.9999, "1", "1"), (9.9999, "2", "2"), (10.1, "2", "1"), (9.9, "1", "2"),
])  # fmt: skip
def test_at_the_edge_of_a_hold_either_pause_is_right_and_only_there(lived_s: float, said: str, pause: str) -> None:
    expected = Expected()
    expected.fails(0.0, "1")
    assert expected.fails(expected.restarts[-1] + lived_s, said) == pause
