"""H2: what a hundred starts and stops leave behind."""

from __future__ import annotations

from chaos.protocols import World, scenario


@scenario(proves=["H2.4"], faults=["service.start_and_stop"], limit_s=120)
async def a_hundred_starts_and_stops(world: World) -> None:
    """A hundred starts and stops in one process leave no task, thread, descriptor or socket more than before."""
    cycles = 100
    found = await world.probe("start_stop", cycles=cycles)
    world.history.fault("service.start_and_stop", times=found["cycles"])
    world.history.observe("leaks", cycles=cycles, leaks=found["leaks"])
