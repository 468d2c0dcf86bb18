"""The records that wait for their retry, by the instant (of the loop's clock) at which each is due."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")


class Waiting(Generic[T]):
    """A heap of what is due when; equal instants keep their order."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T, float]] = []
        self._added = 0

    @property
    def next_due(self) -> float | None:
        """When the first is due; ``None`` when none waits."""
        return self._heap[0][0] if self._heap else None

    def add(self, due: float, item: T, not_before: float = 0.0) -> None:
        """Let ``item`` wait until ``due``; ``not_before``: the server's own wish, which only a person may overrule."""
        self._added += 1
        heapq.heappush(self._heap, (due, self._added, item, not_before))

    def pop_due(self, now: float) -> list[T]:
        """Remove and return what is due at ``now``, the longest due first."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        return due

    def pop_all(self) -> list[T]:
        """Remove and return everything, in the order in which it would have been due."""
        return self.pop_due(float("inf"))

    def pop_unasked(self, now: float) -> list[T]:
        """Remove and return all but those that the server asked to wait beyond ``now``, in the order of being due."""
        kept = [waiting for waiting in self._heap if waiting[3] > now]
        free = sorted(waiting[:2] for waiting in self._heap if waiting[3] <= now)
        items = {added: item for _, added, item, _ in self._heap}
        heapq.heapify(kept)
        self._heap = kept
        return [items[added] for _, added in free]

    def __len__(self) -> int:
        return len(self._heap)

    def __repr__(self) -> str:
        return f"Waiting({len(self)} records)"
