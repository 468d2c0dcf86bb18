"""H5: producers race for the last place."""

from __future__ import annotations

import asyncio

from chaos.protocols import EVERYWHERE, World, scenario

LIMIT = 10
PRODUCERS = 64


@scenario(
    proves=["H5.1", "H5.2"],
    faults=["queue.stampede", "server.hang_after_body"],
    worlds=EVERYWHERE,
    judged_by=["the_limit_holds", "a_refusal_says_why_and_writes_nothing"],
)
async def sixty_four_producers_race_for_the_last_place(world: World) -> None:
    """With one place left and nothing leaving, 64 producers submit at once: one is accepted, 63 are told why not."""
    service = await world.start(max_queue_size=LIMIT, max_concurrent_uploads=2)
    await world.server.misbehave({"action": "hang_after_body"})
    for _ in range(LIMIT - 1):
        await service.submit()
    await world.server.saw("body_read")
    world.history.observe("limit", reports=LIMIT)
    clients = [service.another_client() for _ in range(PRODUCERS)]
    await asyncio.gather(*(client.request("ping") for client in clients))
    world.history.fault("queue.stampede", times=PRODUCERS)
    bodies = world.sample_reports(PRODUCERS)
    await asyncio.gather(*(service.offer(body, client) for body, client in zip(bodies, clients, strict=True)))
    await world.observe()
    await service.status()
    await asyncio.gather(*(client.close() for client in clients))
