"""Which fault has met which operation: a table whose empty cells say what was never tried.

* An operation is what a run was asked to do (``start``, ``submit``, ``ask``, ``stop``, …), an ``upload`` that the
  server saw, or ``nothing``: the subject ran, and nobody asked anything of it. A call of the disk that was made to
  fail is an operation, too (``disk: fsync``): the fault itself says which.
* A fault meets an operation when it fires, or is in force, while the operation is under way: it began before the fault
  ended, and ended after the fault began; of what has the same time, the order in the history decides. A kill is an
  instant here, though nothing runs until the next start.
* A cell counts runs, not hits: a thousand hung clients in one run met it once.

A second table says how often each property was judged, and held, in a run in which a fault met some operation.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from chaos.history import Event, History, Kind
from chaos.spans import KILLS, end_of, faults, operations
from chaos.verdict import Finding, Verdict

SEPARATOR = " × "
UPLOAD, NOTHING, DISK = "upload", "nothing", "disk: "
Moment = tuple[int, float]
"""A time, and the place in the history."""
Spans = list[tuple[Moment, Moment]]
LAST = float("inf")


def met(history: History) -> set[str]:
    """Return the cells of one run, each as ``"process.kill × upload"``."""
    events = history.events
    last_ns = end_of(events)
    under_way = {name: _merged(spans) for name, spans in _operations(events, last_ns).items()}
    cells = set()
    for fault, start_ns, end_ns in faults(events, last_ns):
        began = (start_ns, fault.index)
        ended = began if fault.name in KILLS or end_ns == start_ns else (end_ns, LAST)
        touched = [name for name, spans in under_way.items() if _touches(spans, began, ended)]
        if fault.name == "disk.fault" and "call" in fault.value:
            touched.append(f"{DISK}{fault.value['call']}")
        cells |= {f"{fault.name}{SEPARATOR}{name}" for name in touched or [NOTHING]}
    return cells


def tried(findings: Iterable[Finding], cells: Iterable[str]) -> set[str]:
    """Return the pairs of a property and a fault that one run has tried, each as ``"C1.6 × process.kill"``.

    The property held: what nobody judged was not tried. The fault met an operation (``cells``, from ``met``).
    """
    pairs = [cell.split(SEPARATOR) for cell in cells]
    faults_met = {fault for fault, operation in pairs if operation != NOTHING}
    verdicts = [(finding.property_id, finding.verdict) for finding in findings]
    broken = {name for name, verdict in verdicts if verdict is Verdict.BROKEN}
    held = {name for name, verdict in verdicts if verdict is Verdict.HELD} - broken
    return {f"{name}{SEPARATOR}{fault}" for name in held for fault in faults_met}


def classes(history: History) -> set[str]:
    """Return what kind of schedule a run was: how its operations ended, and which fault came right after which."""
    names = [fault.name for fault in history.faults()]
    pairs = {f"{earlier} then {later}" for earlier, later in pairwise(names)}
    return pairs | {f"{start.name} {end.kind if end else Kind.UNKNOWN}" for start, end in operations(history.events)}


def table(runs: Iterable[Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Return the cells of many runs added up, as fault → operation → number of runs; absent cells are empty.

    The same for pairs of a property and a fault.
    """
    total: Counter[str] = Counter()
    for cells in runs:
        total.update(cells)
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    for cell, count in sorted(total.items()):
        fault, _, name = cell.partition(SEPARATOR)
        rows[fault][name] = count
    return dict(rows)


def columns(rows: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the operations of a table, the most frequent first, without the disk's calls: only one fault has them."""
    total: Counter[str] = Counter()
    for cells in rows.values():
        total.update({name: count for name, count in cells.items() if not name.startswith(DISK)})
    return [name for name, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))]


def disk_calls(rows: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int]]:
    """Return the calls of the disk that were made to fail, with the number of runs, by name."""
    total: Counter[str] = Counter()
    for cells in rows.values():
        total.update({name.removeprefix(DISK): count for name, count in cells.items() if name.startswith(DISK)})
    return sorted(total.items())


def empty_cells(rows: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str]]:
    """Return the pairs of a fault and an operation of the table that never met."""
    names = columns(rows)
    return [(fault, name) for fault, cells in rows.items() for name in names if not cells.get(name)]


def _operations(events: Sequence[Event], last_ns: int) -> dict[str, Spans]:
    spans: dict[str, Spans] = defaultdict(list)
    for start, end in operations(events):
        # What a fault cut off ended with it, whichever was written first; what ended well had ended before.
        until = (last_ns, LAST) if end is None else (end.time_ns, end.index if end.kind is Kind.OK else LAST)
        spans[start.name].append(((start.time_ns, start.index), until))
    for event in events:
        if event.kind is Kind.OBSERVED and event.name == "requests":
            uploads = [item for item in event.value["requests"] if item.get("report_id")]
            spans[UPLOAD] += [((item["start_ns"], -1), (item["end_ns"], LAST)) for item in uploads]
    return {name: found for name, found in spans.items() if found}


def _merged(spans: Spans) -> Spans:
    """Return the union of the spans, in order."""
    joined: Spans = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _touches(spans: Spans, began: Moment, ended: Moment) -> bool:
    """Return whether one of the merged spans has a moment in common with ``began`` … ``ended``."""
    place = bisect_right(spans, (ended, (ended[0], LAST)))
    return place > 0 and spans[place - 1][1] >= began
