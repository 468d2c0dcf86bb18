"""H6 against hostile clients: nobody waits for them, nothing they send hurts, nothing foreign is believed."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.h6_ipc import unanswered
from chaos.checkers.judgement import judged, undelivered
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding

OWN_SOCKETS_MAX = 40
CUT_MARGIN_S = 12.0
"""How much later than the limit the last of a thousand may be, live: it has to get in, and to fill the buffers."""

CROWD_WAIT_S = 3.0
"""The longest that a good client may wait beside a thousand, live, on a busy machine; waiting for one costs 5 s."""

GROWTH_BYTES_MAX = 64 << 20
STOP_MARGIN_S = 3.0


def a_crowd_is_gone_and_nobody_waits(history: History) -> Finding:
    """H6.4: all of the crowd are closed at the limit, connections stay bounded, a good client is answered as ever."""
    looks = [look.value for look in history.observed("crowd")]
    wrong = unanswered(history, CROWD_WAIT_S)
    for look in looks:
        for kind, found in look["kinds"].items():
            if found["closed"] != found["count"]:
                wrong.append(f"{found['count'] - found['closed']} clients ({kind}) were never closed")
            elif found["latest_s"] > look["limit_s"] + CUT_MARGIN_S:
                wrong.append(f"a client ({kind}) was closed after {found['latest_s']:.1f} s")
    most = history.last("settings").value["ipc_max_connections"] + OWN_SOCKETS_MAX
    held = [look.value["socket"] for look in history.observed("resources")]
    wrong += [f"{count} sockets open at once" for count in held if count > most]
    return judged("all gone at the limit, others answered", wrong, of=sum(map(len, (look["kinds"] for look in looks))))


def one_answer_each_in_order(history: History) -> Finding:
    """H6.5: exactly one answer per request, in order, under its id, whatever its size; nothing outside a frame."""
    looks = [look.value for look in history.observed("answers")]
    wrong = [
        f"asked {look['asked']}, answered {look['answered']}" for look in looks if look["asked"] != look["answered"]
    ]
    for look in looks:
        for command, fields in zip(look["commands"], look["data"], strict=True):
            wanted = "records" if command == "get_queue" else "status"
            wrong += [] if wanted in fields else [f"{command} was answered with {fields}"]
    return judged("one answer each, in order", wrong, of=sum(len(look["asked"]) for look in looks))


def rubbish_hurts_nobody(history: History) -> Finding:
    """H6.6: an error or a closed connection each time, no error in the log, others answered, memory bounded."""
    looks = [look.value for look in history.observed("rubbish")]
    good = ("closed", "error ")
    wrong = [f"{look['kind']}: {look['found']}" for look in looks if not look["found"].startswith(good)]
    lines = [line for look in history.observed("log") for line in str(look.value["text"]).splitlines()]
    wrong += [f"logged {line[:160]}" for line in lines if "level=ERROR" in line or "level=CRITICAL" in line]
    growth = [look.value["bytes"] for look in history.observed("growth")]
    wrong += [f"memory grew by {size >> 20} MiB" for size in growth if size > GROWTH_BYTES_MAX]
    return judged("an error or a closed line, nobody hurt", wrong + unanswered(history), of=len(looks) * len(growth))


def only_those_who_may_are_answered(history: History) -> Finding:
    """H6.7: without the right token nothing but refusals; above the rate too; the socket is for its owner only."""
    wrong = []
    looks = [look.value for look in history.observed("token")]
    for look in looks:
        if look["found"] is not None and look["found"].get("code") != "authentication":
            wrong.append(
                f"token {look['kind']}: get_status gave {look['found'].get('code')} {look['found'].get('data')}"
            )
        if look["kind"] != "none" and (look["said"] or {}).get("success"):
            wrong.append(f"token {look['kind']} was taken")
    floods = [look.value["codes"] for look in history.observed("flood")]
    wrong += ["a flood was served to the end" for codes in floods if "rate_limited" not in codes]
    for look in (look.value for look in history.observed("socket")):
        if (look["socket"], look["folder"]) != ("0o600", "0o700"):
            wrong.append(f"the socket is {look['socket']} in a folder of {look['folder']}")
    return judged("refused, and the socket its owner's", wrong, of=len(looks) * len(floods))


def idle_and_hung_clients_are_closed(history: History) -> Finding:
    """H6.8: an idle one at its limit, all at the stop, which keeps its bound."""
    idle = [look.value for look in history.observed("idle")]
    wrong = [
        f"the idle client was closed after {look['closed_after_s']:.1f} s, limit {look['limit_s']} s"
        for look in idle
        if not look["limit_s"] - 0.2 <= look["closed_after_s"] <= look["limit_s"] + STOP_MARGIN_S
    ]
    limit_s = history.last("settings").value["force_shutdown_seconds"]
    wrong += [f"the stop took {s.took_s:.1f} s" for s in history.operations("stop") if s.took_s > limit_s]
    left = [look.value["clients"] for look in history.observed("open_after_stop")]
    wrong += [f"open after the stop: {names}" for names in left if names]
    return judged("closed at the limit, and at the stop", wrong, of=len(idle) * len(left))


def nothing_of_others_is_taken(history: History) -> Finding:
    """H6.9: the second server ended and the first answered on; a stale socket was replaced; no foreign answer taken."""
    others = [look.value for look in history.observed("another")]
    wrong = [f"the second server ended with {other['exit']}" for other in others if other["exit"] == "exit code 0"]
    alive = [look.value["status"] for look in history.observed("status")]
    wrong += [] if len(alive) == 2 or not others else [f"{len(alive)} of 2 servers answered at the socket"]
    wrong += ["no stale socket was left by the kill" for s in history.observed("stale") if not s.value["is_there"]]
    taken = [look.value["taken"] for look in history.observed("foreign_answer")]
    wrong += [f"a foreign answer was taken: {words[:100]}" for words in taken if "CommandUnansweredError" not in words]
    return judged("live sockets left, stale ones replaced, answers matched", wrong, of=len(others) * len(taken))


def descriptors_come_and_go(history: History) -> Finding:
    """H6.10: who was connected is answered without a free descriptor; with some again all is as ever."""
    held = [look.value["answered"] for look in history.observed("held")]
    wrong = ["a connected client got no answer" for answered in held if not answered]
    return judged("answered on, recovered", wrong + undelivered(history), of=len(held))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H6.4": (a_crowd_is_gone_and_nobody_waits,),
    "H6.5": (one_answer_each_in_order,),
    "H6.6": (rubbish_hurts_nobody,),
    "H6.7": (only_those_who_may_are_answered,),
    "H6.8": (idle_and_hung_clients_are_closed,),
    "H6.9": (nothing_of_others_is_taken,),
    "H6.10": (descriptors_come_and_go,),
}
