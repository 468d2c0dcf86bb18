"""The sources of one converter, from the first look to the last step: what is whole, what waits for what; no I/O.

* A source is whole when at least two looks saw it unchanged, over the whole settling time of the loop's clock. Any
  change starts that anew and forgets what was counted against it: it is another source now.
* What waits (for its retry, for room) is due at an instant of the loop's clock. What was kept or skipped is
  not touched again until it changes.
* A look that began before something happened to a source says nothing about it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pywats_reliability.converter_pool.looking import Sights
from pywats_reliability.converters import PostAction


class ItemState(enum.Enum):
    """Where a source is."""

    SETTLING = enum.auto()
    ACTIVE = enum.auto()
    WAITING = enum.auto()
    KEPT = enum.auto()
    SKIPPED = enum.auto()


@dataclass(slots=True, eq=False)
class Item:
    """One source.

    ``accepted``: ids of its reports that are in the queue. ``filing``: all of them are, and this is what is left to do.
    ``attempts``: failures so far. ``trouble``: what keeps a source from being filed away, for the status.
    """

    path: Path
    signature: str
    number: int
    unchanged_since: float
    touched_at: float
    state: ItemState = ItemState.SETTLING
    looks: int = 1
    is_ready: bool = True
    due: float = 0.0
    attempts: int = 0
    accepted: dict[str, None] = field(default_factory=dict)
    filing: PostAction | None = None
    trouble: str | None = None

    def wait(self, now: float, due: float) -> None:
        """Wait until ``due``."""
        self.state, self.due, self.touched_at = ItemState.WAITING, due, now

    def rest(self, state: ItemState, now: float) -> None:
        """Be left alone, ``KEPT`` or ``SKIPPED``, until it changes."""
        self.state, self.touched_at = state, now

    def settle(self, now: float) -> None:
        """Begin anew: it may have changed."""
        self.state, self.looks, self.unchanged_since, self.touched_at = ItemState.SETTLING, 0, now, now
        self.attempts, self.accepted, self.filing, self.trouble = 0, {}, None, None


class Items:
    """The sources of one converter."""

    def __init__(self) -> None:
        self._items: dict[Path, Item] = {}
        self._number = 0

    def saw(self, sights: Sights, *, began_at: float, now: float) -> None:
        """Take what a look saw that began at ``began_at``."""
        for path, item in list(self._items.items()):
            if path not in sights and item.state is not ItemState.ACTIVE and item.touched_at < began_at:
                del self._items[path]
        for path, sight in sights.items():
            found = self._items.get(path)
            if found is None:
                found = self.add(path, sight.signature, now)
            elif found.state is not ItemState.ACTIVE and found.touched_at < began_at:
                if found.signature != sight.signature:
                    found.signature = sight.signature
                    found.settle(now)
                found.looks += 1
            found.is_ready = sight.is_ready

    def add(self, path: Path, signature: str, now: float) -> Item:
        """Take one more source into account."""
        self._number += 1
        item = Item(path, signature, self._number, unchanged_since=now, touched_at=now)
        self._items[path] = item
        return item

    def remove(self, item: Item) -> None:
        """Forget a source."""
        if self._items.get(item.path) is item:
            del self._items[item.path]

    def get(self, path: Path) -> Item | None:
        """Return the source at ``path``."""
        return self._items.get(path)

    def ready(self, now: float, settle_s: float) -> Iterator[Item]:
        """Yield what may be worked on, in the order in which it was first seen."""
        return (item for item in self._items.values() if _is_due(item, now, settle_s))

    def next_due(self, now: float) -> float | None:
        """Return when the next of those that wait is due, if that is yet to come."""
        return min((i.due for i in self._items.values() if i.state is ItemState.WAITING and i.due > now), default=None)

    def trouble(self) -> str | None:
        """Return why some source cannot be filed away, if there is one."""
        return next((item.trouble for item in self._items.values() if item.trouble is not None), None)

    def count(self, *states: ItemState) -> int:
        """Return how many sources are in one of these states."""
        return sum(item.state in states for item in self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.count(state)} {state.name.lower()}" for state in ItemState)
        return f"Items({counts})"


def _is_due(item: Item, now: float, settle_s: float) -> bool:
    if not item.is_ready:
        return False
    if item.state is ItemState.SETTLING:
        return item.looks >= 2 and now - item.unchanged_since >= settle_s
    return item.state is ItemState.WAITING and item.due <= now
