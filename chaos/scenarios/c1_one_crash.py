"""C1.6, simulated: one report and one fault, at any moment: small enough to try each step of it in turn."""

from __future__ import annotations

import asyncio

from chaos.errors import CommandRefusedError, CommandUnansweredError
from chaos.protocols import SIMULATED, scenario
from chaos.sim.plan_player import under_faults
from chaos.sim.world import SimWorld

TRIES_MAX = 60
TRY_AGAIN_S = 1.0
CONVERGENCE_S = 400.0


async def _handed_over(world: SimWorld, body: bytes) -> None:
    """Hand over the report, again and again with its own id, until it is accepted."""
    for _ in range(TRIES_MAX):
        try:
            await world.service.submit(body)
        except (CommandRefusedError, CommandUnansweredError):
            await asyncio.sleep(TRY_AGAIN_S)
        else:
            return


@scenario(proves=["C1.6"], faults=["process.kill", "process.power"], worlds=SIMULATED)
async def one_report_and_a_crash(world: SimWorld) -> None:
    """One report is handed over, delivered and filed, the service stops; a crash at any step of that loses nothing."""
    await world.start()
    async with world.kept_running():
        async with under_faults(world, ("kill", "power"), within_s=8):
            await _handed_over(world, world.sample_reports(1)[0])
        await world.converge(CONVERGENCE_S)
    await world.service.stop()
    await world.start()
    await world.converge(CONVERGENCE_S)
    await world.service.stop()
    await world.observe()
