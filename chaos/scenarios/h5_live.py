"""H5, live: limits in bytes and in free disk, counts across kills, and ten thousand reports waiting."""

from __future__ import annotations

import os
import shutil
import time

from chaos.live.service import LiveService
from chaos.live.world import LiveWorld
from chaos.protocols import EVERYWHERE, scenario

LARGE_BYTES = 100_000
LIMIT_BYTES = 450_000
MANY = 10_000
MEASURED = 60
CONVERGENCE_S = 40.0


async def _offered(service: LiveService, body: bytes) -> None:
    client = service.another_client()
    try:
        await service.offer(body, client)
    finally:
        await client.close()


@scenario(
    proves=["H5.5"],
    faults=["queue.large_reports", "disk.nearly_full", "server.down"],
    judged_by=["limits_in_bytes_hold"],
)
async def large_reports_and_a_nearly_full_disk(world: LiveWorld) -> None:
    """Reports of 100 kB against a limit of 450 kB, then too little free disk: refused, and fine afterwards."""
    service = await world.start(max_queue_bytes=LIMIT_BYTES)
    await world.server.go_down()
    for _ in range(6):
        await _offered(service, world.sample_report_of(LARGE_BYTES))
    world.history.fault("queue.large_reports", times=6)
    world.history.observe("limits", max_bytes=LIMIT_BYTES, size=LARGE_BYTES)
    await world.observe()
    await world.server.come_up()
    await world.converge(CONVERGENCE_S)
    more_than_there_is = shutil.disk_usage(world.site.folder).free * 2
    await service.change_settings(min_free_disk_bytes=more_than_there_is)
    world.history.fault("disk.nearly_full", free_wanted=more_than_there_is)
    await _offered(service, world.sample_reports(1)[0])
    await service.change_settings(min_free_disk_bytes=0)
    await service.submit()
    await world.converge(CONVERGENCE_S)


@scenario(
    proves=["H5.4"],
    faults=["process.kill", "files.removed_by_hand", "server.down"],
    worlds=EVERYWHERE,
    judged_by=["the_count_is_the_folders"],
)
async def counts_across_kills_and_hands(world: LiveWorld) -> None:
    """Killed with reports waiting, one removed by hand and brought back: the count is the folder's, down to none."""
    service = await world.start(retry_interval_seconds=1, retry_cap_seconds=2.0)
    await world.server.go_down()
    for _ in range(5):
        await service.submit()
    await _count(world, service, 5)
    await service.kill()
    pending = world.folder("pending")
    names = sorted(name for name in os.listdir(pending) if name.endswith(".json") and "history" not in name)
    world.keep_aside(pending / names[0])
    world.history.fault("files.removed_by_hand")
    service = await world.start()
    await _count(world, service, 4)
    await service.kill()
    world.bring_back(pending / names[0])
    service = await world.start()
    await _count(world, service, 5)
    await world.server.come_up()
    await world.converge(CONVERGENCE_S)
    await _count(world, service, 0)


async def _count(world: LiveWorld, service: LiveService, expected: int) -> None:
    status = await service.status()
    found = len(await world.kept("pending"))
    world.history.observe("count", said=status["pending_count"], found=found, expected=expected)


@scenario(proves=["H5.6"], faults=["queue.ten_thousand"], limit_s=150, judged_by=["a_long_queue_costs_no_more"])
async def ten_thousand_are_waiting(world: LiveWorld) -> None:
    """Accepting beside ten thousand waiting reports costs what it costs beside ten, and the figures are told."""
    service = await world.start(max_queue_size=MANY + 200, max_concurrent_uploads=1)
    await world.server.misbehave({"action": "hang_after_body", "path": "/api/Report/WSJF"})
    few = await _measured(world, service)
    await service.kill()
    filled = await world.probe("fill", count=MANY)
    world.history.fault("queue.ten_thousand", times=filled["accepted"])
    service = await world.start()
    many = await _measured(world, service)
    status = await service.status()
    world.history.observe(
        "cost", few_s=few, many_s=many, figures=status["pending_queue"], pending=status["pending_count"]
    )


async def _measured(world: LiveWorld, service: LiveService) -> list[float]:
    took = []
    for body in world.sample_reports(MEASURED):
        client = service.another_client()
        try:
            await client.request("ping")
            began = time.perf_counter()
            await service.offer(body, client)
            took.append(time.perf_counter() - began)
        finally:
            await client.close()
    return took
