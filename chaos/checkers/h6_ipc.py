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
    return judged(
        "cut off at the limit, others answered", _late(cuts) + (unanswered(history) if cuts else []), of=len(cuts)
    )


def readers_that_never_read_are_cut_off(history: History) -> Finding:
    """H6.2: a client that never reads is gone at the write limit."""
    cuts = [look.value for look in history.observed("cut") if look.value["hang"] == NEVER_READING]
    return judged("cut off at the write limit", _late(cuts), of=len(cuts))


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


def unanswered(history: History, usual_s: float = 1.0) -> list[str]:
    """Return in words how a good client was kept waiting or refused, or that nobody asked; 1 s is long, live."""
    asked = list(history.operations("ask"))
    failed = [f"a good client got {op.outcome}: {op.value.get('error')}" for op in asked if op.outcome is not Kind.OK]
    slow = [op.took_s for op in asked if op.took_s > usual_s]
    return failed + ([f"a good client waited {max(slow):.2f} s"] if slow else []) + ([] if asked else ["nobody asked"])


MARGIN_S = 2.0
"""What a live cut may come later than its limit: filling the socket's buffers, and a busy machine."""

CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H6.1": (hung_clients_are_cut_off,),
    "H6.2": (readers_that_never_read_are_cut_off,),
}
