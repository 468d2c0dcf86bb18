"""The checkers of H1 in virtual time, judged by histories written by hand: each one passes some and fails some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chaos.checkers import h1_kept, h1_simulated
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Verdict

HELD, BROKEN, NOT_EXERCISED = Verdict.HELD, Verdict.BROKEN, Verdict.NOT_EXERCISED
DAY_S = 86_400.0
Story = Callable[[History], None]


def history() -> History:
    return History(lambda: 1_000_000_000_000)


def upload(report_id: str, began_s: float, ended_s: float) -> dict[str, Any]:
    return {"report_id": report_id, "began_ns": int(began_s * 1e9), "ended_ns": int(ended_s * 1e9), "status": 500}


def submitted(told: History, report_id: str, sha256: str = "s") -> None:
    told.invoke("submit", report_id=report_id, sha256=sha256).ok(id=report_id)


def refused(told: History, report_id: str, code: str) -> None:
    told.invoke("submit", report_id=report_id, sha256="s").failed(code=code, error="no")


def look(told: History, folders: dict[str, str], *, delivered: tuple[str, ...] = (), attempts: int = 0) -> None:
    """Observe which report is in which folder, and what the server has."""
    reports = [{"folder": f, "report_id": i, "sha256": "s", "attempts": attempts} for i, f in folders.items()]
    told.observe("folders", reports=reports)
    told.observe("deliveries", reports={i: {"deliveries": 1, "effects": 1, "sha256": "s"} for i in delivered})


def waits(*waits_s: float, at: float = 10.0) -> Story:
    """One report that is tried again after each of the waits."""

    def tell(told: History) -> None:
        told.observe("settings", retry_interval_seconds=30, retry_cap_seconds=120)
        exchanges, now_s = [upload("r", at, at + 1)], at + 1
        for wait_s in waits_s:
            exchanges.append(upload("r", now_s + wait_s, now_s + wait_s + 1))
            now_s += wait_s + 1
        told.observe("exchanges", exchanges=exchanges)

    return tell


def wish(wish_s: float, came_after_s: float) -> Story:
    def tell(told: History) -> None:
        waits(came_after_s)(told)
        told.observe("wishes", wishes={"r": wish_s}, limit_s=30)

    return tell


def attempts(*counts: int) -> Story:
    def tell(told: History) -> None:
        for count in counts:
            look(told, {"r": "pending"}, attempts=count)

    return tell


def given_up(tries: int, attempts_told: int, words: str, end: dict[str, str]) -> Story:
    def tell(told: History) -> None:
        for report_id in ("r", "d"):
            submitted(told, report_id)
            events = [{"what": "attempt"}] * attempts_told
            place = {"folder": "failed", "attempts": attempts_told, "last_error": words, "history": events}
            told.observe("story", report_id=report_id, places=[place])
        told.observe("exchanges", exchanges=[upload(i, n, n + 0.5) for i in ("r", "d") for n in range(tries)])
        told.observe("by_hand", retried="r", discarded="d", status=500, words="No licence")
        look(told, end, delivered=("r",))

    return tell


def fate(folder: str, words: str, *, tries: int = 1, held: int = 0, api: str = "Error") -> Story:
    def tell(told: History) -> None:
        told.observe("fates", fates={"r": {"status": 400, "words": "Rule", "folder": "failed"}})
        told.observe("story", report_id="r", places=[{"folder": folder, "last_error": words}])
        told.observe("exchanges", exchanges=[upload("r", n, n + 0.5) for n in range(tries)])
        told.observe("held_back", api=api, attempts={"h": held}, reports=["h"])

    return tell


def order(*began: tuple[str, float]) -> Story:
    def tell(told: History) -> None:
        told.observe("handed_over", reports=["a", "b"])
        told.observe("exchanges", exchanges=[upload(i, at, at + 1) for i, at in began])
        look(told, {})

    return tell


def power(*here: str) -> Story:
    def tell(told: History) -> None:
        submitted(told, "r")
        told.observe("exchanges", exchanges=[upload("r", 1, 2)])
        look(told, dict.fromkeys(here, "pending"))

    return tell


def disk_error(code: str, names: list[str], *, hit: int = 1, kept: str = "a") -> Story:
    def tell(told: History) -> None:
        submitted(told, "a")
        refused(told, "b", code)
        told.observe("half_written", names=names, error="EIO", hit=hit)
        look(told, {kept: "sent"}, delivered=("a",))

    return tell


def flights(second_began_s: float) -> Story:
    def tell(told: History) -> None:
        told.observe("exchanges", exchanges=[upload("r", 1, 5), upload("r", second_began_s, 9)])

    return tell


def held_up(*late: str) -> Story:
    def tell(told: History) -> None:
        told.observe("held_up", late=list(late), good=2)

    return tell


def aged(days: float, *, there: bool, notes: bool = True, failed: tuple[str, ...] = ("f",)) -> Story:
    """A report that was sent, and a look at the folders so many days later."""

    def tell(told: History) -> None:
        at = {"delivered": ["r"], "pending": []}
        told.observe("sent_folder", wall_s=0.0, sent=["r"], failed=["f"], notes=True, **at)
        sent = ["r"] if there else []
        told.observe("sent_folder", wall_s=days * DAY_S, sent=sent, failed=list(failed), notes=notes, **at)

    return tell


def flow(took_s: float) -> Story:
    def tell(told: History) -> None:
        told.observe("flow_exact", took_s=took_s)

    return tell


def contents(*hashes: str) -> Story:
    def tell(told: History) -> None:
        submitted(told, "r", "one")
        submitted(told, "r", "two")
        told.observe("contents", hashes=list(hashes))
        look(told, {})

    return tell


CASES: list[tuple[Checker, Story, Verdict]] = [
    (h1_simulated.waits_grow_up_to_the_cap, waits(29, 59, 100), HELD),
    (h1_simulated.waits_grow_up_to_the_cap, waits(29, 62), BROKEN),
    (h1_simulated.waits_grow_up_to_the_cap, waits(30, 60, 120, 120, 120, 120), BROKEN),
    (h1_simulated.waits_grow_up_to_the_cap, waits(20, 20, *[25] * 12), BROKEN),
    (h1_simulated.waits_grow_up_to_the_cap, waits(20, 20, *[25] * 11, 90), HELD),
    (h1_simulated.the_server_s_wish_is_kept, wish(300, 310), HELD),
    (h1_simulated.the_server_s_wish_is_kept, wish(300, 200), BROKEN),
    (h1_simulated.the_server_s_wish_is_kept, wish(300, 340), BROKEN),
    (h1_simulated.attempts_survive, attempts(1, 2, 2), HELD),
    (h1_simulated.attempts_survive, attempts(2, 0), BROKEN),
    (h1_simulated.ten_attempts_then_failed, given_up(10, 10, "500: No licence", {"r": "sent"}), HELD),
    (h1_simulated.ten_attempts_then_failed, given_up(11, 11, "500: No licence", {"r": "sent"}), BROKEN),
    (h1_simulated.ten_attempts_then_failed, given_up(10, 10, "it failed", {"r": "sent"}), BROKEN),
    (h1_simulated.ten_attempts_then_failed, given_up(10, 10, "500: No licence", {"r": "failed"}), BROKEN),
    (h1_simulated.ten_attempts_then_failed, given_up(10, 10, "500: No licence", {"r": "sent", "d": "failed"}), BROKEN),
    (h1_simulated.each_status_as_promised, fate("failed", "400: Rule"), HELD),
    (h1_simulated.each_status_as_promised, fate("pending", "400: Rule"), BROKEN),
    (h1_simulated.each_status_as_promised, fate("failed", "400"), BROKEN),
    (h1_simulated.each_status_as_promised, fate("failed", "400: Rule", tries=2), BROKEN),
    (h1_simulated.each_status_as_promised, fate("failed", "400: Rule", held=1), BROKEN),
    (h1_simulated.each_status_as_promised, fate("failed", "400: Rule", api="Online"), BROKEN),
    (h1_simulated.in_the_order_of_arrival, order(("a", 1), ("b", 2)), HELD),
    (h1_simulated.in_the_order_of_arrival, order(("b", 1), ("a", 2)), BROKEN),
    (h1_kept.durable_before_the_network, power("r"), HELD),
    (h1_kept.durable_before_the_network, power(), BROKEN),
    (h1_kept.the_disk_s_errors_are_told, disk_error("disk_error", ["a.json"]), HELD),
    (h1_kept.the_disk_s_errors_are_told, disk_error("internal_error", ["a.json"]), BROKEN),
    (h1_kept.the_disk_s_errors_are_told, disk_error("disk_error", [".a.json.tmp"]), BROKEN),
    (h1_kept.the_disk_s_errors_are_told, disk_error("disk_error", [], hit=0), BROKEN),
    (h1_kept.the_disk_s_errors_are_told, disk_error("disk_error", [], kept="b"), BROKEN),
    (h1_kept.no_two_uploads_of_one_report, flights(6), HELD),
    (h1_kept.no_two_uploads_of_one_report, flights(4), BROKEN),
    (h1_kept.none_waits_for_a_failing_one, held_up(), HELD),
    (h1_kept.none_waits_for_a_failing_one, held_up("a"), BROKEN),
    (h1_kept.only_what_is_too_old_is_pruned, aged(6, there=True), HELD),
    (h1_kept.only_what_is_too_old_is_pruned, aged(6, there=False), BROKEN),
    (h1_kept.only_what_is_too_old_is_pruned, aged(8, there=False), HELD),
    (h1_kept.only_what_is_too_old_is_pruned, aged(8, there=True), BROKEN),
    (h1_kept.only_what_is_too_old_is_pruned, aged(-3650, there=False), BROKEN),
    (h1_kept.only_what_is_too_old_is_pruned, aged(6, there=True, notes=False), BROKEN),
    (h1_kept.only_what_is_too_old_is_pruned, aged(6, there=True, failed=()), BROKEN),
    (h1_kept.a_hung_slot_costs_nothing_else, flow(0.2), HELD),
    (h1_kept.a_hung_slot_costs_nothing_else, flow(30), BROKEN),
    (h1_kept.nothing_is_overwritten, contents("one", "two"), HELD),
    (h1_kept.nothing_is_overwritten, contents("two"), BROKEN),
]


@pytest.mark.parametrize(("check", "told", "verdict"), CASES)
def test_a_checker_judges_a_history_written_by_hand(check: Checker, told: Story, verdict: Verdict) -> None:
    story = history()
    told(story)
    assert check(story).verdict is verdict, check(story)


@pytest.mark.parametrize(
    "check", dict.fromkeys(check for module in (h1_kept, h1_simulated) for c in module.CHECKERS.values() for check in c)
)
def test_a_checker_says_when_there_is_nothing_to_judge(check: Checker) -> None:
    story = history()
    story.observe("settings")
    assert check(story).verdict is NOT_EXERCISED
