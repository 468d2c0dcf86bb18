"""H1 in virtual time, where waits and orders are exact: when a report is tried again, where it ends, what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from chaos.checkers.judgement import accepted, delivered, judged, kept, undelivered
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding

ATTEMPTS = 10
SLACK_S = 1.0
AT_THE_LIMIT = 0.002
JUDGED_WAITS = 6
"""So many late waits, each drawn up to its limit, can be neither all short nor all at the limit by chance."""


def _exchanges(history: History) -> dict[str, list[Mapping[str, Any]]]:
    """Return the uploads that reached the server by their report, in the order in which they began."""
    looks = history.observed("exchanges")
    found: dict[str, list[Mapping[str, Any]]] = {}
    for exchange in looks[-1].value["exchanges"] if looks else ():
        found.setdefault(exchange["report_id"], []).append(exchange)
    return found


def _settings(history: History) -> Mapping[str, Any]:
    return history.observed("settings")[0].value


def _starts_ns(history: History) -> list[int]:
    return [op.end.time_ns for op in history.operations("start") if op.end]


def waits_grow_up_to_the_cap(history: History) -> Finding:
    """H1.3, H1.12: each wait is at most its limit, which doubles up to the cap; the waits are drawn, not fixed."""
    given = _settings(history)
    interval_s, cap_s = given.get("retry_interval_seconds", 30.0), given.get("retry_cap_seconds", 3600.0)
    wishes = {i: wish for look in history.observed("wishes") for i, wish in look.value["wishes"].items()}
    wrong: list[str] = []
    ratios: list[float] = []
    late_waits: list[float] = []
    for report_id, uploads in _exchanges(history).items():
        for number, (one, other) in enumerate(pairwise(uploads), start=1):
            if any(one["began_ns"] <= start_ns <= other["began_ns"] for start_ns in _starts_ns(history)):
                continue
            wait_s = (other["began_ns"] - one["ended_ns"]) / 1e9 - (wishes.get(report_id, 0.0) if number == 1 else 0.0)
            limit_s = min(cap_s, interval_s * 2.0 ** min(number - 1, 60))
            if wait_s > limit_s + SLACK_S:
                wrong.append(
                    f"report {report_id[:8]} waited {wait_s:.0f} s after attempt {number}, limit {limit_s:g} s"
                )
            ratios.append(wait_s / limit_s)
            if limit_s >= 4 * interval_s:
                late_waits.append(wait_s)
    wrong += _not_drawn(ratios, late_waits, interval_s)
    return judged("waits drawn up to a limit that doubles up to the cap", wrong, of=len(ratios))


def _not_drawn(ratios: Sequence[float], late_waits: Sequence[float], interval_s: float) -> list[str]:
    """Return what no chance explains: waits that are all at their limit, or late ones that have not grown."""
    wrong = []
    longest = sum(abs(ratio - 1) < AT_THE_LIMIT for ratio in ratios)
    if len(ratios) >= JUDGED_WAITS and 2 * longest >= len(ratios):
        wrong.append(f"{longest} of {len(ratios)} waits are as long as their limit: nothing is drawn")
    if len(late_waits) >= 2 * JUDGED_WAITS and max(late_waits) <= interval_s + SLACK_S:
        wrong.append(f"none of {len(late_waits)} late waits is longer than the first limit")
    return wrong


def the_server_s_wish_is_kept(history: History) -> Finding:
    """H1.3, H1.12: a report that was put off by Retry-After comes back after it, and soon after it."""
    looks = history.observed("wishes")
    wrong, count = [], 0
    for look in looks:
        for report_id, wish_s in look.value["wishes"].items():
            uploads = _exchanges(history).get(report_id, [])
            if len(uploads) < 2:
                wrong.append(f"report {report_id[:8]} did not come back")
                continue
            count += 1
            waited_s = (uploads[1]["began_ns"] - uploads[0]["ended_ns"]) / 1e9
            if not wish_s - SLACK_S <= waited_s <= wish_s + look.value["limit_s"] + SLACK_S:
                wrong.append(f"report {report_id[:8]} came back after {waited_s:.1f} s, the wish was {wish_s} s")
    return judged("back after Retry-After, and soon", wrong, of=count)


def attempts_survive(history: History) -> Finding:
    """H1.3: the count of a waiting report's attempts never falls, and is no less than the answers it had."""
    wrong: list[str] = []
    highest: dict[str, int] = {}
    looks = history.observed("folders")
    for look in looks:
        for report_id, copies in kept(look.value, "pending").items():
            attempts = copies[0]["attempts"]
            if attempts < highest.get(report_id, 0):
                wrong.append(f"report {report_id[:8]} had {highest[report_id]} attempts and has {attempts}")
            highest[report_id] = max(attempts, highest.get(report_id, 0))
    return judged("attempts that never fall", wrong, of=len(highest))


def ten_attempts_then_failed(history: History) -> Finding:
    """H1.4: exactly ten attempts, then failed/ with the story; by hand it is sent after all, or goes for good."""
    hands = [look.value for look in history.observed("by_hand")]
    wrong: list[str] = []
    for hand in hands:
        for report_id in (hand["retried"], hand["discarded"]):
            wrong += _given_up_wrongly(history, report_id, hand)
        end = kept(history.last("folders").value)
        there = delivered(history.last("deliveries").value)
        if [copy["folder"] for copy in end.get(hand["retried"], [])] != ["sent"] or hand["retried"] not in there:
            wrong.append("the report that was retried by hand is not in sent/")
        if hand["discarded"] in end:
            wrong.append("the report that was discarded by hand is still kept")
        others = [i for i in accepted(history) if i not in (hand["retried"], hand["discarded"])]
        wrong += [f"report {i[:8]} is gone" for i in others if i not in end or i not in there]
    return judged("ten attempts, failed/ with the story, then by hand", wrong, of=2 * len(hands))


def _given_up_wrongly(history: History, report_id: str, hand: Mapping[str, Any]) -> list[str]:
    tries = len(_exchanges(history).get(report_id, []))
    wrong = [f"{tries} uploads before it was given up"] if tries != ATTEMPTS else []
    places = history.last("story", report_id=report_id).value["places"]
    if [place["folder"] for place in places] != ["failed"]:
        return [*wrong, f"it is in {[place['folder'] for place in places]}"]
    story = places[0]
    tried = [event for event in story["history"] if event["what"] == "attempt"]
    if story["attempts"] != ATTEMPTS or len(tried) != ATTEMPTS:
        wrong.append(f"its story tells of {story['attempts']} attempts and of {len(tried)}")
    said = story["last_error"] or ""
    if str(hand["status"]) not in said or hand["words"] not in said:
        wrong.append(f"its last error is {story['last_error']!r}")
    return [f"report {report_id[:8]}: {words}" for words in wrong]


def each_status_as_promised(history: History) -> Finding:
    """H1.7: refused at once and for good with the server's words; known is sent; credentials cost no attempt."""
    wrong: list[str] = []
    fates = {i: fate for look in history.observed("fates") for i, fate in look.value["fates"].items()}
    stories = {look.value["report_id"]: look.value["places"] for look in history.observed("story")}
    for report_id, fate in fates.items():
        folders = [place["folder"] for place in stories[report_id]]
        if folders != [fate["folder"]]:
            wrong.append(f"after {fate['status']} {fate['words']!r} it is in {folders}")
        elif fate["folder"] == "failed" and fate["words"] not in (stories[report_id][0]["last_error"] or ""):
            wrong.append(f"{stories[report_id][0]['last_error']!r} is not what the server said")
        if (tries := len(_exchanges(history).get(report_id, []))) > 1:
            wrong.append(f"after {fate['status']} it was sent {tries} times")
    for look in history.observed("held_back"):
        held = look.value
        wrong += [f"{n} attempts lost by refused credentials" for n in held["attempts"].values() if n]
        wrong += [f"report {i[:8]} is not kept" for i in held["reports"] if i not in held["attempts"]]
        wrong += [f"the API counts as {held['api']}"] if held["api"] in ("Online", "Offline") else []
    end = kept(history.last("folders").value, "sent") if history.observed("folders") else {}
    wrong += [f"report {i[:8]} was not sent" for i in accepted(history) if i not in fates and i not in end]
    return judged("each status has its meaning", wrong, of=len(fates))


def in_the_order_of_arrival(history: History) -> Finding:
    """H1.10, H1.12: with one slot, reports of one priority are tried first in the order in which they were accepted."""
    wrong, count = [], 0
    first = {i: uploads[0]["began_ns"] for i, uploads in _exchanges(history).items()}
    for look in history.observed("handed_over"):
        wanted = [i for i in look.value["reports"] if i in first]
        count += len(wanted)
        for one, other in pairwise(wanted):
            if first[one] > first[other]:
                wrong.append(f"report {other[:8]} overtook {one[:8]}, which was there before it")
    wrong += undelivered(history) if history.observed("handed_over") else []
    return judged("first in, first out", wrong, of=count)


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H1.3": (waits_grow_up_to_the_cap, the_server_s_wish_is_kept, attempts_survive),
    "H1.4": (ten_attempts_then_failed,),
    "H1.7": (each_status_as_promised,),
    "H1.10": (in_the_order_of_arrival,),
    "H1.12": (waits_grow_up_to_the_cap, the_server_s_wish_is_kept, in_the_order_of_arrival),
}
