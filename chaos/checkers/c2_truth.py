"""C2: what stands still is said to, no status says more than is true, and no exception is left to Python."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import accepted, judged, lost, undelivered
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding


def what_stands_still_is_reported(history: History) -> Finding:
    """C2.8: the status names the stalled task or the blocked loop and is degraded; reports flow on."""
    looks = history.observed("standing")
    wrong = lost(history) + undelivered(history)
    for look in looks:
        after = [event.value for event in history.observed("status") if event.index > look.index]
        named = [value for value in after if look.value["what"] in str(value["reasons"])]
        wrong += [] if named else [f"no status names {look.value['what']}"]
        wrong += ["a status names it and is not degraded"] if any(not value["degraded"] for value in named) else []
    return judged("named, and degraded", wrong, of=len(looks))


def no_status_says_too_much(history: History) -> Finding:
    """C2.9: of the flaws from the start on each is named by the status, which then is degraded; saving works on."""
    statuses = [event.value for event in history.observed("status")]
    known = {flaw: _NAMED[flaw] for flaw in _flaws(history)}
    wrong = ["a status was not degraded" for value in statuses if known and not value["degraded"]]
    away = {"server.down", "server.status"} & set(known)
    wrong += ["a status says that the server is online" for v in statuses if away and v.get("api_status") == "Online"]
    reasons = str(statuses[-1]["reasons"]) if statuses else ""
    wrong += [f"the status does not name: {words}" for words in known.values() if words not in reasons]
    others = [words for flaw, words in _NAMED.items() if flaw not in known and not (away and flaw.startswith("server"))]
    wrong += [f"the status names a flaw that there is not: {words}" for words in others if words in reasons]
    wrong += lost(history)
    return judged("each flaw named", wrong, of=len(known) * len(statuses) * len(accepted(history)))


_NAMED = {
    "start.port_taken": "health_server",
    "start.bad_converter": "broken",
    "server.down": "server offline",
    "server.status": "server error",
}
"""What the status must say of each flaw of a start."""


def _flaws(history: History) -> list[str]:
    """Return the flaws that were there before the status was asked for."""
    asked = next((event.index for event in history.observed("status")), 0)
    return [name for name in _NAMED if any(fault.index < asked for fault in history.faults(name))]


def nothing_is_left_to_python(history: History) -> Finding:
    """C2.10: no exception that was never retrieved, no coroutine never awaited, no call of the loop's handler."""
    looks = [look.value for look in history.observed("log")]
    wrong = [str(line)[:200] for look in looks for line in look["complaints"]]
    said = sum(len(str(look["text"]).splitlines()) for look in looks)
    return judged("nothing in the log but the service's own words", wrong, of=said)


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "C2.8": (what_stands_still_is_reported,),
    "C2.9": (no_status_says_too_much,),
    "C2.10": (nothing_is_left_to_python,),
}
