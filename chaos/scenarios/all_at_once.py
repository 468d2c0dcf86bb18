"""All faults at once: reports on their way while the network, the server, the disk, the clock and the power fail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from chaos.errors import CommandRefusedError, CommandUnansweredError
from chaos.protocols import SIMULATED, scenario
from chaos.sim.plan_player import under_faults
from chaos.sim.world import SimWorld

WITHIN_S = 120.0
TRY_AGAIN_S = 1.0
PATIENCE_S = 400.0
CAP_S = 120


def bound_s(settings: Mapping[str, float]) -> float:
    """Return within what time everything must be delivered once nothing fails any more.

    The longest wait for a retry, the scan that finds it, the look at the server after an outage, and one upload.
    """
    ping_s = 300.0
    return settings["retry_cap_seconds"] + settings["retry_interval_seconds"] + ping_s + settings["upload_timeout"]


async def hand_over(world: SimWorld, body: bytes) -> None:
    """Hand over one report, again and again with its own id, until it is accepted or patience ends."""
    ends_at = asyncio.get_running_loop().time() + PATIENCE_S
    while asyncio.get_running_loop().time() < ends_at:
        try:
            await world.service.submit(body)
        except (CommandRefusedError, CommandUnansweredError):
            await asyncio.sleep(TRY_AGAIN_S)
        else:
            return


@scenario(proves=["C1.6", "C2.10"], faults=["process.kill", "process.power"], worlds=SIMULATED)
async def all_at_once(world: SimWorld) -> None:
    """Up to twelve reports are handed over while up to six faults of any kind happen; then all heals, all arrives."""
    limits: dict[str, Any] = {"retry_cap_seconds": CAP_S, "retry_interval_seconds": 30}
    await world.start(max_retry_attempts=100, **limits)
    async with under_faults(world, within_s=WITHIN_S):
        for body in world.sample_reports(world.draw.count(1, 12, stream="workload")):
            await asyncio.sleep(world.draw.seconds(0, 20, stream="workload"))
            await hand_over(world, body)
    await world.observe()
    await world.converge(bound_s({**limits, "upload_timeout": 30.0}))
    await world.service.stop()
    await world.observe()
