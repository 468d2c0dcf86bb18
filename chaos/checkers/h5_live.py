"""H5, live: limits in bytes hold, the count is the folder's, and a long queue costs no more than a short one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.checkers.judgement import judged, lost, undelivered
from chaos.history import History, Kind
from chaos.protocols import Checker
from chaos.verdict import Finding

DEARER_MAX = 2.0
NOISE_S = 0.004
"""By how much more, and by how many seconds, accepting beside ten thousand may be dearer, live.

Compared is the fastest tenth: a busy machine makes single calls slower, a queue that is looked through makes all."""


def limits_in_bytes_hold(history: History) -> Finding:
    """H5.5: what would pass a limit is refused as queue-full, what fits is accepted; fine again when there is room."""
    if not history.observed("limits"):
        return judged("refused above the limits", [], of=0)
    limit = history.last("limits").value
    fitting = limit["max_bytes"] // limit["size"]
    refused = [op for op in history.operations("submit") if op.outcome is not Kind.OK]
    wrong = [f"a refusal said {op.value.get('code')}" for op in refused if op.value.get("code") != "queue_full"]
    wrong += [] if len(refused) == 6 - fitting + 1 else [f"{len(refused)} refusals instead of {6 - fitting + 1}"]
    return judged("refused above the limits", wrong + lost(history) + undelivered(history), of=len(refused))


def the_count_is_the_folders(history: History) -> Finding:
    """H5.4: after kills, and after files that came and went by hand, the count said is the one found."""
    looks = [look.value for look in history.observed("count")]
    wrong = [
        f"{look['said']} said, {look['found']} found, {look['expected']} expected"
        for look in looks
        if not look["said"] == look["found"] == look["expected"]
    ]
    return judged("the count said is the count found", wrong + undelivered(history), of=len(looks))


def a_long_queue_costs_no_more(history: History) -> Finding:
    """H5.6: accepting beside 10,000 takes what it takes beside 10; highest, refused and evicted are told."""
    looks = [look.value for look in history.observed("cost")]
    wrong = []
    for look in looks:
        few, many = _fastest_tenth(look["few_s"]), _fastest_tenth(look["many_s"])
        if many > few * DEARER_MAX + NOISE_S:
            wrong.append(f"accepting took {many * 1000:.1f} ms beside 10,000, {few * 1000:.1f} ms beside 10")
        figures = look["figures"]
        if not all(key in figures for key in ("highest", "refused", "evicted")) or figures["highest"] < 10_000:
            wrong.append(f"the figures are {figures}")
    waiting = [look["pending"] for look in looks]
    return judged("no dearer, and the figures told", wrong, of=sum(count >= 10_000 for count in waiting))


def _fastest_tenth(took_s: Sequence[float]) -> float:
    return sorted(took_s)[len(took_s) // 10]


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H5.4": (the_count_is_the_folders,),
    "H5.5": (limits_in_bytes_hold,),
    "H5.6": (a_long_queue_costs_no_more,),
}
