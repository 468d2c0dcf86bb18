"""H5: the queue never holds more than its limit, and says why it refuses."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import accepted, judged, kept, lost, offered
from chaos.history import History, Kind
from chaos.protocols import Checker
from chaos.verdict import Finding


def the_limit_holds(history: History) -> Finding:
    """H5.1: as many reports as there are places were accepted, never more, and the folder agrees."""
    if not history.observed("limit"):
        return judged("exactly as many accepted as there are places", [], of=0)
    limit = history.last("limit").value["reports"]
    pending = kept(history.last("folders").value, "pending")
    inside = len(accepted(history))
    wrong = [f"{inside} reports accepted, limit {limit}"] if inside != limit else []
    wrong += [f"{len(pending)} reports in pending/, limit {limit}"] if len(pending) > limit else []
    return judged("exactly as many accepted as there are places", wrong + lost(history), of=len(offered(history)))


def a_refusal_says_why_and_writes_nothing(history: History) -> Finding:
    """H5.2: each refusal is the queue-full error with size and limit, and left nothing on the disk."""
    if not history.observed("limit"):
        return judged("queue_full with size and limit, nothing written", [], of=0)
    pending = kept(history.last("folders").value)
    refused = [op for op in history.operations("submit") if op.outcome is not Kind.OK]
    limit = str(history.last("limit").value["reports"])
    wrong = []
    for refusal in refused:
        value = refusal.value
        if value.get("code") != "queue_full" or limit not in value.get("error", ""):
            wrong.append(f"a refusal said {value.get('code')!r}: {value.get('error')}")
        if value["report_id"] in pending:
            wrong.append(f"report {value['report_id'][:8]} was refused and written")
    return judged("queue_full with size and limit, nothing written", wrong, of=len(refused))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H5.1": (the_limit_holds,),
    "H5.2": (a_refusal_says_why_and_writes_nothing,),
}
