"""H2: what a hundred starts and stops leave behind."""

from __future__ import annotations

from chaos.live.world import LiveWorld
from chaos.protocols import World, scenario


@scenario(proves=["H2.4"], faults=["service.start_and_stop"], limit_s=120, judged_by=["nothing_is_left"])
async def a_hundred_starts_and_stops(world: World) -> None:
    """A hundred starts and stops in one process leave no task, thread, descriptor or socket more than before."""
    cycles = 100
    found = await world.probe("start_stop", cycles=cycles)
    world.history.fault("service.start_and_stop", times=found["cycles"])
    world.history.observe("leaks", cycles=cycles, leaks=found["leaks"])


@scenario(proves=["H2.6"], faults=["leak.planted"])
async def each_kind_of_leak_is_planted(world: LiveWorld) -> None:
    """A process, a thread, a task, a timer, an open file and more are left behind: each is named, with its place."""
    folder = world.file("leaks")
    folder.mkdir()
    probe = await world.aside("chaos.live.leak_probe", str(folder))
    found = await probe.announced(60)
    world.history.fault("leak.planted", times=len(found["said"]))
    world.history.observe("leak_probe", **found)
