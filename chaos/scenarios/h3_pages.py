"""H3: what the person before the configurator sees of every failure."""

from __future__ import annotations

from chaos.protocols import World, scenario
from chaos.scenarios.h2_pages import played

FAULTS = ("gone", "silent", "error", "no json", "null", "wrong kind", "empty")


@scenario(proves=["H3.2"], faults=[f"ipc.{fault}" for fault in FAULTS], limit_s=400)
async def every_action_of_every_page_fails(world: World) -> None:
    """Each request of each action fails in each way: the person sees an error and what to do, and it works later."""
    found = await played(world, "actions")
    for fault, times in found["fired"].items():
        world.history.fault(f"ipc.{fault}", times=times)
    world.history.observe("page_actions", actions=found["actions"], tried=found["tried"], wrong=found["wrong"])
