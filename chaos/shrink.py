"""Makes a failing run small: fewer faults first, then simpler times, then less workload, then fewer random streams.

* A smaller run counts only when it fails in the same way: the same *signature*. Otherwise one would drift from the
  failure that was found to another that is easier to reach.
* Every step asks ``signature_of(trial)``, which plays the trial: the number of plays is bounded by ``budget``, and a
  result that was cut off by it says so.
* Removing is Zeller's and Hildebrandt's ddmin ("Simplifying and isolating failure-inducing input", 2002).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from chaos.trial import EVERY_STREAM, NS_PER_S, PlannedFault, Trial

T = TypeVar("T")
BUDGET = 400
_GRAINS_NS = (60 * NS_PER_S, 10 * NS_PER_S, NS_PER_S, NS_PER_S // 10, NS_PER_S // 1000)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest trial found, with what it took; ``is_complete`` is false when the budget ran out first."""

    trial: Trial
    plays: int
    is_complete: bool


class BudgetSpentError(Exception):
    """No more plays: the smallest trial so far is the result."""


def minimal(items: Sequence[T], still_fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Return a part of ``items`` that still fails and fails no more without any one of its items (ddmin)."""
    kept, parts = list(items), 2
    while len(kept) >= 2:
        smaller = next(_smaller(kept, parts, still_fails), None)
        if smaller is not None:
            kept, parts = smaller, max(parts - 1, 2)
        elif parts < len(kept):
            parts = min(len(kept), parts * 2)
        else:
            break
    return [] if len(kept) == 1 and still_fails([]) else kept


def _smaller(kept: list[T], parts: int, still_fails: Callable[[Sequence[T]], bool]) -> Iterator[list[T]]:
    """Yield ``kept`` without one of its ``parts``, where that still fails."""
    size = -(-len(kept) // parts)
    for start in range(0, len(kept), size):
        rest = kept[:start] + kept[start + size :]
        if still_fails(rest):
            yield rest


class Shrinker:
    """Shrinks one failing trial. ``signature_of`` plays a trial and returns how it fails (None: it does not)."""

    def __init__(
        self,
        signature_of: Callable[[Trial], str | None],
        *,
        streams: Sequence[str] = (),
        budget: int = BUDGET,
        on_play: Callable[[int, Trial], None] | None = None,
    ) -> None:
        self._signature_of, self._streams, self._budget, self._on_play = signature_of, streams, budget, on_play
        self._known: dict[Trial, str | None] = {}
        self.plays = 0

    def shrink(self, trial: Trial, signature: str) -> Shrunk:
        """Return the smallest trial found that fails with ``signature``, as ``trial`` (with its plan given) does."""
        best = [trial]

        def accept(candidate: Trial) -> bool:
            if candidate == best[0]:
                return False
            if self._signature(candidate) != signature:
                return False
            best[0] = candidate
            return True

        try:
            self._faults(best, accept)
            self._policies(best, accept)
            self._times(best, accept)
            self._workload(best, accept)
            self._zeroed(best, accept)
            self._faults(best, accept)
        except BudgetSpentError:
            return Shrunk(best[0], self.plays, is_complete=False)
        return Shrunk(best[0], self.plays, is_complete=True)

    def _signature(self, trial: Trial) -> str | None:
        if trial not in self._known:
            if self.plays >= self._budget:
                raise BudgetSpentError
            self.plays += 1
            if self._on_play is not None:
                self._on_play(self.plays, trial)
            self._known[trial] = self._signature_of(trial)
        return self._known[trial]

    @staticmethod
    def _faults(best: list[Trial], accept: Callable[[Trial], bool]) -> None:
        minimal(best[0].plan or (), lambda faults: accept(best[0].with_plan(faults)))

    @staticmethod
    def _policies(best: list[Trial], accept: Callable[[Trial], bool]) -> None:
        """Report the least powerful policy that shows it: an order that asyncio would surely give, if possible."""
        for policy in ("fifo", "shuffle", "pct"):
            if best[0].policy != policy and accept(replace(best[0], policy=policy)):
                return

    @staticmethod
    def _times(best: list[Trial], accept: Callable[[Trial], bool]) -> None:
        for index, simplified in itertools.product(range(len(best[0].plan or ())), (_sooner, _shorter)):
            for simpler in simplified((best[0].plan or ())[index]):
                plan = list(best[0].plan or ())
                plan[index] = simpler
                if accept(best[0].with_plan(plan)):
                    break

    @staticmethod
    def _workload(best: list[Trial], accept: Callable[[Trial], bool]) -> None:
        for size in (1, 2, 3, 5, 8, 13):
            known = best[0].workload
            if (known is None or size < known) and accept(replace(best[0], workload=size)):
                return

    def _zeroed(self, best: list[Trial], accept: Callable[[Trial], bool]) -> None:
        if self._streams and accept(replace(best[0], zeroed=frozenset({EVERY_STREAM}))):
            return
        for stream in self._streams:
            accept(replace(best[0], zeroed=best[0].zeroed | {stream}))


def _rounder(time_ns: int) -> Iterator[int]:
    """Yield rounder times, the roundest first; one that lasts at all stays above zero."""
    for grain_ns in _GRAINS_NS:
        if (rounded := time_ns // grain_ns * grain_ns) != time_ns:
            yield rounded


def _sooner(fault: PlannedFault) -> Iterator[PlannedFault]:
    yield from (replace(fault, at_ns=at_ns) for at_ns in _rounder(fault.at_ns))


def _shorter(fault: PlannedFault) -> Iterator[PlannedFault]:
    yield from (replace(fault, lasts_ns=lasts_ns) for lasts_ns in _rounder(fault.lasts_ns) if lasts_ns)
