"""A history as lanes over time: what the picture in the report, the one in the terminal and the live view all draw.

* A *lane* is a process, a client, a task, a connection, the server, or a folder. An event that carries ``lane`` is put
  there; otherwise the lane follows from the event's name (``start``, ``stop`` and ``process.*`` are the process's, a
  ``server.*`` fault is the server's, and so on).
* A *bar* is an operation from its invocation to its end (ok, failed, unknown; one without end reaches to the end of the
  run) or the life of a process. A *mark* is an instant. A *band* is a fault from when it fired until it was healed; a
  kill lasts until the next start has succeeded; without either it is an instant.
* A *look* is what the files were at a moment.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chaos.history import Event, History, Kind
from chaos.outcome import DiskLook, RunResult
from chaos.spans import KILLS, end_of, faults, operations, when_ns

DETAIL_CHARACTERS_MAX = 400
CONNECTIONS_MAX = 6
LOOKS = {"folders": "observed", "folders_at_end": "at the end"}
QUIET = frozenset({"log", "settings", "requests"})
"""Observations that say nothing about a moment."""


class LaneKind(StrEnum):
    """What a lane stands for; lanes are shown in this order."""

    PROCESS = "process"
    TASK = "task"
    CLIENT = "client"
    CONNECTION = "connection"
    SERVER = "server"
    OBSERVED = "observed"
    FOLDER = "folder"


_PROCESS, _SERVER = ("service", LaneKind.PROCESS), ("WATS server", LaneKind.SERVER)
_CONNECTIONS = ("IPC connections", LaneKind.CONNECTION)
LANES: Mapping[str, tuple[str, LaneKind]] = {
    **dict.fromkeys(("start", "stop", "process", "service", "power"), _PROCESS),
    **dict.fromkeys(("server", "deliveries"), _SERVER),
    **dict.fromkeys(("ipc", "cut"), _CONNECTIONS),
    "proxy": ("fault proxy", LaneKind.SERVER),
}
"""The lanes of events by their whole name or the part before its first dot."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasts; ``outcome`` is ok, failed, unknown or life (of a process). ``row`` keeps overlaps apart."""

    start_ns: int
    end_ns: int
    outcome: str
    title: str
    detail: str
    is_open: bool = False
    row: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant: a fault that fired, one that was healed, or something observed."""

    time_ns: int
    kind: Kind
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class Band:
    """A fault in force."""

    start_ns: int
    end_ns: int
    name: str
    detail: str


@dataclass(slots=True)
class Lane:
    """One line of the picture; ``levels`` are the counts of a folder over time."""

    name: str
    kind: LaneKind
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    levels: list[tuple[int, int]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Return how many bars lie above each other at most."""
        return max((bar.row for bar in self.bars), default=0) + 1


@dataclass(frozen=True, slots=True)
class Timeline:
    """The picture of one history. ``times_ns``: every moment at which something happened, in order."""

    lanes: tuple[Lane, ...]
    bands: tuple[Band, ...]
    end_ns: int
    times_ns: tuple[int, ...]


def timeline_of(history: History) -> Timeline:
    """Return the lanes and bands of a history."""
    events = history.events
    end_ns = end_of(events)
    lanes: dict[str, Lane] = {}
    for event in events:
        _place(lanes, event)
    for operation in operations(events):
        _lane(lanes, operation[0]).bars.append(_bar(operation, end_ns))
    for name, bar in _requests(events):
        lanes.setdefault(name, Lane(name, LaneKind.CONNECTION)).bars.append(bar)
    for life in _lives(events, end_ns):
        lanes.setdefault("service", Lane("service", LaneKind.PROCESS)).bars.append(life)
    for lane in lanes.values():
        lane.bars[:] = _in_rows(lane.bars)
    order = list(LaneKind)
    shown = [lane for lane in lanes.values() if lane.bars or lane.marks or lane.levels]
    ordered = sorted(shown, key=lambda lane: order.index(lane.kind))
    moments = {when_ns(event) for event in events if event.name not in QUIET}
    moments |= {edge for _, bar in _requests(events) for edge in (bar.start_ns, bar.end_ns)}
    times = tuple(sorted(moments))
    return Timeline(tuple(ordered), tuple(_bands(events, end_ns)), end_ns, times)


def looks_of(run: RunResult) -> tuple[DiskLook, ...]:
    """Return the run's files at each step: what its engine kept, else what was observed of the subject's folders."""
    if run.disk:
        return run.disk
    return tuple(
        DiskLook(event.time_ns, LOOKS[event.name], dict(_files(event.value["reports"])))
        for event in run.history.events
        if event.name in LOOKS
    )


def detail_of(value: Mapping[str, Any]) -> str:
    """Return what an event says, in one line that is not too long."""
    words = ", ".join(f"{key} {_short(item)}" for key, item in value.items() if key not in ("lane", "at_ns"))
    return words if len(words) <= DETAIL_CHARACTERS_MAX else words[: DETAIL_CHARACTERS_MAX - 1] + "…"


def lane_of(event: Event) -> tuple[str, LaneKind]:
    """Return the lane that an event belongs to, by what it says or by its name."""
    if lane := event.value.get("lane"):
        return str(lane), _kind_of(str(lane))
    head, _, _ = event.name.partition(".")
    if (known := LANES.get(event.name) or LANES.get(head)) is not None:
        return known
    if head == "failpoint":
        return str(event.value.get("place", "failpoint")), LaneKind.TASK
    if event.kind is Kind.OBSERVED:
        return "observed", LaneKind.OBSERVED
    return (f"faults: {head}", LaneKind.TASK) if event.kind in (Kind.FAULT, Kind.HEALED) else (head, LaneKind.CLIENT)


def _kind_of(lane: str) -> LaneKind:
    """Return the kind that a lane's name begins with (``"task upload-1"``); a client's for any other."""
    first = lane.partition(" ")[0].rstrip(":")
    return next((kind for kind in LaneKind if kind == first), LaneKind.CLIENT)


def _lane(lanes: dict[str, Lane], event: Event) -> Lane:
    name, kind = lane_of(event)
    return lanes.setdefault(name, Lane(name, kind))


def _place(lanes: dict[str, Lane], event: Event) -> None:
    """Put the event's mark or level on its lane; operations become bars elsewhere."""
    if event.name in QUIET or event.kind in (Kind.INVOKED, Kind.OK, Kind.FAILED, Kind.UNKNOWN):
        return
    if event.name in LOOKS:
        counts = Counter(str(copy["folder"]) for copy in event.value["reports"])
        known = {lane.name for lane in lanes.values() if lane.kind is LaneKind.FOLDER}
        for folder in sorted(known | {f"{name}/" for name in (*counts, "pending", "sent")}):
            lane = lanes.setdefault(folder, Lane(folder, LaneKind.FOLDER))
            lane.levels.append((event.time_ns, counts.get(folder.rstrip("/"), 0)))
        return
    title = f"{len(event.value['reports'])} delivered" if event.name == "deliveries" else event.name
    _lane(lanes, event).marks.append(Mark(when_ns(event), event.kind, title, detail_of(event.value)))


def _bar(operation: tuple[Event, Event | None], last_ns: int) -> Bar:
    start, end = operation
    outcome = str(end.kind) if end else str(Kind.UNKNOWN)
    detail = detail_of({**start.value, **(end.value if end else {})})
    return Bar(start.time_ns, end.time_ns if end else last_ns, outcome, start.name, detail, is_open=end is None)


def _requests(events: Sequence[Event]) -> Iterator[tuple[str, Bar]]:
    """Yield the requests that the server told of, with the lane of each: its connection, while those are few."""
    items = [item for event in events if event.name == "requests" for item in event.value["requests"]]
    connections = {item["connection"] for item in items}
    for item in items:
        lane = f"connection {item['connection']}" if len(connections) <= CONNECTIONS_MAX else "connections"
        detail = detail_of({key: item[key] for key in ("status", "rule", "report_id") if item[key] is not None})
        yield lane, Bar(item["start_ns"], item["end_ns"], item["outcome"], item["name"], detail)


def _lives(events: Sequence[Event], last_ns: int) -> Iterator[Bar]:
    """Yield how long each process ran: from a start that succeeded to the next kill, stop or start."""
    born: Event | None = None
    for event in events:
        starts = event.name == "start" and event.kind is Kind.OK
        ends = event.name in KILLS or (event.name == "stop" and event.kind is Kind.OK)
        if born is not None and (starts or ends):
            yield Bar(born.time_ns, event.time_ns, "life", "running", detail_of(born.value))
            born = None
        if starts:
            born = event
    if born is not None:
        yield Bar(born.time_ns, last_ns, "life", "running", detail_of(born.value), is_open=True)


def _bands(events: Sequence[Event], last_ns: int) -> Iterator[Band]:
    for event, start_ns, end_ns in faults(events, last_ns):
        yield Band(start_ns, end_ns, event.name, detail_of(event.value))


def _in_rows(bars: Sequence[Bar]) -> list[Bar]:
    """Return the bars with the lowest free row each, lives below everything else."""
    placed: list[Bar] = []
    free_from: list[int] = []
    for bar in sorted(bars, key=lambda bar: (bar.outcome != "life", bar.start_ns, bar.end_ns)):
        row = next((row for row, free_ns in enumerate(free_from) if free_ns <= bar.start_ns), len(free_from))
        free_from[row:] = [bar.end_ns] if row == len(free_from) else [bar.end_ns, *free_from[row + 1 :]]
        placed.append(Bar(bar.start_ns, bar.end_ns, bar.outcome, bar.title, bar.detail, bar.is_open, row))
    return sorted(placed, key=lambda bar: (bar.start_ns, bar.end_ns))


def _files(reports: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for copy in reports:
        attempts = copy.get("attempts", 0)
        told = f"{attempts} attempt{'' if attempts == 1 else 's'}, content {str(copy.get('sha256'))[:8]}"
        yield f"{copy['folder']}/{str(copy['report_id'])[:13]}…", told


def _short(item: Any) -> str:
    text = item if isinstance(item, str) else json.dumps(item, default=repr, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:79]}…"
