"""C1.9: of each dropped file there is at every look the file itself or its report, and in the end one whole report."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import delivered, judged, kept
from chaos.history import Event, History
from chaos.protocols import Checker
from chaos.verdict import Finding


def neither_lost_nor_doubled(history: History) -> Finding:
    """C1.9: file or report at every look, never two different ones; all delivered once; no source overwritten."""
    dropped = history.observed("dropped")
    wrong = _missing(history, dropped) + _early(history)
    there = delivered(history.last("deliveries").value)
    sources = list(history.last("sources").value["files"].values())
    for event in dropped:
        report_id, name = event.value["report_id"], event.value["file"]
        effects = there.get(report_id, {}).get("effects", 0)
        wrong += [] if effects == 1 else [f"{name} had {effects} effects at the server"]
        wrong += [] if sources.count(event.value["sha256"]) == 1 else [f"{name} is not kept once among the sources"]
    ids = {event.value["report_id"] for event in dropped}
    wrong += [f"the server has report {i[:8]}, which nobody dropped" for i in there if i not in ids]
    return judged("each file or its report, in the end one report of each", wrong, of=len(dropped))


def _missing(history: History, dropped: list[Event]) -> list[str]:
    wrong = []
    looks = zip(history.observed("sources"), history.observed("folders"), history.observed("deliveries"), strict=False)
    for sources, folders, server in looks if len(history.observed("sources")) > 1 else ():
        here, there = kept(folders.value), delivered(server.value)
        for event in (event for event in dropped if event.index < sources.index):
            report_id = event.value["report_id"]
            is_source = event.value["sha256"] in sources.value["files"].values()
            if not is_source and report_id not in here and report_id not in there:
                wrong.append(f"{event.value['file']} was neither a file nor a report at {sources.time_ns / 1e9:.1f} s")
            bodies = {copy["sha256"] for copy in here.get(report_id, [])}
            wrong += [f"{event.value['file']} became two different reports"] if len(bodies) > 1 else []
    return wrong


def _early(history: History) -> list[str]:
    """Return in words what was made of a file while it was being written."""
    wrong = []
    for look in history.observed("half_written"):
        before = [event for event in history.observed("folders") if event.index < look.index]
        if before and look.value["report_id"] in kept(before[-1].value):
            wrong.append("a file was converted before it was whole")
        quarantined = [copy for copy in kept(before[-1].value) if copy.startswith("unreadable")] if before else []
        wrong += ["half a file became a report"] if quarantined else []
    return wrong


CHECKERS: Mapping[str, tuple[Checker, ...]] = {"C1.9": (neither_lost_nor_doubled,)}
