"""One hunt for one mutant: world after world and seed after seed, until its own property breaks or it was in vain.

* Simulated and crash runs are played in a worker process, which is ended with its hunt when the time for that is over:
  a mutant may swallow everything that would end it otherwise. It gives way to live runs, which measure real time.
* Live runs are played here, with the mutant planted in every process that they start; a cancelled one is undone.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from chaos.checkers import all_checkers
from chaos.errors import ChaosError
from chaos.explore.crash_player import explore_story, models_of
from chaos.explore.order import Order, Tally
from chaos.explore.pool import Pool, WorkerDiedError
from chaos.explore.turns import Turns
from chaos.explore.worker import play_order
from chaos.live.world import open_live_world
from chaos.mutants import Mutant
from chaos.plan import Run
from chaos.protocols import Scenario, WorldKind
from chaos.runner import Runner
from chaos.scenarios import all_scenarios
from chaos.seed import Seed
from chaos.subjects import find_subject
from chaos.verdict import Finding, Verdict

SEEDS_APART = 1_000_000
SEEDS_FIRST = 30
"""So many schedules are played before crash states are explored, which are all there is to say of a mistake."""
OUT_OF_TIME = "ran out of time"
WORKER_DIED = "its worker died"


@dataclass(frozen=True, slots=True)
class Terms:
    """What hunting may cost: so many schedules in simulation and so many seconds for each of ``repeat`` hunts."""

    seeds: int = 400
    repeat: int = 3
    limit_s: float = 150.0
    policy: str = "portfolio"
    worlds: tuple[WorldKind, ...] = (WorldKind.SIMULATION, WorldKind.CRASH, WorldKind.LIVE)
    """In the order in which they are tried: the cheapest first. Beside crash states, simulation has two goes."""


@dataclass(slots=True)
class Chase:
    """What one hunt came to. ``played`` counts schedules, states and live runs; ``trouble`` is what ended it early.

    ``absent`` says what this machine lacks for the live runs.
    """

    property_id: str
    world: WorldKind | None = None
    played: int = 0
    took_s: float = 0.0
    is_hit: bool = False
    others: set[str] = field(default_factory=set)
    replay: str = ""
    trouble: str = ""
    absent: str = ""

    def judge(self, broken: set[str], replay: str) -> None:
        """Take note of what broke in something that was played."""
        self.others |= broken - {self.property_id}
        if self.property_id in broken:
            self.is_hit, self.replay = True, replay

    def add(self, tally: Tally, mutant: Mutant) -> None:
        """Count what one order gave."""
        self.played += tally.played
        self.took_s += tally.took_s
        line = f"pywats-chaos replay '{tally.failure_line}' --mutant {mutant.name}"
        self.judge(_broken(list(tally.findings.values())), line)


class Hunter:
    """Hunts one mutant at a time, with a worker process of its own; close it in the end."""

    def __init__(self, subject: str, terms: Terms) -> None:
        self._subject, self._terms, self._pool = subject, terms, Pool(1, gives_way=True)
        self._paces: dict[str, float] = {}

    async def hunt(self, mutant: Mutant) -> list[Chase]:
        """Return what each hunt came to; none where no scenario proves the property in the mutant's worlds."""
        worlds = worlds_of(mutant, self._terms)
        chases: list[Chase] = []
        repeat = 1 if worlds == [WorldKind.CRASH] else self._terms.repeat  # What is enumerated is the same each time.
        while worlds and len(chases) < repeat and not any(chase.trouble or chase.absent for chase in chases):
            chases.append(await self._chase(mutant, worlds, len(chases)))
        return chases

    async def _chase(self, mutant: Mutant, worlds: Sequence[WorldKind], number: int) -> Chase:
        chase = Chase(mutant.property_id)
        try:
            async with asyncio.timeout(self._terms.limit_s) as limit:
                await self._through(worlds, mutant, chase, number)
        except TimeoutError:
            if not limit.expired():
                raise
            chase.trouble = OUT_OF_TIME
        except WorkerDiedError:
            chase.trouble = WORKER_DIED
        except ChaosError as error:
            chase.trouble = str(error)
        if chase.trouble:
            self.close()  # The next hunt begins with another worker.
        return chase

    async def _through(self, worlds: Sequence[WorldKind], mutant: Mutant, chase: Chase, number: int) -> None:
        """Hunt in one world after the other, until the property breaks."""
        seeds, legs = self._terms.seeds, list(worlds)
        turns = Turns([story.name for story in stories_of(mutant, WorldKind.SIMULATION)], self._paces)
        if legs[:2] == [WorldKind.SIMULATION, WorldKind.CRASH]:
            chase.world = legs[0]
            await self._simulated(mutant, chase, number, turns, min(SEEDS_FIRST, seeds))
            legs[:2] = [legs[1], legs[0]]
        for world in legs:
            if chase.is_hit:
                return
            chase.world = world
            if world is WorldKind.SIMULATION:
                await self._simulated(mutant, chase, number, turns, seeds)
            elif world is WorldKind.CRASH:
                await self._explored(mutant, chase)
            else:
                await self._lived(mutant, chase, number)

    async def _simulated(self, mutant: Mutant, chase: Chase, number: int, turns: Turns, seeds: int) -> None:
        """Play the stories in turns, a few seeds each time, until the property breaks or so many have been played."""
        while turns.played < seeds and not chase.is_hit:
            story, played, size = turns.next()
            first = (number + 1) * SEEDS_APART + played
            order = Order(story, first, size, self._subject, mutant.name, self._terms.policy)
            tally = await self._pool.run(play_order, order)
            turns.took(story, tally.played, tally.took_s)
            chase.add(tally, mutant)

    async def _explored(self, mutant: Mutant, chase: Chase) -> None:
        """Explore all stories' crash states under one model after the other, until the property breaks in one.

        ``played``: states. What breaks at all mostly breaks under the first model, posix, which forbids the least.
        """
        stories = [story.name.rpartition("/")[2] for story in stories_of(mutant, WorldKind.CRASH)]
        rounds = zip_longest(*(models_of(self._subject, story) for story in stories))
        pairs = [pair for models in rounds for pair in zip(stories, models, strict=True) if pair[1]]
        for story, model in pairs:
            began = time.monotonic()
            (tally,) = await self._pool.run(explore_story, self._subject, story, [model], mutant.name)
            chase.played += tally.states
            chase.took_s += time.monotonic() - began
            broken = {p for p, verdict in tally.verdicts.items() if verdict is Verdict.BROKEN}
            line = f"pywats-chaos crash-state {story} --model {model} --way {tally.way or '-'}"
            chase.judge(broken, f"{line} --mutant {mutant.name}")
            if chase.is_hit:
                return

    async def _lived(self, mutant: Mutant, chase: Chase, number: int) -> None:
        """Play each story once, the shortest first, until the property breaks."""
        opened = functools.partial(
            open_live_world, find_subject(self._subject), first=f"chaos.mutants:plant_here={mutant.name}"
        )
        for story in sorted(stories_of(mutant, WorldKind.LIVE), key=lambda story: story.limit_s):
            runner = Runner({WorldKind.LIVE: opened}, all_checkers(), jobs=1)
            for result in await runner.execute([Run(story, WorldKind.LIVE, Seed((number + 1) * SEEDS_APART))]):
                chase.played += 1
                chase.took_s += result.took_s
                chase.judge(_broken(result.findings), f"pywats-chaos mutants {mutant.name}")
                chase.trouble = f"the run failed: {result.error}" if result.error and not chase.is_hit else ""
                if any(finding.verdict is Verdict.NOT_AVAILABLE for finding in result.findings):
                    chase.absent = result.findings[0].found
            if chase.is_hit:
                return

    def close(self) -> None:
        """End the worker, also in the middle of what it plays; harmless to repeat."""
        self._pool.close()

    def __repr__(self) -> str:
        return f"Hunter({self._subject}, {self._pool!r})"


def worlds_of(mutant: Mutant, terms: Terms) -> list[WorldKind]:
    """Return where the mutant is hunted: where it may show and its property has scenarios."""
    return [world for world in terms.worlds if world in (mutant.worlds or terms.worlds) and stories_of(mutant, world)]


def stories_of(mutant: Mutant, world: WorldKind) -> list[Scenario]:
    """Return the scenarios that prove the mutant's property in a world, those first that are there for it above all."""
    found = [s for s in all_scenarios() if mutant.property_id in s.proves and world in s.worlds]
    return sorted(found, key=lambda s: s.proves[0] != mutant.property_id)


def _broken(findings: Sequence[Finding]) -> set[str]:
    return {finding.property_id for finding in findings if finding.verdict is Verdict.BROKEN}
