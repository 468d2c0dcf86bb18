"""H1 in virtual time: what is kept when the power goes, the disk fails, the clock jumps, or two are called the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from chaos.checkers.judgement import half_written, judged, kept, lost, undelivered
from chaos.history import History, Kind
from chaos.protocols import Checker
from chaos.verdict import Finding

RETENTION_S = 7 * 86_400.0
ROUND_S = 65.0
FLOW_S = 1.0


def durable_before_the_network(history: History) -> Finding:
    """H1.2: a report of which the server has seen anything when the power goes is here, whole, at the next start."""
    seen = history.observed("exchanges")
    looks = history.observed("folders")
    if not seen or not looks:
        return judged("here before it is there", [], of=0)
    offered = {op.start.value["report_id"]: op.start.value["sha256"] for op in history.operations("submit")}
    here = kept(looks[0].value, "pending", "sent")
    ids = dict.fromkeys(exchange["report_id"] for exchange in seen[0].value["exchanges"])
    wrong = [
        f"the server read report {report_id[:8]}, which is not on the disk after the power loss"
        for report_id in ids
        if offered.get(report_id) not in [copy["sha256"] for copy in here.get(report_id, [])]
    ]
    return judged("here before it is there", wrong, of=len(ids))


def the_disk_s_errors_are_told(history: History) -> Finding:
    """H1.8: what the disk refused is refused and nowhere; what was accepted arrives; nothing lies half-written."""
    looks = [look.value for look in history.observed("half_written")]
    wrong = []
    for look in looks:
        wrong += [f"after {look['error']} pending/ has {name}" for name in half_written(history, look["names"])]
    submits = list(history.operations("submit")) if looks else []
    refused = [op for op in submits if op.outcome is Kind.FAILED]
    codes = [op.value.get("code") for op in refused]
    wrong += [f"a report was refused as {code}" for code in codes if code != "disk_error"]
    if len(refused) > (hit := sum(min(1, look["hit"]) for look in looks)):
        wrong.append(f"{len(refused)} reports were refused for {hit} errors of the disk")
    power_was_lost = bool(history.faults("process.power"))  # It may bring back a whole record that was taken back.
    ends = kept(history.last("folders").value) if looks and not power_was_lost else {}
    wrong += [f"report {i[:8]} was refused and kept" for op in refused if (i := op.value["report_id"]) in ends]
    wrong += lost(history) + undelivered(history) if looks else []
    return judged("each error told, nothing left, well afterwards", wrong, of=len(looks))


def no_two_uploads_of_one_report(history: History) -> Finding:
    """H1.9: between two uploads of one report id the first has always ended."""
    by_id: dict[str, list[Mapping[str, int]]] = {}
    looks = history.observed("exchanges")
    for exchange in looks[0].value["exchanges"] if looks else ():
        by_id.setdefault(exchange["report_id"], []).append(exchange)
    wrong = [
        f"report {report_id[:8]} was in flight twice at {other['began_ns'] / 1e9:.3f} s"
        for report_id, uploads in by_id.items()
        for one, other in pairwise(uploads)
        if other["began_ns"] < one["ended_ns"]
    ]
    return judged("never in flight twice", wrong, of=len(by_id))


def none_waits_for_a_failing_one(history: History) -> Finding:
    """H1.10: what the server takes was sent as soon as there was a slot, whatever failed before it."""
    looks = [look.value for look in history.observed("held_up")]
    wrong = [f"report {i[:8]} was held up by failing ones" for look in looks for i in look["late"]]
    return judged("not held back by a failing one", wrong, of=sum(look["good"] for look in looks))


def only_what_is_too_old_is_pruned(history: History) -> Finding:
    """H1.11: a report leaves sent/ when it was sent over seven days ago by the wall clock, and nothing else does."""
    sent_at: dict[str, float] = {}
    gone: set[str] = set()
    wrong: list[str] = []
    before: set[str] = set()
    for look in (event.value for event in history.observed("sent_folder")):
        now_s, there = look["wall_s"], set(look["sent"])
        for report_id in sorted(set(look["delivered"]) - set(sent_at)):
            sent_at[report_id] = now_s
        for report_id, at_s in sent_at.items():
            age_s = now_s - at_s
            if age_s > RETENTION_S + ROUND_S:
                gone.add(report_id)
            if report_id in there and report_id in gone and age_s > RETENTION_S + ROUND_S:
                wrong.append(f"report {report_id[:8]} is in sent/ after {age_s / 86_400:.1f} days")
            if report_id not in there and report_id not in gone:
                wrong.append(f"report {report_id[:8]} left sent/ after {age_s / 86_400:.1f} days")
        kept_on = set(look["pending"]) | set(look["failed"]) | set(look["delivered"])
        wrong += [f"report {i[:8]} is gone from pending/ or failed/" for i in sorted(before - kept_on)]
        before |= set(look["pending"]) | set(look["failed"])
        wrong += [] if look["notes"] else ["a file put into sent/ by hand is gone"]
    return judged("kept for seven days, and nothing else is touched", wrong, of=len(sent_at))


def a_hung_slot_costs_nothing_else(history: History) -> Finding:
    """H1.14: the others take the time that they always take."""
    looks = [look.value for look in history.observed("flow_exact")]
    wrong = [f"the others took {look['took_s']:.2f} s" for look in looks if look["took_s"] > FLOW_S]
    return judged("as if nothing hung", wrong, of=len(looks))


def nothing_is_overwritten(history: History) -> Finding:
    """H1.15: every accepted report's bytes are kept, also beside another of the same id, name or instant."""
    looks = history.observed("contents")
    done = [op for op in history.operations("submit") if op.outcome is Kind.OK] if looks else []
    wrong = [f"a report was refused: {op.value.get('error')}" for op in history.operations("submit")
             if looks and op.outcome is Kind.FAILED]  # fmt: skip
    for look in looks:
        wanted = Counter(op.value["sha256"] for op in done if op.end and op.end.index < look.index)
        missing = wanted - Counter(look.value["hashes"])
        if missing:
            wrong.append(f"{missing.total()} of {wanted.total()} reports are kept nowhere")
    if looks and kept(history.last("folders").value, "pending"):
        wrong.append("a report of them was never sent")
    return judged("each kept beside the other", wrong, of=len(done))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H1.2": (durable_before_the_network,),
    "H1.8": (the_disk_s_errors_are_told,),
    "H1.9": (no_two_uploads_of_one_report,),
    "H1.10": (none_waits_for_a_failing_one,),
    "H1.11": (only_what_is_too_old_is_pruned,),
    "H1.14": (a_hung_slot_costs_nothing_else,),
    "H1.15": (nothing_is_overwritten,),
}
