"""Sweeps: one trial, once for each step at which a fault can be put; exhaustive for one fault, on several cores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from chaos.explore.order import Tally
from chaos.explore.player import summed_up
from chaos.explore.pool import Pool
from chaos.explore.worker import play_line, play_trial, points_of
from chaos.outcome import Fact, RunResult
from chaos.protocols import Scenario
from chaos.sim.step_faults import OF_TASKS
from chaos.trial import Trial, parse_trial

CHUNK = 10
Heard = Callable[[int, int, int], None]
"""Is told how many points were played, of how many, and how many of them broke a property."""


@dataclass(slots=True)
class Swept:
    """What came of some points of a sweep: all runs added up, and the lines of those that broke a property."""

    tally: Tally = field(default_factory=Tally)
    broken: list[str] = field(default_factory=list)
    silent: int = 0

    def join(self, other: Swept) -> None:
        """Add what another process found."""
        self.tally.join(other.tally)
        self.broken += other.broken
        self.silent += other.silent


def play_points(lines: Sequence[str], *, subject: str = "reference", mutant: str = "") -> Swept:
    """Play every one of the trials in ``lines``; called in a worker. Raises ``UsageError`` for what is no trial."""
    swept = Swept()
    for line in lines:
        tally = play_line(line, subject=subject, mutant=mutant)
        swept.silent += not any(tally.faults.values())
        swept.broken += [line] if tally.is_broken else []
        swept.tally.join(tally)
    return swept


class Sweeper:
    """Sweeps scenarios in the processes of ``pool``."""

    def __init__(self, pool: Pool, subject: str, *, mutant: str = "", heard: Heard | None = None) -> None:
        self._pool, self._subject, self._mutant, self._heard = pool, subject, mutant, heard

    async def sweep(self, scenario: Scenario, trial: Trial, faults: Sequence[str]) -> tuple[RunResult, Swept]:
        """Play ``trial`` with each of ``faults`` at each of its points; return one result for all, and the findings.

        The result shows the earliest failure, with its trace.
        """
        began, subject, mutant = time.monotonic(), self._subject, self._mutant
        lines = await self._pool.run(points_of, str(trial), faults, subject=subject, mutant=mutant)
        swept = await self._played(lines)
        swept.broken.sort(key=lines.index)
        shown = swept.tally.shown
        if swept.broken:
            first = parse_trial(swept.broken[0])
            played = await self._pool.run(play_trial, first, subject=subject, mutant=mutant, keeps_trace=True)
            shown = played.result
        assert shown is not None, "the subject takes at least one step"
        expected = tuple(f"task.{name}" if name in OF_TASKS else f"process.{name}" for name in faults)
        result = summed_up(replace(scenario, faults=expected), swept.tally, shown, time.monotonic() - began)
        points: dict[str, int] = {Fact.SWEEP_POINTS: len(lines), "points that broke it": len(swept.broken)}
        points["points where nothing happened"] = swept.silent
        return replace(result, facts={**result.facts, **points}), swept

    async def _played(self, lines: Sequence[str]) -> Swept:
        total = Swept()
        parts = [lines[start : start + CHUNK] for start in range(0, len(lines), CHUNK)]
        run = self._pool.run
        waiting = [
            asyncio.ensure_future(run(play_points, part, subject=self._subject, mutant=self._mutant))  # noqa: TID251
            for part in parts
        ]
        try:
            for ended in asyncio.as_completed(waiting):
                total.join(await ended)
                if self._heard is not None:
                    self._heard(total.tally.played, len(lines), len(total.broken))
        finally:
            for future in waiting:
                future.cancel()
        return total

    def __repr__(self) -> str:
        return f"Sweeper({self._subject}, {self._pool!r})"
