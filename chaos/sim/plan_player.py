"""Draws a plan of faults from the seed, and lets it happen to a simulated world while a story goes on.

* Swarm: for each seed every kind of fault is first switched on or off as a whole (Groce et al., "Swarm testing", 2012),
  so that some runs meet a few kinds again and again, which a mix of all never would.
* A trial that brings its plan along (a replay, a smaller one) is played with exactly that.
* Leaving the block heals the world: every fault is undone and the subject runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from chaos.sim.draw import Draw
from chaos.sim.plan_kinds import KINDS, SUBMIT, find_kind
from chaos.trial import NS_PER_S, PlannedFault

if TYPE_CHECKING:
    from chaos.sim.world import SimWorld

FAULTS_MAX = 6
AT_ONCE_S = 0.001
"""After that much virtual time every task that was ready has had its turns."""
Undo = Callable[[], Awaitable[None]]
log = logging.getLogger(__name__)


def draw_plan(draw: Draw, kinds: Sequence[str], *, within_s: float, faults_max: int = FAULTS_MAX) -> list[PlannedFault]:
    """Return a plan of at most ``faults_max`` faults of some of the kinds, in the order of their times."""
    swarm = draw.some_of(kinds, stream="plan/swarm") or [draw.one_of(kinds, stream="plan/swarm")]
    plan = []
    for _ in range(draw.count(0, faults_max, stream="plan/count")):
        kind = find_kind(draw.one_of(swarm, stream="plan/kind"))
        at_s = draw.seconds(0, within_s, stream="plan/at")
        lasts_s = draw.seconds(*kind.lasts_s, stream="plan/lasts")
        what = draw.one_of(kind.what, stream="plan/what")
        if what == SUBMIT and draw.chance(0.5, stream="plan/at_once"):
            at_s = 0  # Stories often begin with their submits.
        plan.append(PlannedFault(kind.name, round(at_s * NS_PER_S), round(lasts_s * NS_PER_S), what))
    return sorted(plan, key=lambda fault: fault.at_ns)


@asynccontextmanager
async def under_faults(
    world: SimWorld, kinds: Sequence[str] = tuple(KINDS), *, within_s: float = 120.0
) -> AsyncIterator[list[PlannedFault]]:
    """Let the trial's plan (drawn if it has none) happen from now on; leaving waits for its end and heals the world.

    Times of the plan count from the beginning of the block; what comes at once, or lies in wait from the beginning,
    does so when the block is entered.
    """
    given = world.trial.plan
    plan = draw_plan(world.draw, kinds, within_s=within_s) if given is None else list(given)
    world.plan += plan
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_happens(world, fault), name=f"plan {fault}") for fault in plan]
        if any(fault.at_ns == 0 for fault in plan):
            await asyncio.sleep(AT_ONCE_S)
        yield plan
        await asyncio.gather(*tasks)
    await world.heal()


async def _happens(world: SimWorld, fault: PlannedFault) -> None:
    await asyncio.sleep(fault.at_ns / NS_PER_S)
    undo = await find_kind(fault.name).begin(world, fault.what)
    await asyncio.sleep(fault.lasts_ns / NS_PER_S)
    await undo()
