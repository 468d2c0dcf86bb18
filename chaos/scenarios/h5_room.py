"""H5, simulated: room that refusals must not use up, and room on a disk that is nearly full."""

from __future__ import annotations

import asyncio

from chaos.protocols import SIMULATED, scenario
from chaos.sim.world import SimWorld

PATIENCE_S, PAUSE_S = 8000.0, 1.0
BLOCK_BYTES = 4096
ROUNDED_BYTES = 2 * BLOCK_BYTES
"""A disk tells its free space in whole blocks, and a file takes whole blocks: so much may be in doubt."""


async def _offered(world: SimWorld, body: bytes) -> None:
    client = world.service.another_client()
    try:
        await world.service.offer(body, client)
    finally:
        await client.close()


@scenario(proves=["H5.4"], faults=["queue.over_the_limit"], worlds=SIMULATED, judged_by=["refusals_take_no_room"])
async def refusals_use_up_no_room(world: SimWorld) -> None:
    """The queue is filled, more is refused, it is emptied, each time under another limit: so many are taken."""
    service = await world.start()
    for _ in range(world.draw.count(2, 3)):
        limit = world.draw.count(1, 6)
        await service.change_settings(max_queue_size=limit)
        await world.server.go_down()
        over = world.draw.count(1, 5)
        offered = world.sample_reports(limit + over)
        for body in offered:
            await _offered(world, body)
        world.history.fault("queue.over_the_limit", times=over)
        said = (await service.status())["pending_count"]
        ids = [world.report_id(body) for body in offered]
        world.history.observe("refilled", limit=limit, offered=ids, said=said)
        await world.server.come_up()
        await world.until(lambda: world.kept("pending"), lambda kept: not kept, "pending/ empty", PATIENCE_S)
        await asyncio.sleep(PAUSE_S)
    await world.converge(PATIENCE_S)


@scenario(
    proves=["H5.5"],
    faults=["disk.nearly_full"],
    marks=["too large", "small enough"],
    worlds=SIMULATED,
    judged_by=["limits_hold_to_the_byte"],
)
async def a_nearly_full_disk(world: SimWorld) -> None:
    """Reports that leave the least of free disk space that is wanted, and such that do not, by more than two blocks."""
    least = world.draw.count(1_000, 5_000_000)
    service = await world.start(min_free_disk_bytes=least)
    await world.server.go_down()
    volume = world.stage.disk.mounts.volumes[str(world.site.folder)]
    for _ in range(world.draw.count(3, 5)):
        room = world.draw.count(30_000, 90_000)
        volume.capacity_bytes = volume.used_bytes + least + room
        beyond = world.draw.count(ROUNDED_BYTES, 20_000)
        is_large = world.draw.one_of([True, False])
        body = world.sample_report_of(room + beyond if is_large else room - beyond)
        if abs(len(body) - room) < ROUNDED_BYTES:  # The size is met to the word only.
            continue
        world.mark("too large" if is_large else "small enough")
        world.history.fault("disk.nearly_full")
        world.history.observe("room", kind="disk", room=room, size=len(body), report_id=world.report_id(body))
        await _offered(world, body)
        await asyncio.sleep(PAUSE_S)
    volume.capacity_bytes = None
    await world.server.come_up()
    await service.submit()
    await world.converge(PATIENCE_S)
