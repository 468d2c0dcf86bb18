"""H1 on a real disk and network: one hung upload costs its slot, a disk error is told, foreign files are kept apart."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import accepted, half_written, judged, kept, lost, undelivered
from chaos.history import History, Kind
from chaos.protocols import Checker
from chaos.verdict import Finding

FLOW_S = 10.0
"""How long twenty reports may take through one slot, live, on a busy machine; a hung one would take its 30 s."""


def others_flow(history: History) -> Finding:
    """H1.14: while uploads hung, the others were sent at their usual pace; in the end all are."""
    flows = [look.value for look in history.observed("flow")]
    wrong = [f"{flow['others']} reports took {flow['took_s']:.1f} s" for flow in flows if flow["took_s"] > FLOW_S]
    wrong += ["no upload hung any more while the others were sent" for flow in flows if flow["hung"] < 1]
    return judged("the others at their usual pace", wrong + undelivered(history), of=len(flows))


def a_disk_error_is_told(history: History) -> Finding:
    """H1.8: refused with the disk's error, nothing half-written in pending/, accepted again once the fault is over."""
    refused = [op for op in history.operations("submit") if op.outcome is Kind.FAILED]
    unknown = [op for op in history.operations("submit") if op.outcome is Kind.UNKNOWN]
    faults = [event for event in history.faults() if event.name.startswith("syscall.")]
    if not faults:
        return judged("each disk error told, nothing left", [], of=0)
    codes = [op.value.get("code") for op in refused]
    wrong = [f"a report was refused as {code}" for code in codes if code != "disk_error"]
    wrong += [f"the service gave no answer: {op.value.get('error')}" for op in unknown]
    wrong += [] if len(refused) == len(faults) else [f"{len(faults)} disk errors, {len(refused)} refusals"]
    for look in history.observed("left_over"):
        half = half_written(history, look.value["names"])
        wrong += [f"after {look.value['error']} pending/ has {name}" for name in half]
    pending = {i for look in history.observed("folders") for i in kept(look.value)}
    wrong += [f"report {i[:8]} was refused and kept" for op in refused if (i := op.value["report_id"]) in pending]
    return judged("each disk error told, nothing left", wrong + lost(history) + undelivered(history), of=len(faults))


def foreign_files_are_kept_apart(history: History) -> Finding:
    """H1.6: each is in quarantine/ as it was, with a reason; nothing else waited for it."""
    looks = [look.value for look in history.observed("quarantine")]
    wrong = []
    for name, found in (item for look in looks for item in look["files"].items()):
        if not found["is_there"]:
            wrong.append(f"{name} is not in quarantine/")
        elif not found["is_unchanged"]:
            wrong.append(f"{name} was changed")
        elif not found["reason"]:
            wrong.append(f"{name} has no reason beside it")
    count = sum(len(look["files"]) for look in looks)
    return judged("in quarantine/ as it was, with a reason", wrong + lost(history) + undelivered(history), of=count)


def what_cannot_be_read_now_is_tried_again(history: History) -> Finding:
    """H1.6: a record that the disk refuses for a while stays, is told of, and is sent afterwards."""
    looks = [look.value for look in history.observed("refused_reading")]
    wrong = [f"nothing was said of {look['error']}" for look in looks if look["hit"] and not look["said"]]
    wrong += lost(history) + undelivered(history) if looks else []
    return judged("tried again, and sent", wrong, of=sum(look["hit"] for look in looks))


def nothing_is_in_flight_twice(history: History) -> Finding:
    """H1.9: all were accepted and delivered once; the second service ended by itself and named the holder."""
    held = [event.value["pid"] for event in history.faults("service.another")]
    if not held:
        return judged("all accepted, once each, one service", [], of=0)
    submits = list(history.operations("submit"))
    wrong = [f"a submit ended {op.outcome}: {op.value.get('error')}" for op in submits if op.outcome is not Kind.OK]
    others = [look.value for look in history.observed("another")]
    said = [other["said"] for other in others]
    wrong += [f"the second service said {words[-200:]}" for words in said if str(held[0]) not in words]
    wrong += [f"the second service ended with {other['exit']}" for other in others if other["exit"] == "exit code 0"]
    wrong += lost(history) + undelivered(history)
    return judged("all accepted, once each, one service", wrong, of=len(accepted(history)) * len(others))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H1.6": (foreign_files_are_kept_apart, what_cannot_be_read_now_is_tried_again),
    "H1.8": (a_disk_error_is_told,),
    "H1.9": (nothing_is_in_flight_twice,),
    "H1.14": (others_flow,),
}
