"""Makes a failing live run small, where no run repeats exactly: what is smaller must fail often enough to be kept.

* First the fault list (ddmin, as in ``chaos.shrink``), then the faults' times, then the workload.
* A candidate is played until it is decided whether ``hits`` of ``plays`` fail with the same signature as the run that
  was found. The run itself has to come to that rate before anything is left out of it.
* ``play`` raises ``BudgetSpentError`` when the time is over: the smallest run so far is the result, and it says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from chaos.errors import UsageError
from chaos.live_trial import LiveTrial
from chaos.shrink import BudgetSpentError, minimal
from chaos.trial import NS_PER_S

PLAYS_MAX = 20
SIZES = (1, 2, 3, 5, 8, 13)
SHORTER_NS = tuple(NS_PER_S * tenth // 1000 for tenth in (1, 10, 100, 1000, 10_000))
"""Durations that are tried, the shortest first: 1 ms to 10 s."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many plays; as text ``3/4``."""

    hits: int = 3
    plays: int = 4

    def __str__(self) -> str:
        return f"{self.hits} of {self.plays}"

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Return the rate that a text such as ``3/4`` stands for. Raises ``UsageError``."""
        found = re.fullmatch(r"(\d{1,2})/(\d{1,2})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]) <= PLAYS_MAX:
            raise UsageError(f"a rate such as 3/4, of at most {PLAYS_MAX} plays", repr(text), "give HITS/PLAYS")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class LivePlay:
    """What one play came to: how it failed (None: it did not), and the faults asked for, with their durations."""

    signature: str | None
    asked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShrunkLive:
    """The smallest trial found, and how often it failed; ``plays`` is all that was played to find it.

    ``is_reproduced`` is false when the run that was found does not fail often enough to be made smaller.
    """

    trial: LiveTrial
    seen: Rate
    plays: int
    faults_before: int
    is_reproduced: bool
    is_complete: bool

    def words(self, wanted: Rate) -> str:
        """Return in one line what came of it."""
        seen = f"fails in {self.seen} plays"
        if not self.is_reproduced:
            cut = "" if self.is_complete else " before the time was over"
            return f"not made smaller: it {seen}{cut}, wanted {wanted}"
        left = "all" if self.trial.faults is None else str(len(self.trial.faults))
        end = "" if self.is_complete else "; the time was over before it was as small as can be"
        return f"{left} of {self.faults_before} faults left, {seen}, after {self.plays} plays in all{end}"


class LiveShrinker:
    """Shrinks one failing live trial. ``on_step`` hears of each candidate with its rate."""

    def __init__(
        self,
        play: Callable[[LiveTrial], LivePlay],
        rate: Rate,
        on_step: Callable[[LiveTrial, Rate], None] = lambda _trial, _seen: None,
    ) -> None:
        self._play, self._rate, self._on_step = play, rate, on_step
        self._known: dict[LiveTrial, Rate] = {}
        self._asked: dict[str, int] = {}
        self._signature = ""
        self._plays = 0

    def __repr__(self) -> str:
        return f"LiveShrinker({self._rate}, {self._plays} plays, {len(self._known)} candidates)"

    def shrink(self, trial: LiveTrial, signature: str) -> ShrunkLive:
        """Return the smallest trial that fails with ``signature`` at the rate, as ``trial`` has to."""
        self._signature = signature
        best = [trial]
        is_reproduced = is_complete = False
        try:
            is_reproduced = self._fails(trial)
            if is_reproduced:
                self._faults(best)
                self._times(best)
                self._workload(best)
            is_complete = True
        except BudgetSpentError:
            is_complete = False
        seen = self._known.get(best[0], Rate(0, 0))
        return ShrunkLive(best[0], seen, self._plays, len(self._asked), is_reproduced, is_complete)

    def _fails(self, trial: LiveTrial) -> bool:
        """Play it until the rate is reached or out of reach; ``seen`` is what was really played."""
        if trial not in self._known:
            hits = plays = 0
            while hits < self._rate.hits and plays - hits <= self._rate.plays - self._rate.hits:
                played = self._play(trial)
                self._plays, plays = self._plays + 1, plays + 1
                hits += played.signature == self._signature
                self._asked = self._asked or dict(played.asked)
                self._known[trial] = Rate(hits, plays)
            self._on_step(trial, self._known[trial])
        return self._known[trial].hits >= self._rate.hits

    def _accept(self, best: list[LiveTrial], candidate: LiveTrial) -> bool:
        if candidate == best[0] or not self._fails(candidate):
            return False
        best[0] = candidate
        return True

    def _faults(self, best: list[LiveTrial]) -> None:
        names = [name for name in self._asked if best[0].admits(name)]
        minimal(names, lambda part: self._accept(best, best[0].with_faults(part)))

    def _times(self, best: list[LiveTrial]) -> None:
        for name, asked_ns in self._asked.items():
            lasts_ns = dict(best[0].times).get(name, asked_ns)
            shorter = (time_ns for time_ns in SHORTER_NS if time_ns < lasts_ns and best[0].admits(name))
            next((time_ns for time_ns in shorter if self._accept(best, best[0].with_time(name, time_ns))), None)

    def _workload(self, best: list[LiveTrial]) -> None:
        known = best[0].workload
        smaller = (size for size in SIZES if known is None or size < known)
        next((size for size in smaller if self._accept(best, replace(best[0], workload=size))), None)
