"""The order of what waits, in memory: who is next, who is in flight, how many and how many bytes.

* First in, first out among equal urgency (H1.10): a heap of places for each urgency. Adding, taking and removing cost
  the logarithm of the count, and a record costs about 160 bytes: no name, no contents, no object of its own (H5.6).
* Never two in flight of one report id (H1.9): a record whose id is busy steps aside until the id is free, so that
  records of one id keep their order and nobody behind them waits.
* What failed and waits for its retry is *deferred*: not given out, still busy, but free to be evicted.
* Removal is lazy: a place that is no longer an entry is skipped when it comes up.
"""

from __future__ import annotations

import heapq
import struct
import uuid
from typing import NamedTuple

from pywats_reliability.store.names import PRIORITY_MAX, PRIORITY_MIN

_PACKED = struct.Struct(">16sBQ")


class IndexEntry(NamedTuple):
    """A record as the index knows it; ``size`` in bytes. A tuple, for a start makes one for every record."""

    sequence: int
    report_id: str
    priority: int
    size: int


class Index:
    """All records of ``pending/``. Not safe across threads, except that a thread may ask ``sequence in index``."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._entries: dict[int, bytes] = {}
        self._waiting: list[list[int]] = [[] for _ in range(PRIORITY_MIN, PRIORITY_MAX + 1)]
        self._busy: dict[bytes, int] = {}
        self._deferred: dict[int, None] = {}
        self._stepped_aside: dict[bytes, list[int]] = {}

    def add(self, entry: IndexEntry) -> bool:
        """Add a record that waits; false when its place is taken, and then nothing changes."""
        sequence, report_id, priority, size = entry
        if sequence in self._entries:
            return False
        self._entries[sequence] = _packed(report_id, priority, size)
        self.size_bytes += size
        heapq.heappush(self._waiting[priority - PRIORITY_MIN], sequence)
        return True

    def take(self) -> IndexEntry | None:
        """Return the oldest of the most urgent whose id is not busy, and mark it in flight."""
        for heap in self._waiting:
            while heap:
                sequence = heapq.heappop(heap)
                packed = self._entries.get(sequence)
                if packed is None:
                    continue
                entry_id = packed[:16]
                if entry_id in self._busy:
                    self._stepped_aside.setdefault(entry_id, []).append(sequence)
                    continue
                self._busy[entry_id] = sequence
                return _unpacked(sequence, packed)
        return None

    def release(self, sequence: int) -> bool:
        """Let a record that was in flight or deferred be taken again, at its old place; false when it has left."""
        packed = self._entries.get(sequence)
        if packed is None or self._busy.get(packed[:16]) != sequence:
            return False
        self._free(packed, sequence)
        heapq.heappush(self._waiting[packed[16] - PRIORITY_MIN], sequence)
        return True

    def defer(self, sequence: int) -> None:
        """Mark a record that was in flight as waiting for its retry."""
        if self.is_busy(sequence):
            self._deferred[sequence] = None

    def remove(self, sequence: int) -> bool:
        """Forget a record; false when it was not there."""
        packed = self._entries.pop(sequence, None)
        if packed is None:
            return False
        self.size_bytes -= _unpacked(sequence, packed).size
        self._free(packed, sequence)
        return True

    def oldest_evictable(self) -> IndexEntry | None:
        """Return the oldest record that is not in flight, whatever its urgency, and mark it in flight."""
        heads = [self._head(heap) for heap in self._waiting]
        oldest = min((head for head in heads if head is not None), default=None)
        deferred = min(self._deferred, default=None)
        if deferred is not None and (oldest is None or deferred < oldest):
            del self._deferred[deferred]
            return _unpacked(deferred, self._entries[deferred])
        if oldest is None:
            return None
        packed = self._entries[oldest]
        heapq.heappop(self._waiting[packed[16] - PRIORITY_MIN])
        self._busy[packed[:16]] = oldest
        return _unpacked(oldest, packed)

    def is_busy(self, sequence: int) -> bool:
        """Return whether the record is in flight or deferred."""
        packed = self._entries.get(sequence)
        return packed is not None and self._busy.get(packed[:16]) == sequence

    def is_in_flight(self, sequence: int) -> bool:
        """Return whether the record is given out, and not deferred."""
        return self.is_busy(sequence) and sequence not in self._deferred

    def holds(self, entry: IndexEntry) -> bool:
        """Return whether the record at that place is this one."""
        sequence, report_id, priority, size = entry
        return self._entries.get(sequence) == _packed(report_id, priority, size)

    def sequences(self) -> list[int]:
        """Return the places of all records, as they are at this instant."""
        return list(self._entries)

    def entry(self, sequence: int) -> IndexEntry | None:
        """Return the record at that place, if it is there."""
        packed = self._entries.get(sequence)
        return None if packed is None else _unpacked(sequence, packed)

    def has_id(self, report_id: str) -> bool:
        """Return whether there is a record of that report; it costs a look at each."""
        wanted = bytes.fromhex(report_id.replace("-", ""))
        return any(packed.startswith(wanted) for packed in self._entries.values())

    @property
    def in_flight(self) -> int:
        """How many records are given out and not deferred."""
        return len(self._busy) - len(self._deferred)

    def _head(self, heap: list[int]) -> int | None:
        """Return the first place of ``heap`` that may be taken; what left is dropped, what is busy steps aside."""
        while heap:
            packed = self._entries.get(heap[0])
            if packed is not None and packed[:16] not in self._busy:
                return heap[0]
            sequence = heapq.heappop(heap)
            if packed is not None:
                self._stepped_aside.setdefault(packed[:16], []).append(sequence)
        return None

    def _free(self, packed: bytes, sequence: int) -> None:
        if self._busy.get(packed[:16]) != sequence:
            return
        del self._busy[packed[:16]]
        self._deferred.pop(sequence, None)
        for waiting in self._stepped_aside.pop(packed[:16], ()):
            if (other := self._entries.get(waiting)) is not None:
                heapq.heappush(self._waiting[other[16] - PRIORITY_MIN], waiting)

    def __contains__(self, sequence: object) -> bool:
        return sequence in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Index({len(self)} records, {self.in_flight} in flight, {len(self._deferred)} deferred)"


def _packed(report_id: str, priority: int, size: int) -> bytes:
    return _PACKED.pack(bytes.fromhex(report_id.replace("-", "")), priority, size)


def _unpacked(sequence: int, packed: bytes) -> IndexEntry:
    report_id, priority, size = _PACKED.unpack(packed)
    return IndexEntry(sequence, str(uuid.UUID(bytes=report_id)), priority, size)
