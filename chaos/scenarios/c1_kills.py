"""C1.6, live: kills, many in a row, at every place of a report's way, and during the recovery from the last one."""

from __future__ import annotations

from chaos.live.service import LiveService
from chaos.live.world import LiveWorld
from chaos.protocols import scenario

CONVERGENCE_S = 40.0
KILLS = 50
PLACES = (
    "before_the_write",
    "before_the_publish",
    "after_the_publish",
    "an_upload",
    "before_the_move",
    "after_the_move",
)


async def _offered(world: LiveWorld, service: LiveService, count: int) -> None:
    """Offer reports; whoever is killed meanwhile leaves the outcome of some unknown."""
    for body in world.sample_reports(count):
        client = service.another_client()
        try:
            await service.offer(body, client)
        finally:
            await client.close()


@scenario(proves=["C1.6"], faults=["process.kill"], limit_s=400)
async def fifty_kills_in_a_row(world: LiveWorld) -> None:
    """Fifty times: a start, two reports, SIGKILL at a random instant of their way, a look at every report so far."""
    moments = world.seed.stream("moments")
    events = ("headers_read", "body_read", "stored", "answered")
    for _ in range(KILLS):
        service = await world.start()
        await world.server.misbehave({"action": "delay_answer", "delay_s": 0.02})
        await _offered(world, service, 2)
        await world.server.saw(moments.choice(events))
        await service.kill()
        await world.observe()
    await world.server.misbehave()
    await world.start()
    await world.converge(CONVERGENCE_S)


@scenario(proves=["C1.6"], faults=["process.kill", "failpoint.kill"], limit_s=90)
async def kills_at_every_place_of_the_way(world: LiveWorld) -> None:
    """The process dies before and after writing, publishing, sending and moving: nothing accepted is ever missing."""
    service = await world.start()
    await world.server.misbehave({"action": "hang_after_body"})
    await _offered(world, service, 2)
    await service.kill()
    await world.server.misbehave()
    for place in PLACES:
        service = await world.start(failpoints={place: "kill"})
        await _offered(world, service, 1)
        await service.died()
        await world.observe()
    await world.start()
    await world.converge(CONVERGENCE_S)


@scenario(proves=["C1.6"], faults=["process.kill", "failpoint.kill"], limit_s=90)
async def kills_during_the_recovery(world: LiveWorld) -> None:
    """Killed with reports under way, and killed again in the middle of each of four recoveries from that."""
    service = await world.start()
    await world.server.misbehave({"action": "hang_after_storing"})
    await _offered(world, service, 4)
    await world.server.saw("stored")
    await service.kill()
    (world.folder("pending") / ".half-written.json.tmp").write_bytes(b'{"half": ')
    for place in ("before_the_recovery", "after_the_recovery") * 2:
        await world.start_and_die(place)
        await world.observe()
    await world.server.misbehave()
    await world.start()
    await world.converge(CONVERGENCE_S)
