"""What the server took: the exact bytes per report id, and how often each was delivered, stored and acknowledged.

* A *delivery* is a request that was read completely. An *effect* is one that changed what the server holds: the first
  store of an id, and every store of other bytes (a *conflict*). The same bytes again are the same effect (H1.5).
* Memory is bounded: bodies held and bodies being read share one limit of bytes; a request that would go past it is
  refused before its body is read (a body is counted twice for the moment between its store and its answer, so the
  figure is never too low). Of instants and versions the newest are kept, the counts stay whole.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

NEWEST_KEPT = 1000


class Stored(StrEnum):
    """What storing a report changed."""

    FIRST = "first"
    SAME = "same"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class ReportDeliveries:
    """What the server knows of one report id.

    ``sha256`` are the hashes of the different bodies that were stored, the one it holds now last. ``answers`` counts
    the answers sent whole, by status; ``delivered_ns`` are the instants of the newest deliveries.
    """

    report_id: str
    deliveries: int
    stored: int
    effects: int
    conflicts: int
    size_bytes: int
    sha256: tuple[str, ...]
    answers: Mapping[str, int]
    delivered_ns: tuple[int, ...]

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ReportDeliveries:
        """Return what is in JSON data that ``as_data`` gave."""
        lists = {name: tuple(data[name]) for name in ("sha256", "delivered_ns")}
        return cls(**{**data, **lists})


@dataclass(slots=True)
class _Report:
    body: bytes | None = None
    deliveries: int = 0
    stored: int = 0
    effects: int = 0
    sha256: deque[str] = field(default_factory=lambda: deque(maxlen=NEWEST_KEPT))
    answers: Counter[str] = field(default_factory=Counter)
    delivered_ns: deque[int] = field(default_factory=lambda: deque(maxlen=NEWEST_KEPT))


class Deliveries:
    """Every report that came, by id. Written from one thread only."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max, self.bytes_held = bytes_max, 0
        self._reports: dict[str, _Report] = {}

    def __repr__(self) -> str:
        stored = sum(report.body is not None for report in self._reports.values())
        return f"Deliveries({len(self._reports)} ids, {stored} stored, {self.bytes_held} of {self.bytes_max} bytes)"

    def has_room_for(self, size_bytes: int) -> bool:
        """Return whether a body of that size may be read."""
        return self.bytes_held + size_bytes <= self.bytes_max

    @contextmanager
    def room_for(self, size_bytes: int) -> Iterator[None]:
        """Count a body that is being read as held; ask ``has_room_for`` first."""
        self.bytes_held += size_bytes
        try:
            yield
        finally:
            self.bytes_held -= size_bytes

    def delivered(self, report_id: str, time_ns: int) -> None:
        """Count that a request with this report was read completely."""
        report = self._reports.setdefault(report_id, _Report())
        report.deliveries += 1
        report.delivered_ns.append(time_ns)

    def store(self, report_id: str, body: bytes, sha256: str) -> Stored:
        """Hold these bytes for the id, in place of others it may have had, and return what that changed."""
        report = self._reports.setdefault(report_id, _Report())
        report.stored += 1
        if report.body == body:
            return Stored.SAME
        change = Stored.FIRST if report.body is None else Stored.CONFLICT
        self.bytes_held += len(body) - len(report.body or b"")
        report.body = body
        report.effects += 1
        if sha256 in report.sha256:
            report.sha256.remove(sha256)
        report.sha256.append(sha256)
        return change

    def answered(self, report_id: str, status: int) -> None:
        """Count an answer to a delivery of this report, handed to the network whole."""
        self._reports[report_id].answers[str(status)] += 1

    def body(self, report_id: str) -> bytes | None:
        """Return the bytes held for an id, None when there are none."""
        report = self._reports.get(report_id)
        return report.body if report else None

    def forget(self) -> None:
        """Drop everything that is stored and counted."""
        self.bytes_held -= sum(len(report.body or b"") for report in self._reports.values())
        self._reports.clear()

    def all(self) -> list[ReportDeliveries]:
        """Return what is known, in the order in which the ids first came."""
        return [_view(report_id, report) for report_id, report in self._reports.items()]


def _view(report_id: str, report: _Report) -> ReportDeliveries:
    return ReportDeliveries(
        report_id,
        deliveries=report.deliveries,
        stored=report.stored,
        effects=report.effects,
        conflicts=max(0, report.effects - 1),
        size_bytes=len(report.body or b""),
        sha256=tuple(report.sha256),
        answers=dict(report.answers),
        delivered_ns=tuple(report.delivered_ns),
    )
