"""``Search.quiet``: a search ends once nothing new was seen for a while, and never before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from chaos.explore import Order, Search, SimulationPlayer, Tally
from chaos.history import History
from chaos.outcome import RunResult
from chaos.plan import Run, find_scenario
from chaos.protocols import WorldKind
from chaos.scenarios import all_scenarios
from chaos.seed import Seed

STORY = "C1.6/one_report_and_a_crash"


class CountingPool:
    """A pool whose runs are made up: the run of a seed reaches the mark that ``mark_of`` names."""

    jobs = 1

    def __init__(self, mark_of: Callable[[int], str]) -> None:
        self.mark_of, self.played = mark_of, 0

    async def run(self, _what: object, order: Order, **_: Any) -> Tally:
        tally = Tally()
        for seed in range(order.first_seed, order.first_seed + order.seeds):
            self.played += 1
            fired = {"process.kill": 1, "process.power": 1}
            marks = {self.mark_of(seed): 1}
            run = RunResult(STORY, "sim", seed, (), fired, 0.0, History(lambda: 0), marks=marks)
            tally.add(run, "line", seed)
        return tally


def searched(mark_of: Callable[[int], str], *, seeds: int, quiet: int) -> int:
    pool = CountingPool(mark_of)
    search = Search(seeds, shrinks=False, quiet=quiet)
    player = SimulationPlayer(pool, "reference", search)  # type: ignore[arg-type]
    asyncio.run(player(Run(find_scenario(all_scenarios(), STORY), WorldKind.SIMULATION, Seed(0))))
    return pool.played


def test_it_ends_when_nothing_new_comes() -> None:
    assert searched(lambda _: "one", seeds=10_000, quiet=100) < 200


def test_it_goes_on_while_something_new_comes() -> None:
    assert searched(lambda seed: f"mark {seed // 50}" if seed < 1000 else "old", seeds=10_000, quiet=100) >= 1000


def test_it_never_plays_more_than_it_was_given() -> None:
    assert searched(lambda seed: f"mark {seed}", seeds=400, quiet=100) == 400
