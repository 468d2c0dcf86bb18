"""C1.7, simulated: a signal that comes while the service restarts, at any moment of that."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

from chaos.errors import CommandRefusedError, CommandUnansweredError
from chaos.protocols import SIMULATED, scenario
from chaos.sim.ambush import Ambush
from chaos.sim.service import EXIT_LIMIT_S
from chaos.sim.world import SimWorld

MOMENTS_MAX = 250
"""From the command to the next start; the last ones are after it."""
STRIKES_WITHIN_S = 120.0
"""A service that has nothing to do takes a step every now and then."""


@scenario(
    proves=["C1.7"],
    faults=["process.signal"],
    marks=["after the stop", "during the next start"],
    worlds=SIMULATED,
    judged_by=["a_signal_ends_a_restart"],
)
async def a_signal_comes_during_a_restart(world: SimWorld) -> None:
    """SIGTERM at any moment of a restart: before, during or after its stop, or in its start; the process ends."""
    service = await world.start(graceful_shutdown_seconds=60, force_shutdown_seconds=120)
    await service.submit()
    moments = world.draw.one_of(range(1, MOMENTS_MAX + 1), stream="moments")

    def strike() -> None:
        _mark(world)
        world.history.fault("process.signal", number="SIGTERM")
        service.process.send_signal(signal.SIGTERM)

    ambush = Ambush(world, "restart", moments, strike)
    operation = world.history.invoke("restart")
    client = service.another_client()
    with suppress(CommandRefusedError, CommandUnansweredError):  # The signal may have come first.
        await client.request("restart")
        operation.ok()
    await client.close()
    async with asyncio.timeout(STRIKES_WITHIN_S):
        await ambush.struck.wait()
    world.history.observe("signalled", exit=await service.exited(EXIT_LIMIT_S))
    await world.observe()


def _mark(world: SimWorld) -> None:
    """Say how far the restart is: its log tells."""
    name = world.service.process.name
    said = [record.text for record in world.stage.log.records if record.process == name]
    stops = sum("shutdown clean after" in words for words in said)
    starts = sum(" started: " in words for words in said)
    if stops:
        world.mark("after the stop")
    if stops and starts < 2:
        world.mark("during the next start")
