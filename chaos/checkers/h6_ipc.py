"""H6: who hangs is cut off at the limit, and nobody else waits for it."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged
from chaos.history import History, Kind
from chaos.protocols import Checker
from chaos.verdict import Finding

NEVER_READING = "never reading"


def hung_clients_are_cut_off(history: History) -> Finding:
    """H6.1: a client that does not finish its message is gone at the limit; a good one was answered all the time."""
    cuts = [look.value for look in history.observed("cut") if look.value["hang"] != NEVER_READING]
    return judged("cut off at the limit, others answered", _late(cuts) + _unanswered(history), of=len(cuts))


def readers_that_never_read_are_cut_off(history: History) -> Finding:
    """H6.2: a client that never reads is gone at the write limit."""
    cuts = [look.value for look in history.observed("cut") if look.value["hang"] == NEVER_READING]
    return judged("cut off at the write limit", _late(cuts), of=len(cuts))


def a_crowd_costs_nobody_anything(history: History) -> Finding:
    """H6.4: a good client was answered all the time, the connections were bounded, and the whole crowd is gone."""
    crowds = [look.value for look in history.observed("crowd") if int(look.value["size"]) >= CROWD_SIZE]
    cuts = [look.value for look in history.observed("cut")]
    wrong = _late(cuts) + _unanswered(history)
    for crowd in crowds:
        size, connected, places = (int(crowd[name]) for name in ("size", "connected", "connections_max"))
        if connected > places:
            wrong.append(f"{connected} of the crowd were connected, places {places}")
        if connected < places // 2:
            wrong.append(f"only {connected} of {size} hung clients were held, places {places}")
        if len(cuts) < size:
            wrong.append(f"{size - len(cuts)} of {size} hung clients were not followed to their end")
    return judged("a crowd cut off, connections bounded, others answered", wrong, of=len(crowds))


def _late(cuts: list[Mapping[str, object]]) -> list[str]:
    wrong = []
    for cut in cuts:
        took, limit = cut["closed_after_s"], cut["limit_s"]
        assert isinstance(limit, int | float), "a limit is a number of seconds"
        if not isinstance(took, int | float):
            wrong.append(f"the client that hung ({cut['hang']}) was never cut off")
        elif took > limit + MARGIN_S:
            wrong.append(f"the client that hung ({cut['hang']}) was cut off after {took:.1f} s, limit {limit} s")
    return wrong


def _unanswered(history: History) -> list[str]:
    asked = list(history.operations("ask"))
    failed = [f"a good client got {op.outcome}: {op.value.get('error')}" for op in asked if op.outcome is not Kind.OK]
    slow = [op.took_s for op in asked if op.took_s > USUAL_S]
    return failed + ([f"a good client waited {max(slow):.2f} s"] if slow else []) + ([] if asked else ["nobody asked"])


MARGIN_S = 2.0
"""What a live cut may come later than its limit: filling the socket's buffers, and a busy machine."""

USUAL_S = 1.0
"""The longest that a good client may wait for a status, live, on a busy machine."""

CROWD_SIZE = 1000

CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H6.1": (hung_clients_are_cut_off,),
    "H6.2": (readers_that_never_read_are_cut_off,),
    "H6.4": (a_crowd_costs_nobody_anything,),
}
