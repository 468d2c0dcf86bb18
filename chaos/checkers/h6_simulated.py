"""H6 in virtual time: limits to the hundredth of a second, commands without later effect, answers that come late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaos.checkers.h6_ipc import NEVER_READING
from chaos.checkers.judgement import judged, kept
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding

EXACT_S = 0.05
"""What a limit may be off in virtual time: a few turns of the loop, and the way of the last byte."""
ERROR_LEVEL = 40
STOP_S = 10.0
"""What a stop takes at most when only IPC clients are in its way: a command has 5 s, and 1 s to hear of its end."""


def halves_are_cut_off_on_time(history: History) -> Finding:
    """H6.1: neither before nor after its limit, and what comes just in time is answered."""
    cuts = [cut for cut in _exact_cuts(history) if cut["hang"] != NEVER_READING]
    slow = [look.value for look in history.observed("slow_request")]
    wrong = _off(cuts)
    for look in slow:
        is_in_time = look["takes_s"] < look["limit_s"]
        due_s = look["takes_s"] if is_in_time else look["limit_s"]
        if look["answered"] != is_in_time or (abs(look["after_s"] - due_s) > EXACT_S and is_in_time):
            met = "answered" if look["answered"] else "cut off"
            wrong.append(f"a request that took {look['takes_s']} s was {met} after {look['after_s']:.2f} s")
    return judged("cut off at the limit, answered within it", wrong, of=len(cuts) + len(slow))


def blocked_writes_are_cut_off_on_time(history: History) -> Finding:
    """H6.2: neither before nor after the write limit."""
    cuts = [cut for cut in _exact_cuts(history) if cut["hang"] == NEVER_READING]
    return judged("cut off at the write limit", _off(cuts), of=len(cuts))


def slow_commands_end_at_the_limit(history: History) -> Finding:
    """H6.3: within the limit it succeeds; over it a typed error comes on time, nothing later, and all goes on."""
    looks = [look.value for look in history.observed("slow_command")]
    wrong = []
    for look in looks:
        fits = look["kind"] == "59.9 s"
        due_s = 59.9 if fits else look["limit_s"]
        said = "success" if look["success"] else look["code"]
        if said != ("success" if fits else "processing_timeout") or look["request_id"] != look["asked"]:
            wrong.append(f"a command of {look['kind']} was answered {said} to request {look['request_id']}")
        if abs(look["took_s"] - due_s) > EXACT_S:
            wrong.append(f"a command of {look['kind']} was answered after {look['took_s']:.2f} s")
    wrong += _broken_off(history)
    known = kept(history.last("folders").value) if looks else {}
    late = [look for look in looks if look["kind"] != "59.9 s" and look["report_id"] in known]
    wrong += [f"a command of {look['kind']} had its effect after its error" for look in late]
    return judged("an answer in time, no later effect", wrong, of=len(looks))


def a_write_that_is_cut_off_is_undone_or_said(history: History) -> Finding:
    """H6.3: what was answered as without effect is kept nowhere, what was acknowledged is kept."""
    looks = [look.value for look in history.observed("cut_off_write")]
    known = kept(history.last("folders").value) if looks else {}
    wrong = []
    for look in looks:
        is_kept, report_id = look["report_id"] in known, look["report_id"][:8]
        if look["success"] and not is_kept:
            wrong.append(f"report {report_id} was acknowledged and is nowhere")
        if not look["success"] and is_kept and look["code"] != "outcome_unknown":
            wrong.append(f"report {report_id} was answered {look['code']} and kept all the same")
    return judged("no effect after an error that says so", wrong, of=len(looks))


def a_crowd_costs_a_good_client_nothing(history: History) -> Finding:
    """H6.4: who comes is answered at once, and who calls regularly keeps the connection."""
    crowds = [look for look in history.observed("crowd") if look.value.get("is_exact")]
    slow = [op.took_s for op in history.operations("ask") if op.took_s > EXACT_S]
    wrong = [f"a good client waited {took_s:.2f} s" for took_s in slow] + _broken_off(history)
    return judged("answered at once, the connection kept", wrong if crowds else [], of=len(crowds))


def streams_make_no_error(history: History) -> Finding:
    """H6.6: each is answered or closed, others are answered, and no error is logged or left to nobody."""
    looks = [look.value for look in history.observed("stream")]
    wrong = [
        f"{look['kind']}: {look['found']}"
        for look in looks
        if look["found"] in ("nothing", "") or "odd" in look["found"]
    ]
    logged = [record for look in history.observed("logged") for record in look.value["records"]]
    wrong += [f"logged {record['text'][:160]}" for record in logged if record["level"] >= ERROR_LEVEL]
    wrong += [str(failure)[:200] for look in history.observed("unhandled") for failure in look.value["failures"]]
    asked = history.operations("ask")
    wrong += ["a good client got no answer" for operation in asked if str(operation.outcome) != "ok"]
    return judged("answered or closed, no error", wrong, of=len(looks) if history.observed("logged") else 0)


def a_flood_gets_its_rate(history: History) -> Finding:
    """H6.7: as many are served as the rate has left; the others are told so."""
    looks = [look.value for look in history.observed("rate")]
    wrong = [
        f"{look['served']} served instead of {look['least']} to {look['most']}, answered {look['codes']}"
        for look in looks
        if not look["least"] <= look["served"] <= look["most"] or set(look["codes"]) - {None, "rate_limited"}
    ]
    return judged("what the rate has left is served, the rest refused", wrong, of=len(looks))


def idle_clients_are_closed_on_time(history: History) -> Finding:
    """H6.8: at the limit, neither before nor after; who asks stays."""
    looks = [look.value for look in history.observed("idle") if look.value["limit_s"] == 300]
    wrong = [
        f"the idle client was closed after {look['closed_after_s']:.2f} s"
        for look in looks
        if abs(look["closed_after_s"] - look["limit_s"]) > EXACT_S
    ]
    wrong += _broken_off(history)
    stops = [operation.took_s for operation in history.operations("stop")] if looks else []
    wrong += [f"the stop took {took_s:.1f} s, with nothing to wait for" for took_s in stops if took_s > STOP_S]
    return judged("closed after five minutes, to the second", wrong, of=len(looks))


def late_answers_are_nobodys(history: History) -> Finding:
    """H6.9: after a time-out the next request gets its own answer."""
    looks = [look.value for look in history.observed("late_answer")]
    wrong = [f"asked for {look['asked']}, took {look['taken']}" for look in looks if look["asked"] not in look["taken"]]
    return judged("its own answer each time", wrong, of=len(looks))


def _broken_off(history: History) -> list[str]:
    return ["a good connection broke off" for look in history.observed("goes_on") if not look.value["answered"]]


def _exact_cuts(history: History) -> list[Mapping[str, Any]]:
    return [look.value for look in history.observed("cut") if look.value.get("is_exact")]


def _off(cuts: list[Mapping[str, Any]]) -> list[str]:
    return [
        f"the client that hung ({cut['hang']}) was cut off after {cut['closed_after_s']} s, limit {cut['limit_s']} s"
        for cut in cuts
        if cut["closed_after_s"] is None or abs(cut["closed_after_s"] - cut["limit_s"]) > EXACT_S
    ]


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H6.1": (halves_are_cut_off_on_time,),
    "H6.2": (blocked_writes_are_cut_off_on_time,),
    "H6.3": (slow_commands_end_at_the_limit, a_write_that_is_cut_off_is_undone_or_said),
    "H6.4": (a_crowd_costs_a_good_client_nothing,),
    "H6.6": (streams_make_no_error,),
    "H6.7": (a_flood_gets_its_rate,),
    "H6.8": (idle_clients_are_closed_on_time,),
    "H6.9": (late_answers_are_nobodys,),
}
