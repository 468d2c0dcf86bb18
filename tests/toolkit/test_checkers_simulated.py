"""The checkers of H3 to H6 in virtual time, judged by histories written by hand: some must pass, some must fail."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.checkers import all_checkers, h3_simulated, h4_simulated, h5_simulated, h6_simulated
from chaos.history import History
from chaos.judging import NO_FAILURE, judge
from chaos.protocols import Checker, scenario
from chaos.verdict import Finding, Verdict
from tests.toolkit.test_checkers import Pen, Story

HELD, BROKEN, NOT_EXERCISED = Verdict.HELD, Verdict.BROKEN, Verdict.NOT_EXERCISED


def looks(name: str, *values: dict[str, Any], logged: tuple[tuple[int, str], ...] = ()) -> Story:
    def tell(pen: Pen) -> None:
        for value in values:
            pen.history.observe(name, **value)
        pen.look()
        records = [{"time_ns": 0, "process": "p", "level": level, "text": text} for level, text in logged]
        pen.history.observe("logged", records=records)
        pen.history.observe("unhandled", failures=[])

    return tell


def cut(hang: str, after_s: float | None) -> Story:
    return looks("cut", {"hang": hang, "closed_after_s": after_s, "limit_s": 30, "is_exact": True})


def slow_request(takes_s: float, *, answered: bool, after_s: float) -> Story:
    return looks("slow_request", {"takes_s": takes_s, "limit_s": 30, "answered": answered, "after_s": after_s})


def slow_command(kind: str, code: str | None, took_s: float, *, kept: bool = False, goes_on: bool = True) -> Story:
    def tell(pen: Pen) -> None:
        value = {"kind": kind, "limit_s": 60, "took_s": took_s, "code": code, "success": code is None}
        pen.history.observe("slow_command", **value, request_id="1", asked="1", report_id="a")
        pen.history.observe("goes_on", answered=goes_on)
        pen.look(*([("pending", "a")] if kept else []))

    return tell


def crowd(took_s: float, *, goes_on: bool = True) -> Story:
    def tell(pen: Pen) -> None:
        operation = pen.history.invoke("ask")
        pen.now_s += took_s
        operation.ok()
        pen.history.observe("goes_on", answered=goes_on)
        pen.history.observe("crowd", is_exact=True, limit_s=30, kinds={})

    return tell


def idle(closed_after_s: float, *, stop_s: float = 1, goes_on: bool = True) -> Story:
    def tell(pen: Pen) -> None:
        pen.history.observe("idle", closed_after_s=closed_after_s, limit_s=300.0)
        pen.history.observe("goes_on", answered=goes_on)
        pen.stopped(stop_s, "clean")

    return tell


def room(size: int, code: str | None) -> Story:
    def tell(pen: Pen) -> None:
        pen.history.observe("room", kind="limit", room=100, size=size, report_id="a")
        if code is None:
            pen.accepted("a")
        else:
            pen.refused("a", code, "no")
        pen.look(("pending", "a"))

    return tell


def racing(code: str = "queue_full", error: str = "limit 3", *, kept: bool = False) -> Story:
    def tell(pen: Pen) -> None:
        pen.history.observe("racing", limit=3, at_start=0)
        pen.refused("a", code, error)
        pen.look(*([("failed", "a")] if kept else []))

    return tell


def evicted(*given_up: str, reason: str = "evicted to make room", gone: bool = False) -> Story:
    def tell(pen: Pen) -> None:
        for report_id in "abc":
            pen.accepted(report_id)
        pen.look(("pending", "b"), ("pending", "c"), *([] if gone else [("failed", "a")]))
        reasons = [reason] * len(given_up)
        pen.history.observe("evicted", order=["a", "b", "c"], evicted=list(given_up), reasons=reasons, limit=2, over=1)

    return tell


def given_up(*named: str, sent: bool = False) -> Story:
    def tell(pen: Pen) -> None:
        pen.accepted("a")
        pen.history.observe("given_up", evicted=["a"], named=list(named))
        pen.look(("failed", "a"), delivered={"a": (1, 1)} if sent else {})

    return tell


def held(found: int, said: int) -> Story:
    return looks("held", {"found": found, "said": said, "limit": 3, "at_start": 2})


def failure(attempts: int = 1, last_error: str = "no", errors: int = 1, text: str = "report a failed") -> Story:
    value = {"kind": "x", "report_id": "a", "attempts": attempts, "last_error": last_error, "errors": errors}
    return looks("failure", value, logged=((30, text),))


BOTH = "report a: sending failed (no) and the outcome could not be saved (full)"


def critical(shown: str = BOTH, level: int = 50, text: str = BOTH) -> Story:
    return looks("critical", {"report_id": "a", "reasons": [shown], "was_sent": False}, logged=((level, text),))


def texts(told: str, log: str = "") -> Story:
    return looks("texts", {"secrets": ["SECRET"], "told": [told], "log": log})


def bad_file(told: str = "config.json: max_queue_size", limit: int = 7, *, untouched: bool = True) -> Story:
    value = {"kind": "x", "key": "max_queue_size", "told": told, "limit": limit, "expected": 7}
    return looks("fuzzed_file", {**value, "untouched": untouched})


def rate(served: int, code: str = "rate_limited") -> Story:
    return looks("rate", {"served": served, "least": 19, "most": 20, "codes": [None, code]})


def cut_off_write(kept: str | None, code: str, *, success: bool = False) -> Story:
    def tell(pen: Pen) -> None:
        pen.history.observe("cut_off_write", success=success, code=code, report_id="r1")
        pen.look(*([("pending", kept)] if kept else []))

    return tell


def refilled(taken: list[str], said: int) -> Story:
    def tell(pen: Pen) -> None:
        for report_id in taken:
            pen.history.invoke("submit", report_id=report_id).ok(report_id=report_id, sha256="s")
        pen.history.observe("refilled", limit=2, offered=["r1", "r2", "r3"], said=said)

    return tell


CASES: list[tuple[Checker, Story, Verdict]] = [
    (h6_simulated.halves_are_cut_off_on_time, cut("silent", 30.0), HELD),
    (h6_simulated.halves_are_cut_off_on_time, cut("silent", 31.0), BROKEN),
    (h6_simulated.halves_are_cut_off_on_time, cut("silent", 29.0), BROKEN),
    (h6_simulated.halves_are_cut_off_on_time, cut("silent", None), BROKEN),
    (h6_simulated.halves_are_cut_off_on_time, slow_request(29.9, answered=True, after_s=29.9), HELD),
    (h6_simulated.halves_are_cut_off_on_time, slow_request(29.9, answered=False, after_s=29.9), BROKEN),
    (h6_simulated.halves_are_cut_off_on_time, slow_request(30.1, answered=True, after_s=30.1), BROKEN),
    (h6_simulated.blocked_writes_are_cut_off_on_time, cut("never reading", 30.0), HELD),
    (h6_simulated.blocked_writes_are_cut_off_on_time, cut("never reading", None), BROKEN),
    (h6_simulated.blocked_writes_are_cut_off_on_time, cut("silent", None), NOT_EXERCISED),
    (h6_simulated.slow_commands_end_at_the_limit, slow_command("59.9 s", None, 59.9, kept=True), HELD),
    (h6_simulated.slow_commands_end_at_the_limit, slow_command("60.1 s", "processing_timeout", 60), HELD),
    (h6_simulated.slow_commands_end_at_the_limit, slow_command("60.1 s", "internal_error", 60), BROKEN),
    (h6_simulated.slow_commands_end_at_the_limit, slow_command("60.1 s", "processing_timeout", 61), BROKEN),
    (h6_simulated.slow_commands_end_at_the_limit, slow_command("60.1 s", "processing_timeout", 60, kept=True), BROKEN),
    (h6_simulated.slow_commands_end_at_the_limit, slow_command("59.9 s", None, 59.9, goes_on=False), BROKEN),
    (h6_simulated.a_crowd_costs_a_good_client_nothing, crowd(0.01), HELD),
    (h6_simulated.a_crowd_costs_a_good_client_nothing, crowd(0.5), BROKEN),
    (h6_simulated.a_crowd_costs_a_good_client_nothing, crowd(0.01, goes_on=False), BROKEN),
    (h6_simulated.streams_make_no_error, looks("stream", {"kind": "x", "found": "closed"}), HELD),
    (h6_simulated.streams_make_no_error, looks("stream", {"kind": "x", "found": "nothing"}), BROKEN),
    (
        h6_simulated.streams_make_no_error,
        looks("stream", {"kind": "x", "found": "closed"}, logged=((40, "boom"),)),
        BROKEN,
    ),
    (h6_simulated.a_flood_gets_its_rate, rate(19), HELD),
    (h6_simulated.a_flood_gets_its_rate, rate(20), HELD),
    (h6_simulated.a_flood_gets_its_rate, rate(60), BROKEN),
    (h6_simulated.a_flood_gets_its_rate, rate(18), BROKEN),
    (h6_simulated.a_write_that_is_cut_off_is_undone_or_said, cut_off_write(None, "processing_timeout"), HELD),
    (h6_simulated.a_write_that_is_cut_off_is_undone_or_said, cut_off_write("r1", "outcome_unknown"), HELD),
    (h6_simulated.a_write_that_is_cut_off_is_undone_or_said, cut_off_write("r1", "processing_timeout"), BROKEN),
    (h6_simulated.a_write_that_is_cut_off_is_undone_or_said, cut_off_write(None, "", success=True), BROKEN),
    (h5_simulated.refusals_take_no_room, refilled(["r1", "r2"], 2), HELD),
    (h5_simulated.refusals_take_no_room, refilled(["r1"], 1), BROKEN),
    (h5_simulated.refusals_take_no_room, refilled(["r1", "r3"], 2), BROKEN),
    (h5_simulated.refusals_take_no_room, refilled(["r1", "r2"], 3), BROKEN),
    (h6_simulated.a_flood_gets_its_rate, rate(19, "internal_error"), BROKEN),
    (h6_simulated.idle_clients_are_closed_on_time, idle(300), HELD),
    (h6_simulated.idle_clients_are_closed_on_time, idle(301), BROKEN),
    (h6_simulated.idle_clients_are_closed_on_time, idle(300, stop_s=11), BROKEN),
    (h6_simulated.idle_clients_are_closed_on_time, idle(300, goes_on=False), BROKEN),
    (h6_simulated.late_answers_are_nobodys, looks("late_answer", {"asked": "records", "taken": ["records"]}), HELD),
    (h6_simulated.late_answers_are_nobodys, looks("late_answer", {"asked": "records", "taken": ["status"]}), BROKEN),
    (h5_simulated.never_more_than_the_limit, held(3, 3), HELD),
    (h5_simulated.never_more_than_the_limit, held(4, 3), BROKEN),
    (h5_simulated.never_more_than_the_limit, held(3, 4), BROKEN),
    (h5_simulated.refusals_name_the_limit, racing(), HELD),
    (h5_simulated.refusals_name_the_limit, racing("report_invalid"), BROKEN),
    (h5_simulated.refusals_name_the_limit, racing(error="limit 4"), BROKEN),
    (h5_simulated.refusals_name_the_limit, racing(kept=True), BROKEN),
    (h5_simulated.what_was_given_up_is_named, given_up("a"), HELD),
    (h5_simulated.what_was_given_up_is_named, given_up(), BROKEN),
    (h5_simulated.what_was_given_up_is_named, given_up("a", sent=True), BROKEN),
    (h5_simulated.the_oldest_goes_to_failed, evicted("a"), HELD),
    (h5_simulated.the_oldest_goes_to_failed, evicted("c"), BROKEN),
    (h5_simulated.the_oldest_goes_to_failed, evicted("a", "b"), BROKEN),
    (h5_simulated.the_oldest_goes_to_failed, evicted("a", reason=""), BROKEN),
    (h5_simulated.the_oldest_goes_to_failed, evicted("a", gone=True), BROKEN),
    (h5_simulated.intake_is_paused_while_full, looks("intake", {"is_paused": True, "is_full": True}), HELD),
    (h5_simulated.intake_is_paused_while_full, looks("intake", {"is_paused": True, "is_full": False}), BROKEN),
    (h5_simulated.limits_hold_to_the_byte, room(100, None), HELD),
    (h5_simulated.limits_hold_to_the_byte, room(101, "queue_full"), HELD),
    (h5_simulated.limits_hold_to_the_byte, room(101, None), BROKEN),
    (h5_simulated.limits_hold_to_the_byte, room(100, "queue_full"), BROKEN),
    (h5_simulated.limits_hold_to_the_byte, room(101, "disk_error"), BROKEN),
    (h5_simulated.the_figures_are_true, looks("figures", {"said": {"a": 1}, "expected": {"a": 1}}), HELD),
    (h5_simulated.the_figures_are_true, looks("figures", {"said": {"a": 2}, "expected": {"a": 1}}), BROKEN),
    (h3_simulated.failures_are_logged_kept_and_retried, failure(), HELD),
    (h3_simulated.failures_are_logged_kept_and_retried, failure(attempts=0), BROKEN),
    (h3_simulated.failures_are_logged_kept_and_retried, failure(last_error=""), BROKEN),
    (h3_simulated.failures_are_logged_kept_and_retried, failure(errors=0), BROKEN),
    (h3_simulated.failures_are_logged_kept_and_retried, failure(text="something"), BROKEN),
    (h3_simulated.both_causes_are_told, critical(), HELD),
    (h3_simulated.both_causes_are_told, critical(shown="report a: the disk is full"), BROKEN),
    (h3_simulated.both_causes_are_told, critical(level=40), BROKEN),
    (h3_simulated.both_causes_are_told, critical(text=BOTH.replace("(no)", "()")), BROKEN),
    (h3_simulated.no_secret_is_told, texts("[withheld]"), HELD),
    (h3_simulated.no_secret_is_told, texts("it is SECRET"), BROKEN),
    (h3_simulated.no_secret_is_told, texts("", log="it is SECRET"), BROKEN),
    (h4_simulated.fuzzed_files_change_nothing, bad_file(), HELD),
    (h4_simulated.fuzzed_files_change_nothing, bad_file("config.json is bad"), BROKEN),
    (h4_simulated.fuzzed_files_change_nothing, bad_file(limit=8), BROKEN),
    (h4_simulated.fuzzed_files_change_nothing, bad_file(untouched=False), BROKEN),
    (
        h4_simulated.fuzzed_files_change_nothing,
        looks("mended_file", {"told": "refused", "limit": 7, "expected": 7}),
        BROKEN,
    ),
]
IDS = [f"{check.__name__}-{number}" for number, (check, _, _) in enumerate(CASES)]


@pytest.mark.parametrize(("check", "told", "verdict"), CASES, ids=IDS)
def test_a_checker_judges_a_history_written_by_hand(check: Checker, told: Story, verdict: Verdict) -> None:
    pen = Pen()
    told(pen)
    assert check(pen.history).verdict is verdict, check(pen.history)


OURS = [
    check
    for module in (h3_simulated, h4_simulated, h5_simulated, h6_simulated)
    for checks in module.CHECKERS.values()
    for check in checks
]


@pytest.mark.parametrize("check", OURS, ids=lambda check: str(check.__name__))
def test_a_history_of_another_story_is_not_judged(check: Checker) -> None:
    pen = Pen()
    looks("something_else", {})(pen)
    assert check(pen.history).verdict is NOT_EXERCISED


def test_a_property_is_judged_by_the_checkers_of_every_module() -> None:
    found = all_checkers()["H6.1"]
    assert h6_simulated.halves_are_cut_off_on_time in found
    assert len(found) > 1


@scenario(proves=["H6.1"], faults=[])
async def a_story(world: Any) -> None:
    """A story for the judge."""
    del world


def test_a_checker_with_nothing_to_judge_is_silent_beside_one_that_had_something() -> None:
    def answers(verdict: Verdict) -> Checker:
        return lambda _: Finding("", verdict, "", "")

    history = History(lambda: 0)
    both = judge(a_story, history, NO_FAILURE, {"H6.1": (answers(HELD), answers(NOT_EXERCISED))})
    none = judge(a_story, history, NO_FAILURE, {"H6.1": (answers(NOT_EXERCISED),)})
    assert [finding.verdict for finding in both] == [HELD]
    assert [finding.verdict for finding in none] == [NOT_EXERCISED]
