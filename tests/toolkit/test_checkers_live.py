"""The checkers of the live scenarios, judged by histories written by hand: some must pass, some must fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from chaos.checkers import c1_conversions, c1_endings, c2_truth, h1_under_faults, h4_live, h5_live, h6_hostile
from chaos.protocols import Checker
from chaos.verdict import Verdict
from tests.toolkit.test_checkers import Pen, Story

HELD, BROKEN, NOT_EXERCISED = Verdict.HELD, Verdict.BROKEN, Verdict.NOT_EXERCISED
LIMITS = {"force_shutdown_seconds": 8, "graceful_shutdown_seconds": 3, "ipc_max_connections": 100, "max_queue_size": 7}


def story(*steps: tuple[str, Mapping[str, Any]], asks: int = 0, slow_s: float = 0.0) -> Story:
    """Return a story of observations, in which somebody asks for the status so often."""

    def tell(pen: Pen) -> None:
        pen.history.observe("settings", **LIMITS)
        for _ in range(asks):
            operation = pen.history.invoke("ask")
            pen.now_s += slow_s
            operation.ok()
        for name, value in steps:
            pen.history.observe(name, **value)

    return tell


def offered_during_a_stop(code: str, *, kept: bool = False, asked: str = "service_stopping") -> Story:
    def tell(pen: Pen) -> None:
        stop = pen.history.invoke("stop", signals=1)
        pen.refused("a", code, "no")
        pen.history.observe("asked", command="set_config", code=asked)
        stop.ok(outcome="clean")
        pen.look(*([("pending", "a")] if kept else []))

    return tell


def stopped(
    took_s: float, outcome: str, *, delivered: int = 1, left: str = "upload r-1", work: str = "upload"
) -> Story:
    said = f"shutdown {outcome} after {took_s} s: 1 reports still pending; left behind: {left}"

    def tell(pen: Pen) -> None:
        pen.accepted("r-1")
        pen.history.observe("settings", **LIMITS)
        pen.history.observe("unending", work=work, is_at_a_report=True)
        operation = pen.history.invoke("stop", signals=1)
        pen.now_s += took_s
        operation.ok(outcome=outcome)
        pen.history.observe("remains", ended=True, processes=[], files=[], said=said)
        pen.look(("pending", "r-1", 1))
        pen.look(("sent", "r-1"), delivered={"r-1": (2, delivered)})

    return tell


def refused_reading(*said: str, hit: int = 1, sent: int = 1) -> Story:
    def tell(pen: Pen) -> None:
        pen.accepted("a")
        pen.history.observe("refused_reading", error="EACCES", hit=hit, said=list(said))
        pen.look(("pending", "a"), delivered={"a": (sent, sent)} if sent else {})

    return tell


def remains(said: str, *, files: tuple[str, ...] = (), ended: bool = True, failed: str = "") -> Story:
    def tell(pen: Pen) -> None:
        pen.accepted("a")
        if failed:
            pen.history.fault("failpoint.raise", place=failed)
        pen.history.observe("remains", ended=ended, processes=[], files=list(files), said=said)
        pen.look(("pending", "a"))

    return tell


PENDING = "1 reports still pending, will be retried at the next start"
OLD, NEW = '{"a": 1, "log_level": "INFO"}', '{"a": 1, "b": 2, "log_level": "DEBUG"}'


def saved(now: str, answer: str = "unanswered") -> Story:
    return story(("config_file", {"before": OLD, "now": now, "wanted": "DEBUG", "answer": answer}))


def converted(
    *, effects: int = 1, sources: tuple[str, ...] = ("a",), early: bool = False, missing: bool = False
) -> Story:
    def tell(pen: Pen) -> None:
        pen.history.observe("dropped", file="f", report_id="r", sha256="a")
        pen.history.observe("sources", files={} if missing else {"f": "a"})
        pen.look(*([("pending", "r")] if early else []))
        if early:
            pen.history.observe("half_written", report_id="r")
        pen.history.observe("sources", files=dict(enumerate(sources)))
        pen.look(("sent", "r"), delivered={"r": (1, effects)})

    return tell


def stalled(*reasons: str, degraded: bool = True) -> Story:
    def tell(pen: Pen) -> None:
        pen.history.observe("standing", what="ping")
        pen.history.observe("status", reasons=list(reasons), degraded=degraded)
        pen.accepted("a")
        pen.look(("sent", "a"), delivered={"a": (1, 1)})

    return tell


def flawed(reasons: str, *, degraded: bool = True, api: str = "Offline") -> Story:
    def tell(pen: Pen) -> None:
        for flaw in ("start.port_taken", "start.bad_converter", "server.down"):
            pen.history.fault(flaw)
        pen.history.observe("status", reasons=[reasons], degraded=degraded, api_status=api)
        pen.accepted("a")
        pen.look(("pending", "a"))

    return tell


def flowing(took_s: float, hung: int = 4) -> Story:
    def tell(pen: Pen) -> None:
        pen.accepted("a")
        pen.history.observe("flow", hung=hung, others=20, took_s=took_s)
        pen.look(("sent", "a"), delivered={"a": (1, 1)})

    return tell


def disk_error(code: str = "disk_error", *, left: str = "a.json", kept: bool = False) -> Story:
    def tell(pen: Pen) -> None:
        pen.accepted("b")
        pen.refused("a", code, "no space")
        pen.history.fault("syscall.ENOSPC")
        pen.history.observe("left_over", names=[left], error="ENOSPC")
        pen.look(("sent", "b"), *([("pending", "a")] if kept else []), delivered={"b": (1, 1)})

    return tell


def foreign(*, is_there: bool = True, is_unchanged: bool = True, reason: str = "no report") -> Story:
    def tell(pen: Pen) -> None:
        files = {"x.json": {"is_there": is_there, "is_unchanged": is_unchanged, "reason": reason}}
        pen.history.observe("quarantine", files=files)
        pen.look()

    return tell


def second(said: str, ended: str = "exit code 4") -> Story:
    def tell(pen: Pen) -> None:
        pen.accepted("a")
        pen.history.fault("service.another", pid=4711)
        pen.history.observe("another", said=said, exit=ended)
        pen.look(("sent", "a"), delivered={"a": (1, 1)})

    return tell


def bad_file(
    told: str = "config.json: max_queue_size", *, size: int = 7, untouched: bool = True, good: str = ""
) -> Story:
    look = {"kind": "wrong type", "told": told, "max_queue_size": size, "untouched": untouched}
    return story(("bad_file", look), ("good_file", {"told": good}))


def counted(said: int, found: int) -> Story:
    def tell(pen: Pen) -> None:
        pen.history.observe("count", said=said, found=found, expected=found)
        pen.look()

    return tell


def large(code: str, refusals: int) -> Story:
    def tell(pen: Pen) -> None:
        for number in range(refusals):
            pen.refused(str(number), code, "full")
        pen.history.observe("limits", max_bytes=450, size=100)
        pen.look()

    return tell


def cost(many_s: float, highest: int = 10_050, pending: int = 10_050) -> Story:
    figures = {"highest": highest, "refused": 0, "evicted": 0}
    return story(("cost", {"few_s": [0.002], "many_s": [many_s], "figures": figures, "pending": pending}))


def crowd(closed: int = 200, latest_s: float = 6, *, sockets: int = 90, slow_s: float = 0.1) -> Story:
    kinds = {"silent": {"count": 200, "closed": closed, "latest_s": latest_s}}
    return story(("resources", {"socket": sockets}), ("crowd", {"limit_s": 5, "kinds": kinds}), asks=2, slow_s=slow_s)


def answers(*answered: str, fields: tuple[str, ...] = ("records",)) -> Story:
    look = {"asked": ["1", "2"], "answered": list(answered), "commands": ["get_queue"], "data": [list(fields)]}
    return story(("answers", look))


def rubbish(found: str, *, log: str = "level=INFO all is well", grown: int = 0) -> Story:
    looks = (("rubbish", {"kind": "x", "found": found}), ("growth", {"bytes": grown}), ("log", {"text": log}))
    return story(*looks, asks=1)


def tokens(code: str, *, taken: bool = False, flood: str = "rate_limited", mode: str = "0o600") -> Story:
    return story(
        ("token", {"kind": "wrong", "said": {"success": taken}, "found": {"code": code}}),
        ("flood", {"codes": [None, flood]}),
        ("socket", {"socket": mode, "folder": "0o700"}),
    )


def idle(closed_after_s: float, *left: str) -> Story:
    looks = (("idle", {"closed_after_s": closed_after_s, "limit_s": 2}), ("open_after_stop", {"clients": list(left)}))
    return story(*looks)


def others(ended: str = "exit code 4", answered: int = 2, taken: str = "CommandUnansweredError: x") -> Story:
    return story(
        ("another", {"exit": ended, "said": ""}),
        *[("status", {"status": "Running"})] * answered,
        ("stale", {"is_there": True}),
        ("foreign_answer", {"taken": taken}),
    )


def held_on(*, answered: bool) -> Story:
    def tell(pen: Pen) -> None:
        pen.history.observe("held", answered=answered)
        pen.look()

    return tell


CASES: list[tuple[Checker, Story, Verdict]] = [
    (c1_endings.nothing_is_taken_during_a_stop, offered_during_a_stop("service_stopping"), HELD),
    (c1_endings.nothing_is_taken_during_a_stop, offered_during_a_stop("queue_full"), BROKEN),
    (c1_endings.nothing_is_taken_during_a_stop, offered_during_a_stop("service_stopping", kept=True), BROKEN),
    (c1_endings.nothing_is_taken_during_a_stop, offered_during_a_stop("service_stopping", asked="obeyed"), BROKEN),
    (h1_under_faults.what_cannot_be_read_now_is_tried_again, refused_reading("put off"), HELD),
    (h1_under_faults.what_cannot_be_read_now_is_tried_again, refused_reading(), BROKEN),
    (h1_under_faults.what_cannot_be_read_now_is_tried_again, refused_reading("put off", sent=0), BROKEN),
    (h1_under_faults.what_cannot_be_read_now_is_tried_again, refused_reading(hit=0), NOT_EXERCISED),
    (c1_endings.the_stop_keeps_its_bound, stopped(4, "forced"), HELD),
    (c1_endings.the_stop_keeps_its_bound, stopped(40, "forced"), BROKEN),
    (c1_endings.the_stop_keeps_its_bound, stopped(4, "crashed"), BROKEN),
    (c1_endings.the_stop_keeps_its_bound, stopped(4, "clean", delivered=2), BROKEN),
    (c1_endings.what_does_not_end_is_named, stopped(4, "forced"), HELD),
    (c1_endings.what_does_not_end_is_named, stopped(40, "forced"), BROKEN),
    (c1_endings.what_does_not_end_is_named, stopped(4, "clean"), BROKEN),
    (c1_endings.what_does_not_end_is_named, stopped(4, "forced", left=""), BROKEN),
    (c1_endings.what_does_not_end_is_named, stopped(4, "forced", left="upload b"), BROKEN),
    (c1_endings.what_does_not_end_is_named, stopped(4, "forced", work="thread"), BROKEN),
    (c1_endings.what_does_not_end_is_named, stopped(4, "forced", work="thread", left="thread: moving r-1"), HELD),
    (c1_endings.what_does_not_end_is_named, stopped(4, "forced", work="thread", left="thread of the store"), BROKEN),
    (c1_endings.nothing_of_it_is_left, remains(PENDING), HELD),
    (c1_endings.nothing_of_it_is_left, remains("stopped"), BROKEN),
    (c1_endings.nothing_of_it_is_left, remains(PENDING, files=("service.sock",)), BROKEN),
    (c1_endings.nothing_of_it_is_left, remains(PENDING, ended=False), BROKEN),
    (c1_endings.nothing_of_it_is_left, remains(PENDING, failed="closing_ipc"), BROKEN),
    (c1_endings.nothing_of_it_is_left, remains(f"step IPC failed; {PENDING}", failed="closing_ipc"), HELD),
    (c1_endings.a_configuration_file_is_whole, saved(OLD), HELD),
    (c1_endings.a_configuration_file_is_whole, saved(NEW), HELD),
    (c1_endings.a_configuration_file_is_whole, saved(NEW[:20]), BROKEN),
    (c1_endings.a_configuration_file_is_whole, saved('{"log_level": "DEBUG"}'), BROKEN),
    (c1_endings.a_configuration_file_is_whole, saved('{"a": 1, "log_level": "LOUD"}'), BROKEN),
    (c1_endings.a_configuration_file_is_whole, saved(OLD, "obeyed"), BROKEN),
    (c1_conversions.neither_lost_nor_doubled, converted(), HELD),
    (c1_conversions.neither_lost_nor_doubled, converted(effects=2), BROKEN),
    (c1_conversions.neither_lost_nor_doubled, converted(sources=()), BROKEN),
    (c1_conversions.neither_lost_nor_doubled, converted(early=True), BROKEN),
    (c1_conversions.neither_lost_nor_doubled, converted(missing=True), BROKEN),
    (c2_truth.what_stands_still_is_reported, stalled("task ping is stalled"), HELD),
    (c2_truth.what_stands_still_is_reported, stalled("all is well"), BROKEN),
    (c2_truth.what_stands_still_is_reported, stalled("task ping is stalled", degraded=False), BROKEN),
    (c2_truth.no_status_says_too_much, flawed("health_server, broken, server offline"), HELD),
    (c2_truth.no_status_says_too_much, flawed("health_server, server offline"), BROKEN),
    (c2_truth.no_status_says_too_much, flawed("health_server, broken, server offline", degraded=False), BROKEN),
    (c2_truth.no_status_says_too_much, flawed("health_server, broken, server offline", api="Online"), BROKEN),
    (c2_truth.nothing_is_left_to_python, story(("log", {"text": "started", "complaints": []})), HELD),
    (c2_truth.nothing_is_left_to_python, story(("log", {"text": "x", "complaints": ["never retrieved"]})), BROKEN),
    (c2_truth.nothing_is_left_to_python, story(("log", {"text": "", "complaints": []})), NOT_EXERCISED),
    (h1_under_faults.others_flow, flowing(2), HELD),
    (h1_under_faults.others_flow, flowing(31), BROKEN),
    (h1_under_faults.others_flow, flowing(2, hung=0), BROKEN),
    (h1_under_faults.a_disk_error_is_told, disk_error(), HELD),
    (h1_under_faults.a_disk_error_is_told, disk_error("internal_error"), BROKEN),
    (h1_under_faults.a_disk_error_is_told, disk_error(left=".a.json.tmp"), BROKEN),
    (h1_under_faults.a_disk_error_is_told, disk_error(left=".1_05_a_9.history.json.tmp"), BROKEN),
    (h1_under_faults.a_disk_error_is_told, disk_error(left=".1_05_b_9.json.tmp"), BROKEN),
    (h1_under_faults.a_disk_error_is_told, disk_error(left=".1_05_b_9.history.json.tmp"), HELD),
    (h1_under_faults.a_disk_error_is_told, disk_error(kept=True), BROKEN),
    (h1_under_faults.foreign_files_are_kept_apart, foreign(), HELD),
    (h1_under_faults.foreign_files_are_kept_apart, foreign(is_there=False), BROKEN),
    (h1_under_faults.foreign_files_are_kept_apart, foreign(is_unchanged=False), BROKEN),
    (h1_under_faults.foreign_files_are_kept_apart, foreign(reason=""), BROKEN),
    (h1_under_faults.nothing_is_in_flight_twice, second("held by process 4711"), HELD),
    (h1_under_faults.nothing_is_in_flight_twice, second("held"), BROKEN),
    (h1_under_faults.nothing_is_in_flight_twice, second("held by process 4711", "exit code 0"), BROKEN),
    (h4_live.a_bad_file_changes_nothing, bad_file(), HELD),
    (h4_live.a_bad_file_changes_nothing, bad_file("refused"), BROKEN),
    (h4_live.a_bad_file_changes_nothing, bad_file("config.json"), BROKEN),
    (h4_live.a_bad_file_changes_nothing, bad_file(size=8), BROKEN),
    (h4_live.a_bad_file_changes_nothing, bad_file(untouched=False), BROKEN),
    (h4_live.a_bad_file_changes_nothing, bad_file(good="still refused"), BROKEN),
    (h5_live.the_count_is_the_folders, counted(4, 4), HELD),
    (h5_live.the_count_is_the_folders, counted(5, 4), BROKEN),
    (h5_live.limits_in_bytes_hold, large("queue_full", 3), HELD),
    (h5_live.limits_in_bytes_hold, large("queue_full", 1), BROKEN),
    (h5_live.limits_in_bytes_hold, large("disk_error", 3), BROKEN),
    (h5_live.a_long_queue_costs_no_more, cost(0.003), HELD),
    (h5_live.a_long_queue_costs_no_more, cost(0.1), BROKEN),
    (h5_live.a_long_queue_costs_no_more, cost(0.003, highest=10), BROKEN),
    (h5_live.a_long_queue_costs_no_more, cost(0.003, pending=50), NOT_EXERCISED),
    (h6_hostile.a_crowd_is_gone_and_nobody_waits, crowd(), HELD),
    (h6_hostile.a_crowd_is_gone_and_nobody_waits, crowd(closed=199), BROKEN),
    (h6_hostile.a_crowd_is_gone_and_nobody_waits, crowd(latest_s=30), BROKEN),
    (h6_hostile.a_crowd_is_gone_and_nobody_waits, crowd(sockets=1000), BROKEN),
    (h6_hostile.a_crowd_is_gone_and_nobody_waits, crowd(slow_s=5), BROKEN),
    (h6_hostile.one_answer_each_in_order, answers("1", "2"), HELD),
    (h6_hostile.one_answer_each_in_order, answers("2", "1"), BROKEN),
    (h6_hostile.one_answer_each_in_order, answers("1", "2", fields=("pong",)), BROKEN),
    (h6_hostile.rubbish_hurts_nobody, rubbish("closed"), HELD),
    (h6_hostile.rubbish_hurts_nobody, rubbish("success"), BROKEN),
    (h6_hostile.rubbish_hurts_nobody, rubbish("nothing"), BROKEN),
    (h6_hostile.rubbish_hurts_nobody, rubbish("closed", log="level=ERROR boom"), BROKEN),
    (h6_hostile.rubbish_hurts_nobody, rubbish("closed", grown=1 << 30), BROKEN),
    (h6_hostile.only_those_who_may_are_answered, tokens("authentication"), HELD),
    (h6_hostile.only_those_who_may_are_answered, tokens("none"), BROKEN),
    (h6_hostile.only_those_who_may_are_answered, tokens("authentication", taken=True), BROKEN),
    (h6_hostile.only_those_who_may_are_answered, tokens("authentication", flood=""), BROKEN),
    (h6_hostile.only_those_who_may_are_answered, tokens("authentication", mode="0o777"), BROKEN),
    (h6_hostile.idle_and_hung_clients_are_closed, idle(2.1), HELD),
    (h6_hostile.idle_and_hung_clients_are_closed, idle(20), BROKEN),
    (h6_hostile.idle_and_hung_clients_are_closed, idle(0.1), BROKEN),
    (h6_hostile.idle_and_hung_clients_are_closed, idle(2.1, "half"), BROKEN),
    (h6_hostile.nothing_of_others_is_taken, others(), HELD),
    (h6_hostile.nothing_of_others_is_taken, others(ended="exit code 0"), BROKEN),
    (h6_hostile.nothing_of_others_is_taken, others(answered=1), BROKEN),
    (h6_hostile.nothing_of_others_is_taken, others(taken="{'status': 'Running'}"), BROKEN),
    (h6_hostile.descriptors_come_and_go, held_on(answered=True), HELD),
    (h6_hostile.descriptors_come_and_go, held_on(answered=False), BROKEN),
]
IDS = [f"{check.__name__}-{number}" for number, (check, _, _) in enumerate(CASES)]


@pytest.mark.parametrize(("check", "told", "verdict"), CASES, ids=IDS)
def test_a_checker_judges_a_history_written_by_hand(check: Checker, told: Story, verdict: Verdict) -> None:
    pen = Pen()
    told(pen)
    assert check(pen.history).verdict is verdict, check(pen.history)


def test_every_checker_is_judged_by_histories_that_pass_and_that_fail() -> None:
    modules = (c1_conversions, c1_endings, c2_truth, h1_under_faults, h4_live, h5_live, h6_hostile)
    checks = {check for module in modules for several in module.CHECKERS.values() for check in several}
    for wanted in (HELD, BROKEN):
        assert checks == {check for check, _, verdict in CASES if verdict is wanted}
