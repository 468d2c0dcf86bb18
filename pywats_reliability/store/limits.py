"""The limits of the queue and its counts: a place is reserved before anything is written (H5.1, H5.2, H5.5).

* What counts is everything kept for sending: waiting, in flight, waiting for a retry, and being written right now. A
  reservation is made and checked without an ``await`` between, so that producers racing for the last place cannot
  both have it; it ends when its record is in the index, or not written after all (H5.4).
* Free disk space is asked for in the commit's worker thread; here is only the last answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from pywats_reliability.errors import FREE_DISK, QueueFullError, ReportInvalidError
from pywats_reliability.report import Report
from pywats_reliability.store.index import Index
from pywats_reliability.store.names import PRIORITY_MAX, PRIORITY_MIN

RECORD_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What the store may hold for sending; 0 is without limit. ``record_bytes_max`` is the largest single report."""

    max_reports: int = 10_000
    max_bytes: int = 0
    min_free_disk_bytes: int = 0
    record_bytes_max: int = RECORD_BYTES_MAX


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """The counts of a store.

    ``pending``: kept for sending, those in flight and those waiting for a retry included. ``highest``: the most that
    ever were. ``refused`` and ``evicted``: since the start. ``skipped``: files in ``pending/`` that are no record and
    could not be moved away.
    """

    pending: int
    in_flight: int
    failed: int
    quarantined: int
    pending_bytes: int
    highest: int
    refused: int
    evicted: int
    skipped: int = 0


class Places:
    """The reservations in front of an index."""

    def __init__(self, index: Index, limits: StoreLimits) -> None:
        self.limits = limits
        self.highest = 0
        self.refused = 0
        self._free_disk_bytes: int | None = None
        self._index = index
        self._reserved: dict[int, int] = {}
        self._reserved_bytes = 0

    def require_sane(self, report: Report, priority: int) -> None:
        """Raise ``ReportInvalidError`` for a report that can never be taken, as it is or at that priority."""
        if not PRIORITY_MIN <= priority <= PRIORITY_MAX:
            raise ReportInvalidError(f"a priority from {PRIORITY_MIN} (urgent) to {PRIORITY_MAX}", str(priority))
        if len(report.body) > (most := self.limits.record_bytes_max):
            raise ReportInvalidError(f"at most {most} bytes", f"{len(report.body)} bytes")

    def refusal(self, size_bytes: int = 0) -> QueueFullError | None:
        """Return why a report of that size has no place, or nothing when it has one."""
        limits = self.limits
        count = len(self._index) + len(self._reserved)
        if limits.max_reports and count >= limits.max_reports:
            return QueueFullError(count, limits.max_reports)
        held = self._index.size_bytes + self._reserved_bytes
        if limits.max_bytes and held + max(size_bytes, 1) > limits.max_bytes:
            return QueueFullError(held, limits.max_bytes, "bytes")
        return None

    def disk_refusal(self, size_bytes: int = 0) -> QueueFullError | None:
        """Return why the disk has no room, going by its last answer."""
        least, free = self.limits.min_free_disk_bytes, self._free_disk_bytes
        if least and free is not None and free - size_bytes < least:
            return QueueFullError(free, least, FREE_DISK)
        return None

    def note_free_disk_bytes(self, free: int) -> None:
        """Remember the disk's last answer; a worker thread may call this."""
        self._free_disk_bytes = free

    def reserve(self, sequence: int, size_bytes: int) -> None:
        """Take a place for a record about to be written; raises ``QueueFullError``."""
        refusal = self.refusal(size_bytes)
        if refusal is not None:
            self.refused += 1
            raise refusal
        self.hold(sequence, size_bytes)

    def hold(self, sequence: int, size_bytes: int) -> None:
        """Take a place without asking: for what is in the folder already."""
        self._reserved[sequence] = size_bytes
        self._reserved_bytes += size_bytes

    def free(self, sequence: int) -> None:
        """Give the reservation back: the record is in the index now, or was not written."""
        self._reserved_bytes -= self._reserved.pop(sequence, 0)
        self.note_highest()

    def note_highest(self) -> None:
        """Remember the most that were ever kept."""
        self.highest = max(self.highest, len(self._index))

    def is_reserved(self, sequence: int) -> bool:
        """Return whether a record of that place is being written."""
        return sequence in self._reserved

    def __repr__(self) -> str:
        return f"Places({len(self._index)} kept, {len(self._reserved)} reserved, highest {self.highest})"
