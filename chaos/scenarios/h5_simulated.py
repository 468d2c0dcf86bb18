"""H5, simulated: limits of reports, bytes and free disk under racing producers, kills, hands, and each full-action."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from chaos.errors import ChaosError
from chaos.protocols import SIMULATED, scenario
from chaos.sim.world import SimWorld

EARLIER_LIMIT = 50
QUIET_S = 65.0
PATIENCE_S, SYNCED_S = 8000.0, 60.0
REQUEST_S = 60.0
PLENTY_BYTES = 1 << 30
KILL_PLACES = (
    "before_the_write",
    "before_the_publish",
    "after_the_publish",
    "before_the_move",
    "after_the_move",
    "before_mark_sent",
)


async def _offer(world: SimWorld, body: bytes) -> None:
    client = world.service.another_client()
    try:
        await world.service.offer(body, client)
    finally:
        await client.close()


async def _look(world: SimWorld, limit: int, at_start: int) -> None:
    found = len(await world.kept("pending"))
    said = (await world.service.status())["pending_count"]
    world.history.observe("held", found=found, said=said, limit=limit, at_start=at_start)


async def _drained(world: SimWorld) -> None:
    await world.until(lambda: world.kept("pending"), lambda kept: not kept, "pending/ empty", PATIENCE_S)
    await world.observe()


@scenario(
    proves=["H5.1", "H5.2"],
    faults=["queue.stampede", "process.kill"],
    marks=["more there than the limit at the start"],
    worlds=SIMULATED,
    judged_by=["never_more_than_the_limit", "refusals_name_the_limit"],
)
async def producers_race_while_reports_leave(world: SimWorld) -> None:
    """Producers race while reports leave one by one, in a folder that may hold more than the limit at the start."""
    await world.start(max_queue_size=EARLIER_LIMIT, max_concurrent_uploads=2)
    await world.server.go_down()
    at_start = world.draw.count(0, 8)
    for body in world.sample_reports(at_start):
        await world.service.submit(body)
    await world.service.kill()
    limit = world.draw.count(1, 6)
    await world.start(max_queue_size=limit)
    if at_start > limit:
        world.mark("more there than the limit at the start")
    await world.server.misbehave({"action": "delay_answer", "delay_s": world.draw.seconds(0.1, 9), "path": WSJF})
    await world.server.come_up()
    world.history.observe("racing", limit=limit, at_start=at_start)

    async def produce(bodies: list[bytes]) -> None:
        for body in bodies:
            await asyncio.sleep(world.draw.one_of([0, world.draw.seconds(0, 20)]))
            await _offer(world, body)

    async with asyncio.TaskGroup() as group:
        for _ in range(world.draw.count(2, 10)):
            group.create_task(produce(world.sample_reports(world.draw.count(1, 3))), name="a producer")
        world.history.fault("queue.stampede")
        for _ in range(4):
            await asyncio.sleep(world.draw.seconds(0, 15))
            await _look(world, limit, at_start)
    await world.server.misbehave()
    await _drained(world)
    await world.service.submit()
    await world.converge(PATIENCE_S)


@scenario(
    proves=["H5.3", "H5.6"],
    faults=["server.down"],
    worlds=SIMULATED,
    judged_by=["the_oldest_goes_to_failed", "the_figures_are_true"],
)
async def the_oldest_makes_room(world: SimWorld) -> None:
    """With `oldest_first` each report over the limit sends the oldest to failed/, with the reason; none is deleted."""
    limit, over = world.draw.count(2, 8), world.draw.count(1, 5)
    service = await world.start(max_queue_size=limit, queue_full_action="oldest_first", max_concurrent_uploads=1)
    await world.server.go_down()
    bodies = world.sample_reports(limit + over)
    for body in bodies:
        await asyncio.sleep(world.draw.seconds(0, 40))
        await service.submit(body)
    await world.observe()
    order = [world.report_id(body) for body in bodies]
    evicted = [report.report_id for report in await world.kept("failed")]
    status = await service.status()
    client = service.another_client()
    try:
        stories = [await client.request("show_report", {"id": report_id}) for report_id in evicted]
    finally:
        await client.close()
    reasons = [str(story["places"][0]["last_error"]) for story in stories]
    world.history.observe("evicted", order=order, evicted=evicted, reasons=reasons, limit=limit, over=over)
    expected = {"highest": limit, "refused": over, "evicted": over, "queued_files": limit}
    world.history.observe("figures", said=status["pending_queue"], expected={**expected, "refused": None})
    await world.server.come_up()
    await _drained(world)


@scenario(
    proves=["H5.3", "H5.6"],
    faults=["failpoint.sleep"],
    marks=["cut off while it made room"],
    worlds=SIMULATED,
    judged_by=["what_was_given_up_is_named", "the_figures_are_true"],
)
async def a_submit_is_cut_off_while_it_makes_room(world: SimWorld) -> None:
    """The disk is slow to move the oldest away, until the submit is cut off: what was given up is counted and named."""
    limit, slow_s = world.draw.count(2, 5), world.draw.one_of([1.0, world.draw.seconds(61, 200)])
    await world.server.go_down()
    service = await world.start(
        failpoints={"before_the_move": f"1*sleep({slow_s})"},
        max_queue_size=limit,
        queue_full_action="oldest_first",
        max_concurrent_uploads=1,
    )
    for body in world.sample_reports(limit):
        await service.submit(body)
    await _offer(world, world.sample_reports(1)[0])
    if slow_s > REQUEST_S:
        world.mark("cut off while it made room")
    await asyncio.sleep(slow_s)
    evicted = [report.report_id for report in await world.kept("failed")]
    said = [record.text for record in world.stage.log.records]
    named = [report_id for report_id in evicted if any("evicted" in text and report_id in text for text in said)]
    world.history.observe("given_up", evicted=evicted, named=named)
    figures = (await service.status())["pending_queue"]
    world.history.observe("figures", said=figures, expected={"evicted": len(evicted), "highest": limit})
    await world.server.come_up()
    await _drained(world)


@scenario(
    proves=["H5.3", "H5.6"],
    faults=["server.down"],
    worlds=SIMULATED,
    judged_by=["intake_is_paused_while_full", "the_figures_are_true"],
)
async def intake_pauses_and_goes_on(world: SimWorld) -> None:
    """With `pause` a full queue refuses, and says that intake is paused; drained it goes on; filled again it pauses."""
    limit = world.draw.count(1, 6)
    service = await world.start(max_queue_size=limit, queue_full_action="pause")
    refused = 0
    for _ in range(2):
        await world.server.go_down()
        for number, body in enumerate(world.sample_reports(limit + 2)):
            await _offer(world, body)
            world.history.observe("intake", is_paused=_pauses(await service.status()), is_full=number >= limit - 1)
        refused += 2
        figures = (await service.status())["pending_queue"]
        world.history.observe("figures", said=figures, expected={"highest": limit, "refused": refused, "evicted": 0})
        await world.server.come_up()
        await _drained(world)
        status = await world.service.status()
        figures = status["pending_queue"]
        world.history.observe("figures", said=figures, expected={"highest": limit, "queued_files": 0})
        world.history.observe("intake", is_paused=_pauses(status), is_full=False)


def _pauses(status: Mapping[str, Any]) -> bool:
    return any(reason.startswith("paused: ") and "queue full" in reason for reason in status["reasons"])


@scenario(
    proves=["H5.4"],
    faults=["failpoint.kill", "files.removed_by_hand", "files.added_by_hand"],
    marks=list(KILL_PLACES),
    worlds=SIMULATED,
    judged_by=["the_count_is_the_folders"],
)
async def counts_across_kills_at_every_place(world: SimWorld) -> None:
    """The service dies where files are written and moved, and files come and go by hand: the count is the folder's."""
    await world.start(max_retry_attempts=100, retry_interval_seconds=3000)
    for _ in range(world.draw.count(1, 2)):
        await world.service.kill()
        place = world.draw.one_of(KILL_PLACES)
        await world.start(failpoints={place: f"{world.draw.count(0, 2)}*off->kill"})
        for body in world.sample_reports(world.draw.count(1, 5)):
            await asyncio.sleep(world.draw.seconds(0, 5))
            try:
                await _offer(world, body)
            except ChaosError:
                break
        await asyncio.sleep(1)
        if not world.service.process.is_alive:
            world.mark(place)
        await world.service.kill()
        await world.server.go_down()
        await world.start()
        for body in world.sample_reports(3):
            await world.service.submit(body)
        await _changed_by_hand(world)
        await world.server.come_up()
    client = world.service.another_client()
    try:
        await client.request("sync_now")
    finally:
        await client.close()
    await world.converge(SYNCED_S)
    await _count(world)


async def _changed_by_hand(world: SimWorld) -> None:
    """Take files away, put others in, bring back what was taken, and look each time once the service could see it."""
    await asyncio.sleep(QUIET_S)
    await _count(world)
    pending = world.folder("pending")
    names = sorted(name for name in os.listdir(pending) if name.endswith(".json") and "history" not in name)
    taken = names[: world.draw.count(1, 2)]
    for name in taken:
        world.keep_aside(pending / name)
    world.history.fault("files.removed_by_hand", times=len(taken))
    await asyncio.sleep(QUIET_S)
    await _count(world)
    for body in world.sample_reports(world.draw.count(1, 3)):
        aside = world.site.folder / f"by-hand-{world.report_id(body)[:8]}.json"
        aside.write_bytes(body)
        os.rename(aside, pending / aside.name)  # noqa: TID251 - a hand, not the service
    world.history.fault("files.added_by_hand")
    await asyncio.sleep(QUIET_S)
    await _count(world)
    for name in taken:
        world.bring_back(pending / name)
    await asyncio.sleep(QUIET_S)
    await _count(world)


async def _count(world: SimWorld) -> None:
    found = len(await world.kept("pending"))
    said = (await world.service.status())["pending_count"]
    world.history.observe("count", said=said, found=found, expected=found)


@scenario(
    proves=["H5.5"],
    faults=["queue.large_reports"],
    marks=["a byte too many"],
    worlds=SIMULATED,
    judged_by=["limits_hold_to_the_byte"],
)
async def a_limit_in_bytes(world: SimWorld) -> None:
    """Reports that fit to the byte and such that do not, against a limit in bytes."""
    limit = world.draw.count(20_000, 60_000)
    await world.start(max_queue_bytes=limit)
    await world.server.go_down()
    held = 0
    for _ in range(world.draw.count(3, 6)):
        held = await _offered(world, limit - held, "limit", held)
    world.history.fault("queue.large_reports")
    await world.observe()
    await world.server.come_up()
    await world.converge(PATIENCE_S)
    await world.service.submit()
    await world.converge(PATIENCE_S)


async def _offered(world: SimWorld, room: int, kind: str, held: int) -> int:
    """Offer a report that fits exactly, or has a byte too many, or any size; return what is held then."""
    wanted = world.draw.one_of([room, room + 1, world.draw.count(1_500, 20_000)])
    body = world.sample_report_of(max(wanted, 1_000))
    if len(body) == room:
        world.mark("it fits exactly")
    if len(body) == room + 1:
        world.mark("a byte too many")
    world.history.observe("room", kind=kind, room=room, size=len(body), report_id=world.report_id(body))
    await _offer(world, body)
    return held + (len(body) if len(body) <= room else 0)


WSJF = "/api/Report/WSJF"
