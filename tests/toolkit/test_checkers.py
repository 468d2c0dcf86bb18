"""Checkers are judged by histories written by hand: some must pass, some must fail, each a few lines long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chaos.checkers import (
    c1_shutdown,
    c2_background_tasks,
    h1_save_before_send,
    h2_resources,
    h3_errors,
    h4_configuration,
    h5_bounded_queue,
    h6_ipc,
)
from chaos.checkers.judgement import unsaved
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Verdict

HELD, BROKEN, NOT_EXERCISED = Verdict.HELD, Verdict.BROKEN, Verdict.NOT_EXERCISED
Story = Callable[["Pen"], None]


class Pen:
    """Writes histories in few words; time passes only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.history = History(lambda: int(self.now_s * 1e9))

    def accepted(self, report_id: str, sha256: str = "s") -> None:
        self.history.invoke("submit", report_id=report_id, sha256=sha256).ok(id=report_id)

    def refused(self, report_id: str, code: str, error: str) -> None:
        self.history.invoke("submit", report_id=report_id, sha256="s").failed(code=code, error=error)

    def look(
        self, *kept: tuple[str, str] | tuple[str, str, int], delivered: dict[str, tuple[int, int]] | None = None
    ) -> None:
        """Observe folders (folder, report, attempts) and deliveries (report: deliveries, effects)."""
        reports = [
            {"folder": entry[0], "report_id": entry[1], "sha256": "s", "attempts": entry[2] if len(entry) == 3 else 0}
            for entry in kept
        ]
        self.history.observe("folders", reports=reports)
        there = {i: {"deliveries": n, "effects": e, "sha256": "s"} for i, (n, e) in (delivered or {}).items()}
        self.history.observe("deliveries", reports=there)

    def stopped(self, took_s: float, outcome: str, *, signals: int = 1) -> None:
        self.history.observe("settings", graceful_shutdown_seconds=10, force_shutdown_seconds=20)
        operation = self.history.invoke("stop", signals=signals)
        self.now_s += took_s
        operation.ok(outcome=outcome)


def kept_then_delivered(pen: Pen) -> None:
    pen.accepted("a")
    pen.look(("pending", "a"))
    pen.look(("sent", "a"), delivered={"a": (2, 1)})


def lost_on_the_way(pen: Pen) -> None:
    pen.accepted("a")
    pen.look()
    pen.look(delivered={"a": (1, 1)})


def never_delivered(pen: Pen) -> None:
    pen.accepted("a")
    pen.look(("pending", "a"))


def delivered_with_two_effects(pen: Pen) -> None:
    pen.accepted("a")
    pen.look(("sent", "a"), delivered={"a": (2, 2)})


def kept_with_other_contents(pen: Pen) -> None:
    pen.accepted("a", sha256="other")
    pen.look(("pending", "a"))


def nothing_accepted(pen: Pen) -> None:
    pen.look()


def slow_uploads_finished(pen: Pen) -> None:
    pen.accepted("a")
    pen.stopped(2, "clean")
    pen.look(("sent", "a"), delivered={"a": (1, 1)})


def the_whole_window_was_waited(pen: Pen) -> None:
    pen.accepted("a")
    pen.stopped(10, "clean")
    pen.look(("sent", "a"), delivered={"a": (1, 1)})


def an_upload_was_cut_off(pen: Pen) -> None:
    pen.accepted("a")
    pen.stopped(2, "clean")
    pen.look(("pending", "a", 1), delivered={"a": (1, 1)})


def hung_uploads_were_kept(pen: Pen) -> None:
    pen.accepted("a")
    pen.stopped(12, "forced")
    pen.look(("pending", "a", 1))
    pen.look(("sent", "a"), delivered={"a": (2, 1)})


def the_stop_took_too_long(pen: Pen) -> None:
    pen.accepted("a")
    pen.stopped(30, "forced")
    pen.look(("pending", "a", 1))
    pen.look(("sent", "a"), delivered={"a": (2, 1)})


def the_attempt_was_forgotten(pen: Pen) -> None:
    pen.accepted("a")
    pen.stopped(12, "forced")
    pen.look(("pending", "a", 0))
    pen.look(("sent", "a"), delivered={"a": (2, 1)})


def two_signals_were_quick(pen: Pen) -> None:
    pen.stopped(1, "forced", signals=2)


def two_signals_were_slow(pen: Pen) -> None:
    pen.stopped(9, "forced", signals=2)


def failed(pen: Pen, *, after_s: float, words: str, health: str = "pending_queue", saved: bool = True) -> None:
    pen.history.fault("failpoint.raise", place="task:pending_queue")
    pen.now_s += after_s
    pen.history.observe("status", status="Error", reasons=[words])
    pen.accepted("a")
    pen.history.observe("health", status_code=503, text=health)
    pen.look(*([("pending", "a")] if saved else []))


def degraded(pen: Pen, status: str, words: str) -> None:
    pen.accepted("a")
    pen.history.fault("failpoint.raise", place="task:ping")
    pen.history.observe("status", status=status, degraded=True, reasons=[words])
    pen.look(("sent", "a"), delivered={"a": (1, 1)})


def retried(pen: Pen, attempts: int) -> None:
    pen.accepted("a")
    pen.look(("pending", "a", attempts))
    pen.look(("sent", "a"), delivered={"a": (1, 1)})


def lied_to(pen: Pen, folder: str) -> None:
    pen.accepted("a")
    pen.look((folder, "a", 1))
    pen.look(("sent", "a"), delivered={"a": (2, 1)})


def raced(pen: Pen, accepted: int, code: str = "queue_full", *, written: bool = False) -> None:
    pen.history.observe("limit", reports=2)
    for number in range(accepted):
        pen.accepted(f"a{number}")
    pen.refused("r", code, "queue full: 2 reports, limit 2")
    kept = [("pending", f"a{number}") for number in range(accepted)] + ([("pending", "r")] if written else [])
    pen.look(*kept)


def answered(pen: Pen, **said: Any) -> None:
    pen.history.observe("command_error", command="submit", deserves="queue_full", type="IPCQueueFullError", **said)


def cut(pen: Pen, hang: str, closed_after_s: float | None, *, asked: bool = True) -> None:
    operation = pen.history.invoke("ask")
    if asked:
        operation.ok()
    pen.history.observe("cut", hang=hang, closed_after_s=closed_after_s, limit_s=1)


def configured(**wrong: list[str]) -> Story:
    counts = {"ways": 3, "orders": 6, "round_trips": 1, "mapping": 8}
    said = {f"wrong_{what}": wrong.get(what, []) for what in counts}
    return lambda pen: _observe(pen, "configurations", **counts, **said)


H4_CASES: list[tuple[Checker, Story, Verdict]] = [
    case
    for what, check in (
        ("ways", h4_configuration.every_way_has_the_same_rules),
        ("orders", h4_configuration.rules_across_settings_hold),
        ("round_trips", h4_configuration.what_is_saved_loads_equal),
        ("mapping", h4_configuration.it_stays_a_mapping),
    )
    for case in ((check, configured(), HELD), (check, configured(**{what: ["it is otherwise"]}), BROKEN))
]

CASES: list[tuple[Checker, Story, Verdict]] = [
    *H4_CASES,
    (c1_shutdown.nothing_is_lost, kept_then_delivered, HELD),
    (c1_shutdown.nothing_is_lost, lost_on_the_way, BROKEN),
    (c1_shutdown.nothing_is_lost, never_delivered, BROKEN),
    (c1_shutdown.nothing_is_lost, delivered_with_two_effects, BROKEN),
    (c1_shutdown.nothing_is_lost, kept_with_other_contents, BROKEN),
    (c1_shutdown.nothing_is_lost, nothing_accepted, NOT_EXERCISED),
    (c1_shutdown.work_in_flight_ends_inside_the_window, slow_uploads_finished, HELD),
    (c1_shutdown.work_in_flight_ends_inside_the_window, the_whole_window_was_waited, BROKEN),
    (c1_shutdown.work_in_flight_ends_inside_the_window, an_upload_was_cut_off, BROKEN),
    (c1_shutdown.what_outlives_the_window_is_kept, hung_uploads_were_kept, HELD),
    (c1_shutdown.what_outlives_the_window_is_kept, the_stop_took_too_long, BROKEN),
    (c1_shutdown.what_outlives_the_window_is_kept, the_attempt_was_forgotten, BROKEN),
    (c1_shutdown.a_second_signal_forces, two_signals_were_quick, HELD),
    (c1_shutdown.a_second_signal_forces, two_signals_were_slow, BROKEN),
    (c1_shutdown.a_second_signal_forces, lambda pen: pen.stopped(1, "clean", signals=2), BROKEN),
    (c1_shutdown.a_second_signal_forces, lambda pen: pen.stopped(1, "forced"), NOT_EXERCISED),
    (
        c2_background_tasks.a_critical_failure_is_an_error_at_once,
        lambda p: failed(p, after_s=1, words="pending_queue"),
        HELD,
    ),
    (
        c2_background_tasks.a_critical_failure_is_an_error_at_once,
        lambda p: failed(p, after_s=9, words="pending_queue"),
        BROKEN,
    ),
    (
        c2_background_tasks.a_critical_failure_is_an_error_at_once,
        lambda p: failed(p, after_s=1, words="something"),
        BROKEN,
    ),
    (
        c2_background_tasks.a_critical_failure_is_an_error_at_once,
        lambda p: failed(p, after_s=1, words="pending_queue", health="ok"),
        BROKEN,
    ),
    (
        c2_background_tasks.a_critical_failure_is_an_error_at_once,
        lambda p: failed(p, after_s=1, words="pending_queue", saved=False),
        BROKEN,
    ),
    (c2_background_tasks.a_non_critical_failure_degrades, lambda p: degraded(p, "Running", "task ping is down"), HELD),
    (c2_background_tasks.a_non_critical_failure_degrades, lambda p: degraded(p, "Error", "task ping is down"), BROKEN),
    (c2_background_tasks.a_non_critical_failure_degrades, lambda p: degraded(p, "Running", "server offline"), BROKEN),
    (h1_save_before_send.failed_sends_are_retried, lambda p: retried(p, 1), HELD),
    (h1_save_before_send.failed_sends_are_retried, lambda p: retried(p, 0), BROKEN),
    (h1_save_before_send.failed_sends_are_retried, never_delivered, BROKEN),
    (h1_save_before_send.sent_again_is_one_report, kept_then_delivered, HELD),
    (h1_save_before_send.sent_again_is_one_report, delivered_with_two_effects, BROKEN),
    (h1_save_before_send.sent_again_is_one_report, lambda p: p.look(delivered={"b": (1, 1)}), BROKEN),
    (h1_save_before_send.sent_again_is_one_report, lambda p: retried(p, 1), NOT_EXERCISED),
    (h1_save_before_send.only_proof_counts, lambda p: lied_to(p, "pending"), HELD),
    (h1_save_before_send.only_proof_counts, lambda p: lied_to(p, "sent"), BROKEN),
    (h2_resources.nothing_is_left, lambda p: _observe(p, "leaks", cycles=100, leaks=[]), HELD),
    (h2_resources.nothing_is_left, lambda p: _observe(p, "leaks", cycles=100, leaks=["task x"]), BROKEN),
    (h2_resources.nothing_is_left, lambda p: _observe(p, "leaks", cycles=0, leaks=[]), NOT_EXERCISED),
    (
        h3_errors.errors_arrive_typed,
        lambda p: answered(p, code="queue_full", message="m", request_id="1", typed=True),
        HELD,
    ),
    (h3_errors.errors_arrive_typed, lambda p: answered(p, data={}), BROKEN),
    (
        h3_errors.errors_arrive_typed,
        lambda p: answered(p, code="error", message="m", request_id="1", typed=True),
        BROKEN,
    ),
    (
        h3_errors.errors_arrive_typed,
        lambda p: answered(p, code="queue_full", message="m", request_id="", typed=True),
        BROKEN,
    ),
    (
        h3_errors.errors_arrive_typed,
        lambda p: answered(p, code="queue_full", message="m", request_id="1", typed=False),
        BROKEN,
    ),
    (
        h4_configuration.bad_values_are_refused,
        lambda p: _observe(p, "config_fuzz", refused=9, wrong=[], changed=[]),
        HELD,
    ),
    (
        h4_configuration.bad_values_are_refused,
        lambda p: _observe(p, "config_fuzz", refused=9, wrong=["x"], changed=[]),
        BROKEN,
    ),
    (
        h4_configuration.a_refused_value_changes_nothing,
        lambda p: _observe(p, "config_fuzz", refused=9, wrong=["x"], changed=[]),
        HELD,
    ),
    (
        h4_configuration.a_refused_value_changes_nothing,
        lambda p: _observe(p, "config_fuzz", refused=9, wrong=[], changed=["x"]),
        BROKEN,
    ),
    (h5_bounded_queue.the_limit_holds, lambda p: raced(p, 2), HELD),
    (h5_bounded_queue.the_limit_holds, lambda p: raced(p, 3), BROKEN),
    (h5_bounded_queue.the_limit_holds, lambda p: raced(p, 1), BROKEN),
    (h5_bounded_queue.a_refusal_says_why_and_writes_nothing, lambda p: raced(p, 2), HELD),
    (h5_bounded_queue.a_refusal_says_why_and_writes_nothing, lambda p: raced(p, 2, "error"), BROKEN),
    (h5_bounded_queue.a_refusal_says_why_and_writes_nothing, lambda p: raced(p, 2, written=True), BROKEN),
    (h6_ipc.hung_clients_are_cut_off, lambda p: cut(p, "silent", 1.2), HELD),
    (h6_ipc.hung_clients_are_cut_off, lambda p: cut(p, "silent", None), BROKEN),
    (h6_ipc.hung_clients_are_cut_off, lambda p: cut(p, "silent", 9), BROKEN),
    (h6_ipc.hung_clients_are_cut_off, lambda p: cut(p, "silent", 1.2, asked=False), BROKEN),
    (h6_ipc.readers_that_never_read_are_cut_off, lambda p: cut(p, "never reading", 2), HELD),
    (h6_ipc.readers_that_never_read_are_cut_off, lambda p: cut(p, "never reading", None), BROKEN),
    (h6_ipc.readers_that_never_read_are_cut_off, lambda p: cut(p, "silent", 1), NOT_EXERCISED),
    (h2_resources.each_leak_is_named, lambda p: _leaks(p, "file x, made at leak_probe.py:1 in plant"), HELD),
    (h2_resources.each_leak_is_named, lambda p: _leaks(p, "file x"), BROKEN),
    (h2_resources.each_leak_is_named, lambda p: _leaks(p, ""), BROKEN),
    (h2_resources.each_leak_is_named, lambda p: _leaks(p, "leak_probe.py", clean="a leak"), BROKEN),
]


def _leaks(pen: Pen, words: str, *, clean: str = "") -> None:
    _observe(pen, "leak_probe", said={"file": words}, clean=clean)


def _observe(pen: Pen, name: str, **value: Any) -> None:
    pen.history.observe(name, **value)


IDS = [f"{check.__name__}-{number}" for number, (check, _, _) in enumerate(CASES)]


@pytest.mark.parametrize(("check", "story", "verdict"), CASES, ids=IDS)
def test_a_checker_judges_a_history_written_by_hand(check: Checker, story: Story, verdict: Verdict) -> None:
    pen = Pen()
    story(pen)
    assert check(pen.history).verdict is verdict


def test_every_checker_is_judged_by_histories_that_pass_and_that_fail() -> None:
    modules = (
        c1_shutdown, c2_background_tasks, h1_save_before_send, h2_resources, h3_errors, h4_configuration,
        h5_bounded_queue, h6_ipc,
    )  # fmt: skip
    checks = {check for module in modules for several in module.CHECKERS.values() for check in several}
    for wanted in (HELD, BROKEN):
        assert checks == {check for check, _, verdict in CASES if verdict is wanted}


@pytest.mark.parametrize(
    ("copies", "there", "wrong"),
    [
        ([("pending", "a")], {}, ""),
        ([("sent", "a")], {"a": (1, 1)}, ""),
        ([("sent", "a")], {}, "is in sent/, and the server does not have it"),
        ([("failed", "a")], {}, "was not saved"),
        ([], {"a": (1, 1)}, "was not saved"),
    ],
)
def test_what_was_accepted_is_saved_while_it_waits_or_was_delivered(
    copies: list[tuple[str, str]], there: dict[str, tuple[int, int]], wrong: str
) -> None:
    pen = Pen()
    pen.accepted("a")
    pen.look(*copies, delivered=there)
    found = unsaved(pen.history)
    assert [wrong in words for words in found] == ([True] if wrong else [])
