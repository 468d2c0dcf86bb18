"""C2: a failed background task is seen at once, named, and costs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import accepted, judged, lost, undelivered, unsaved
from chaos.history import History, Kind
from chaos.protocols import Checker
from chaos.verdict import Finding


def a_critical_failure_is_an_error_at_once(history: History) -> Finding:
    """C2.2: status Error within a second, IPC and health answer and name the task, submitting still saves."""
    failed = history.faults("failpoint.raise")
    task = str(failed[0].value["place"]).partition(":")[2] if failed else ""
    statuses = [event for event in history.observed("status") if event.value["status"] == "Error"]
    wrong = []
    if failed and not statuses:
        wrong.append("the status never was Error")
    elif failed and (took := (statuses[0].time_ns - failed[0].time_ns) / 1e9) > AT_ONCE_S:
        wrong.append(f"the status was Error only after {took:.1f} s")
    elif failed and task not in str(statuses[0].value):
        wrong.append(f"the status does not name {task}")
    health = [event.value for event in history.observed("health")]
    wrong += [f"health answered {h['status_code']} without naming {task}" for h in health if task not in h["text"]]
    refused = [op for op in history.operations("submit") if op.outcome is not Kind.OK]
    wrong += [f"submitting ended {op.outcome}: {op.value.get('error')}" for op in refused]
    wrong += unsaved(history)
    looks = len(failed) * len(health) * len(accepted(history))
    return judged("Error at once, the task named, IPC, health and submitting go on", wrong, of=looks)


def a_non_critical_failure_degrades(history: History) -> Finding:
    """C2.3: still Running, marked degraded, the task named; reports flow."""
    failed = history.faults("failpoint.raise")
    task = str(failed[0].value["place"]).partition(":")[2] if failed else ""
    after = [e.value for e in history.observed("status") if failed and e.time_ns >= failed[0].time_ns]
    wrong = [f"the status is {value['status']}" for value in after if value["status"] != "Running"]
    degraded = [" ".join(value["reasons"]) for value in after if value.get("degraded")]
    wrong += [f"the reasons say {words!r} and not {task}" for words in degraded if task not in words]
    wrong += lost(history) + undelivered(history)
    return judged("Running, marked degraded, the task named, reports flow", wrong, of=len(degraded))


AT_ONCE_S = 2.0
"""How soon a live status must show a failure: the time to ask for it, on a busy machine."""

CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "C2.2": (a_critical_failure_is_an_error_at_once,),
    "C2.3": (a_non_critical_failure_degrades,),
}
