"""The hunt for mutants: the scenarios of a mutant's property, seed after seed, until one sees the property broken.

* A mutant is *found* when its own property is broken, whatever the repetition. One that only another property sees is
  found by accident: the proof that should have seen it is blind. One that nothing sees survived.
* The first world that has scenarios for the property is tried first: the simulated one costs the least.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from chaos.explore.crash_player import explore_story, models_of
from chaos.explore.order import Order, Tally
from chaos.explore.player import Search
from chaos.explore.pool import Pool
from chaos.explore.worker import play_order
from chaos.mutants import Mutant
from chaos.protocols import WorldKind
from chaos.scenarios import all_scenarios
from chaos.verdict import Verdict

CHUNK = 10
SEEDS_APART = 1_000_000


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of one mutant. ``runs`` and ``took_s`` are medians over the repetitions that found it."""

    name: str
    property_id: str
    sentence: str
    world: str
    runs: float
    took_s: float
    hits: int
    tries: int
    found_by: tuple[str, ...] = ()
    replay: str = ""

    @property
    def is_found(self) -> bool:
        """Whether its own property saw it every time."""
        return self.hits == self.tries > 0

    @property
    def word(self) -> str:
        """What is said of it in one word or two."""
        if self.is_found:
            return "found"
        if self.tries == 0:
            return "not hunted"
        return "found by accident" if self.found_by else "survived" if not self.hits else "found sometimes"

    @property
    def cost(self) -> str:
        """What finding it took."""
        return f"{self.runs:g} runs, {self.took_s:.1f} s" if self.hits else f"{self.tries} hunts in vain"


@dataclass(slots=True)
class _Chase:
    """One repetition: what was played until the mutant's own property broke, or in vain."""

    played: int = 0
    took_s: float = 0.0
    is_hit: bool = False
    others: set[str] = field(default_factory=set)
    replay: str = ""

    def is_over(self, seeds: int) -> bool:
        """Return whether it is hit, or the seeds are used up."""
        return self.is_hit or self.played >= seeds

    def add(self, tally: Tally, property_id: str) -> None:
        """Count what one order gave."""
        self.played += tally.played
        self.took_s += tally.took_s
        broken = {f.property_id for f in tally.findings.values() if f.verdict is Verdict.BROKEN}
        self.others |= broken - {property_id}
        if property_id in broken:
            self.is_hit, self.replay = True, tally.failure_line


class Hunt:
    """Hunts mutants in simulated time, several at once."""

    def __init__(self, pool: Pool, subject: str, search: Search, repeat: int) -> None:
        self._pool, self._subject, self._search, self._repeat = pool, subject, search, repeat

    async def all(self, mutants: Sequence[Mutant]) -> AsyncIterator[Caught]:
        """Yield what became of each mutant, in the order in which that is known."""
        places = asyncio.Semaphore(self._pool.jobs)

        async def one(mutant: Mutant) -> Caught:
            async with places:
                return await self._hunt(mutant)

        tasks = [asyncio.ensure_future(one(mutant)) for mutant in mutants]  # noqa: TID251 - awaited just below
        try:
            for ended in asyncio.as_completed(tasks):
                yield await ended
        finally:
            for task in tasks:
                task.cancel()

    async def _hunt(self, mutant: Mutant) -> Caught:
        stories = _stories_of(mutant, WorldKind.SIMULATION)
        chases = [await self._chase(mutant, stories, number) for number in range(self._repeat)] if stories else []
        explored = [] if any(chase.is_hit for chase in chases) else _stories_of(mutant, WorldKind.CRASH)
        if explored:  # What no schedule shows, the loss of power may.
            chases = [await self._explored(mutant, explored)]
        hits = [chase for chase in chases if chase.is_hit]
        others = sorted({other for chase in chases for other in chase.others})
        return Caught(
            mutant.name,
            mutant.property_id,
            mutant.sentence,
            str(WorldKind.CRASH if explored else WorldKind.SIMULATION if stories else "–"),
            statistics.median(chase.played for chase in hits) if hits else 0,
            statistics.median(chase.took_s for chase in hits) if hits else 0.0,
            len(hits),
            len(chases),
            tuple(others),
            hits[0].replay if hits else "",
        )

    async def _explored(self, mutant: Mutant, stories: Sequence[str]) -> _Chase:
        """Explore the stories' crash states, model by model, until the property breaks in one; ``played``: states."""
        chase = _Chase()
        for story in (name.rpartition("/")[2] for name in stories):
            for model in models_of(self._subject, story):
                began = time.monotonic()
                (tally,) = await self._pool.run(explore_story, self._subject, story, [model], mutant.name)
                chase.played += tally.states
                chase.took_s += time.monotonic() - began
                broken = {p for p, verdict in tally.verdicts.items() if verdict is Verdict.BROKEN}
                chase.others |= broken - {mutant.property_id}
                if mutant.property_id in broken:
                    chase.is_hit, chase.replay = True, tally.way
                    return chase
        return chase

    async def _chase(self, mutant: Mutant, stories: Sequence[str], number: int) -> _Chase:
        """Play the stories in turn, a few seeds each time, until the property breaks or the seeds are used up."""
        chase = _Chase()
        first = (number + 1) * SEEDS_APART
        size = 1
        while not chase.is_over(self._search.seeds):
            for story in stories:
                order = Order(story, first, size, self._subject, mutant.name, self._search.policy)
                chase.add(await self._pool.run(play_order, order), mutant.property_id)
                if chase.is_over(self._search.seeds):
                    break
            first += size
            size = min(size * 2, CHUNK)
        return chase


def _stories_of(mutant: Mutant, world: WorldKind) -> list[str]:
    return [s.name for s in all_scenarios() if mutant.property_id in s.proves and world in s.worlds]
