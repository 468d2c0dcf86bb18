"""Every state that a crash may leave, from an operation log and a persistence model, each with its reason.

* A crash may come between any two entries of a log: after each operation and after each visible event. A state is the
  contents of the disk together with the visible events before it: the same contents oblige to more once "accepted" was
  said. States are told apart by contents, not by how they came about.
* Not every point has to be enumerated. An operation only adds outcomes (it may be lost, which is the point before it)
  and a sync only removes some; so the points just before a sync, before a visible event and at the end have the
  states of all others. ``pruned`` counts the points left out for that reason; none of their states is missing.
* The enumeration is bounded by ``Limits``. Where a bound cut something off, ``bounds_hit`` says where, and the result
  is not exhaustive. Nor does anything follow from a log with an entry that is not modelled: see ``unmodelled``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from chaos.storage.operations import Close, Entry, Sync, SyncAll, Unmodelled, Visible
from chaos.storage.outcomes import (
    FileOutcome,
    Losses,
    NamesOutcome,
    few_deviations,
    file_outcomes,
    leaves,
    names_outcomes,
)
from chaos.storage.page_cache import PageCache
from chaos.storage.persistence import Persistence
from chaos.storage.tree import Contents, Symlink, Tree, contents_key


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be enumerated: outcomes of the names at one point, states at one point, states in all."""

    names_per_point: int = 20_000
    states_per_point: int = 20_000
    states: int = 1_000_000


@dataclass(frozen=True, slots=True)
class CrashState:
    """What a crash after ``point`` entries of the log may leave.

    ``lost`` says what did not survive whole of those entries, ``visible`` how many visible events were before it.
    """

    point: int
    contents: Contents
    lost: Losses
    visible: int
    key: bytes

    def seen(self, log: Sequence[Entry]) -> list[Visible]:
        """Return the visible events before the crash."""
        return [e.operation for e in log[: self.point] if isinstance(e.operation, Visible)]

    def __repr__(self) -> str:
        return f"CrashState(after {self.point}, {len(self.lost)} lost, {len(self.contents)} paths)"


class CrashStates:
    """The states of one log under one model: iterate over it once; the counts are complete when that has ended."""

    def __init__(
        self,
        log: Sequence[Entry],
        model: Persistence,
        start: Tree | None = None,
        limits: Limits | None = None,
        *,
        every_reason: bool = False,
    ) -> None:
        """``every_reason``: yield the same contents once for each way that they came about (for the shortest)."""
        self._every_reason = every_reason
        self.log, self.model, self.limits = log, model, limits or Limits()
        self._start = start or Tree()
        self.points = self.pruned = self.duplicates = self.count = 0
        self.bounds_hit: list[str] = []
        self.unmodelled = [entry.operation for entry in log if isinstance(entry.operation, Unmodelled)]

    @property
    def is_exhaustive(self) -> bool:
        """Whether every state was enumerated (asked after the iteration) and every entry is modelled."""
        return not self.bounds_hit and not self.unmodelled

    def __iter__(self) -> Iterator[CrashState]:
        cache, seen = PageCache(self.model, self._start), _Seen()
        changed = True
        for index, entry in enumerate(self.log):
            operation = entry.operation
            if isinstance(operation, Sync | SyncAll | Visible) and changed:
                yield from self._at(index, cache, seen)
                changed = False
            else:
                self.pruned += 1
            if isinstance(operation, Visible):
                seen.one_more_visible()
                changed = True
            elif cache.note(index, operation) and not isinstance(operation, Sync | SyncAll):
                changed = True
            if self.count >= self.limits.states:
                self.bounds_hit.append(f"stopped at entry {index} of {len(self.log)}: {self.count} states in all")
                return
        yield from self._at(len(self.log), cache, seen)

    def _at(self, point: int, cache: PageCache, seen: _Seen) -> Iterator[CrashState]:
        self.points += 1
        outcomes, is_cut = names_outcomes(cache, self.limits.names_per_point)
        if is_cut:
            self._hit(point, f"more than {self.limits.names_per_point} outcomes of names")
        room = self.limits.states_per_point
        for names in outcomes:
            for contents, lost in self._contents(cache, names, room, point):
                room -= 1
                key = contents_key(contents)
                if seen.is_new(key) or self._every_reason:
                    self.count += 1
                    earliest = self._earliest(point, lost)
                    told = tuple(sorted((loss for loss in lost if loss.index < earliest), key=lambda loss: loss.index))
                    yield CrashState(earliest, contents, told, seen.visible, key)
                else:
                    self.duplicates += 1
            if room <= 0:
                if names is not outcomes[-1]:
                    self._hit(point, f"more than {self.limits.states_per_point} states")
                return

    def _contents(
        self, cache: PageCache, names: NamesOutcome, room: int, point: int
    ) -> Iterator[tuple[dict[str, bytes | Symlink | None], Losses]]:
        found = leaves(cache, names)
        settled = {path: leaf for path, _, leaf in found}
        varying: dict[int, list[str]] = {}
        for path, node, _ in found:
            if node in cache.data:
                varying.setdefault(node, []).append(path)
        choices = []
        for node in varying:
            outcomes, is_cut = file_outcomes(cache, node, names, self.limits.states_per_point)
            choices.append(outcomes)
            if is_cut:
                self._hit(point, f"more outcomes of {varying[node][0]} than can be held")
        combined: Iterator[tuple[FileOutcome, ...]] = product(*choices)
        if prod(map(len, choices)) > room:
            self._hit(point, f"more than {self.limits.states_per_point} states")
            combined = few_deviations(choices, room)
        for picked in combined:
            contents, losses = dict(settled), names.losses
            for paths, (data, lost) in zip(varying.values(), picked, strict=True):
                losses += lost
                for path in paths:
                    contents[path] = data
            yield contents, losses

    def _hit(self, point: int, words: str) -> None:
        line = f"at entry {point} of {len(self.log)}: {words}"
        if line not in self.bounds_hit:
            self.bounds_hit.append(line)

    def _earliest(self, point: int, lost: Losses) -> int:
        """Return the earliest point of the same state: what was lost whole at the end need not have been done."""
        whole = {loss.index for loss in lost if loss.is_whole}
        while point and (point - 1 in whole or isinstance(self.log[point - 1].operation, Close)):
            point -= 1
        return point

    def __repr__(self) -> str:
        how = "exhaustive" if self.is_exhaustive else "bounded"
        return f"CrashStates({self.model}, {self.count} states at {self.points} points, {how})"


class _Seen:
    """Which contents have been met since the last visible event, and how many of those there were."""

    def __init__(self) -> None:
        self.visible = 0
        self._keys: set[bytes] = set()

    def one_more_visible(self) -> None:
        self.visible += 1
        self._keys.clear()

    def is_new(self, key: bytes) -> bool:
        known = key in self._keys
        self._keys.add(key)
        return not known


def crash_states(
    log: Sequence[Entry], model: Persistence, *, start: Contents | None = None, limits: Limits | None = None
) -> CrashStates:
    """Return the states that a crash may leave of ``log``, which began on a disk with the contents ``start``.

    Iterating raises ``OperationLogError`` when the log contradicts itself.
    """
    return CrashStates(log, model, Tree.of(start or {}), limits)
