"""H1 in virtual time: what is kept, in what order it leaves, and what nothing may overwrite."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from chaos.errors import CommandRefusedError, CommandUnansweredError
from chaos.history import Kind
from chaos.live import foreign_files
from chaos.protocols import SIMULATED, scenario
from chaos.sim.disk.faults import SYNCS, fail, slow
from chaos.sim.world import SimWorld

SETTLED_S, DAY_S = 100.0, 86_400.0
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES, errno.EDQUOT)
READING_ERRORS = (errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENOMEM)
CUTS: Sequence[Mapping[str, Any]] = (
    {"action": "drop_after_storing"},
    {"action": "drop_after_storing", "how": "rst"},
    {"action": "truncate_answer"},
    {"action": "drop_after_body"},
    {"action": "hang_after_storing"},
    {"action": "hang_in_answer"},
    {"action": "delay_answer", "delay_s": 2.0},
)
LIES = ("html", "not_json", "error_object", "other_id", "redirect", "truncate_answer", "hang_in_answer")
HANGS = ("hang_after_headers", "hang_in_body", "hang_after_body", "hang_in_answer", "hang_after_storing")
JUMPS_S = (DAY_S, 3 * DAY_S, 8 * DAY_S, -DAY_S, -8 * DAY_S, 3650 * DAY_S, -3650 * DAY_S)


async def settled(world: SimWorld, within_s: float = SETTLED_S) -> None:
    """Look at folders and server when that time has passed."""
    await asyncio.sleep(within_s)
    await world.observe()
    await world.observe_exchanges()


@scenario(proves=["H1.2"], faults=["process.power"], worlds=SIMULATED, marks=["seen by the server"])
async def the_power_goes_as_the_first_byte_comes(world: SimWorld) -> None:
    """Reports are handed over on a slow disk; the power goes while the server reads one: it is here afterwards."""
    service = await world.start()
    bodies = world.sample_reports(world.draw.count(1, 6, stream="workload"))
    await world.server.misbehave({"action": "delay_storing", "delay_s": 30.0})
    with world.stage.disk.fault(slow(world.draw.seconds(0.01, 0.2)), calls=SYNCS):
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(_handed_over(world, body), name="handing over")
            await world.server.saw("body_read", limit_s=30)
            world.mark("seen by the server")
            await asyncio.sleep(world.draw.seconds(0, 0.3))
            await world.observe_exchanges()
            await service.lose_power()
    await world.server.go_down()
    await world.start()
    await world.observe()
    await world.server.misbehave()
    await world.server.come_up()
    await settled(world, 400)


async def _handed_over(world: SimWorld, body: bytes) -> None:
    with suppress(CommandRefusedError, CommandUnansweredError):
        await world.service.submit(body)


@scenario(proves=["H1.5"], faults=["process.kill"], worlds=SIMULATED, marks=["killed", "power lost"])
async def the_exchange_is_cut_at_any_point(world: SimWorld) -> None:
    """Answers are lost on the way, and the service dies at any instant of the exchange: sent again, one effect."""
    service = await world.start()
    bodies = world.sample_reports(world.draw.count(1, 4, stream="workload"))
    cuts = [world.draw.one_of(CUTS[:4] if body is bodies[0] else CUTS, stream="cuts") for body in bodies]
    ids = [world.report_id(body) for body in bodies]
    await world.server.misbehave(*({**cut, "report_id": i, "times": 1} for cut, i in zip(cuts, ids, strict=True)))
    for body in bodies:
        await service.submit(body)
    await asyncio.sleep(world.draw.seconds(0, 5))
    if world.draw.chance(0.3, stream="deaths"):
        world.mark("power lost")
        await service.lose_power()
    else:
        world.mark("killed")
        await service.kill()
    await world.start()
    await settled(world, 200)
    await settled(world, 200)


@scenario(
    proves=["H1.6"],
    faults=["disk.foreign_file"],
    worlds=SIMULATED,
    marks=["while it ran"],
    judged_by=["foreign_files_are_kept_apart"],
)
async def foreign_files_appear(world: SimWorld) -> None:
    """Reports cut at any byte, noise, links and folders appear in pending/, before a start or while it runs."""
    service = await world.start()
    body = world.sample_reports(1)[0]
    runs_on = world.draw.chance(0.5)
    if runs_on:
        world.mark("while it ran")
    else:
        await service.stop()
    planted = await asyncio.to_thread(_plant, world, body)
    world.history.fault("disk.foreign_file", times=len(planted))
    if not runs_on:
        service = await world.start()
    await service.submit(body)
    await world.server.saw("answered", report_id=world.report_id(body), limit_s=1)
    await asyncio.sleep(65)
    files = await asyncio.to_thread(foreign_files.look, world.folder("quarantine"), planted)
    world.history.observe("quarantine", files=files)
    await settled(world)


def _plant(world: SimWorld, body: bytes) -> dict[str, str]:
    pending = world.folder("pending")
    cut = world.draw.count(1, len(body) - 2, stream="cuts")
    name = f"20261123T143005.123456Z_05_7f3a0c1e-0000-4000-8000-000000000000_{len(body)}.json"
    contents = {
        "torn.json": body[:cut],
        name: body[:cut],
        "empty.json": b"",
        "noise.json": bytes(world.draw.count(0, 255, stream="noise") for _ in range(64)),
        "no-report.json": b'{"hello": "world"}',
        "latin.json": '{"pn": "Prüfplatz"}'.encode("latin-1"),
        "list.json": json.dumps([json.loads(body)]).encode(),
    }
    for one, content in contents.items():
        (pending / one).write_bytes(content)
    (pending / "link.json").symlink_to("/station/config.json")
    (pending / "folder.json").mkdir()
    (pending / "folder.json" / "inside").write_text("kept")
    return {one: foreign_files.fingerprint(pending / one) for one in (*contents, "link.json", "folder.json")}


@scenario(
    proves=["H1.8"],
    faults=["disk.fault"],
    worlds=SIMULATED,
    marks=["refused"],
    judged_by=["the_disk_s_errors_are_told"],
)
async def the_disk_fails_at_the_nth_call(world: SimWorld) -> None:
    """Each of several reports meets an error of the disk at a drawn call: told, nothing left, well afterwards."""
    service = await world.start()
    await world.server.go_down()
    for body in world.sample_reports(world.draw.count(1, 5, stream="workload")):
        error = world.draw.one_of(ERRORS, stream="errors")
        number = world.draw.count(1, 6, stream="calls")
        pending = world.folder("pending")
        with world.stage.disk.fault(fail(error), paths=(f"{pending}", f"{pending}/.*"), numbers=(number,)) as rule:
            with suppress(CommandRefusedError):
                await service.submit(body)
            hit = rule.fired
        names = sorted(await asyncio.to_thread(os.listdir, pending))
        if list(world.history.operations("submit"))[-1].outcome is Kind.FAILED:
            world.mark("refused")
        world.history.observe("half_written", names=names, error=errno.errorcode[error], hit=hit)
        await _handed_over(world, world.sample_reports(1)[0])
        await asyncio.sleep(world.draw.seconds(0, 40))
    if world.draw.chance(0.5, stream="deaths"):
        await service.lose_power()
        await world.start()
    await world.server.come_up()
    await settled(world, 900)


@scenario(
    proves=["H1.6"],
    faults=["disk.fault"],
    worlds=SIMULATED,
    marks=["denied", "at the start"],
    judged_by=["what_cannot_be_read_now_is_tried_again"],
)
async def the_disk_refuses_to_be_read_for_a_while(world: SimWorld) -> None:
    """Accepted reports cannot be read for minutes, while it runs or from the start on: told, tried again, all sent."""
    await world.server.go_down()
    service = await world.start(max_concurrent_uploads=2)
    for body in world.sample_reports(world.draw.count(1, 5, stream="workload")):
        await service.submit(body)
    await asyncio.sleep(2)  # Each has been tried in vain, and will be read again.
    error = world.draw.one_of(READING_ERRORS, stream="errors")
    from_the_start = world.draw.chance(0.5)
    if from_the_start:
        await service.kill()
        world.mark("at the start")
    if error in (errno.EACCES, errno.EPERM):
        world.mark("denied")
    records = (f"{world.folder('pending')}/2*[0-9].json",)
    with world.stage.disk.fault(fail(error), calls=("open", "read"), paths=records) as rule:
        service = await world.start() if from_the_start else service
        await world.server.come_up()
        client = service.another_client()
        await client.request("sync_now", {})
        await client.close()
        await asyncio.sleep(world.draw.seconds(70, 400))
        hit = rule.fired
    said = [record.text for record in world.stage.log.records]
    told = [text for text in said if "put off" in text]
    world.history.observe("refused_reading", error=errno.errorcode[error], hit=hit, said=told)
    await settled(world, 4000)


@scenario(
    proves=["H1.9"],
    faults=["service.another", "process.kill"],
    worlds=SIMULATED,
    judged_by=["no_two_uploads_of_one_report", "nothing_is_in_flight_twice"],
)
async def many_producers_and_a_second_service(world: SimWorld) -> None:
    """Many reports at once, some twice, on a slow server; a second service is refused; a kill is no obstacle."""
    service = await world.start(ipc_max_connections=300)
    await world.server.misbehave({"action": "delay_answer", "delay_s": world.draw.seconds(0.01, 25)})
    bodies = world.sample_reports(world.draw.count(20, 100, stream="workload"))
    again = bodies[:1] * world.draw.count(1, 3, stream="same")
    await asyncio.gather(*(service.submit(body) for body in [*again, *bodies]))
    await world.start_another(ipc_socket="/station/another.sock", health_port=0)
    world.history.fault("service.another", pid=service.process.number)
    await asyncio.sleep(world.draw.seconds(0, 70))
    await world.server.misbehave()
    await world.observe_exchanges()
    await service.kill()
    await world.start()
    await settled(world)


def _renamed(body: bytes, number: int) -> bytes:
    """Return another report under the same id."""
    return json.dumps({**json.loads(body), "sn": f"Other {number}"}).encode()


@scenario(
    proves=["H1.10"],
    faults=["server.hang_after_body"],
    worlds=SIMULATED,
    judged_by=["none_waits_for_a_failing_one", "in_the_order_of_arrival"],
)
async def the_queue_behind_one_slot(world: SimWorld) -> None:
    """Reports wait behind the one slot, some of them failing: tried in order, none waits for a failing one."""
    service = await world.start(max_concurrent_uploads=1)
    first, *others = world.sample_reports(world.draw.count(4, 10, stream="workload") + 1)
    failing = [world.report_id(body) for body in world.draw.some_of(others)]
    await world.server.misbehave(
        {"action": "hang_after_body", "report_id": world.report_id(first), "times": 1},
        *({"action": "status", "status": 500, "report_id": report_id} for report_id in failing),
    )
    await service.submit(first)
    await world.server.saw("body_read", report_id=world.report_id(first))
    for body in others:
        await service.submit(body)
    world.history.observe("handed_over", reports=[world.report_id(body) for body in others])
    await asyncio.sleep(31)
    await world.observe_exchanges()
    good = [i for body in others if (i := world.report_id(body)) not in failing]
    stored = await world.stored_at_server()
    world.history.observe("held_up", late=[i for i in good if i not in stored], good=len(good))
    await world.server.misbehave()
    await settled(world, 61)


@scenario(proves=["H1.11"], faults=["clock.jump"], worlds=SIMULATED)
async def sent_reports_grow_old(world: SimWorld) -> None:
    """The wall clock jumps by days and years, back and forth, while reports are sent: only what is old is pruned."""
    service = await world.start()
    (world.folder("sent") / "notes.txt").write_text("kept by hand")
    refused, waiting = world.sample_reports(2)
    await world.server.misbehave(
        {"action": "status", "status": 400, "report_id": world.report_id(refused)},
        {"action": "status", "status": 503, "retry_after": "3600", "report_id": world.report_id(waiting)},
    )
    await service.submit(refused)
    await service.submit(waiting)
    for _ in range(world.draw.count(2, 5, stream="jumps")):
        if world.draw.chance(0.5):
            body = world.sample_reports(1)[0]
            await world.server.go_down()
            await service.submit(body)
            await asyncio.sleep(1)
            await _jump_and_look(world)
            await world.server.come_up()
            await asyncio.sleep(31)
        else:
            await service.submit()
        await asyncio.sleep(1)
        await _look_at_sent(world)
        await _jump_and_look(world)


async def _jump_and_look(world: SimWorld) -> None:
    seconds = world.draw.one_of(JUMPS_S, stream="jumps")
    world.stage.clock.wall.jump(seconds)
    world.history.fault("clock.jump", seconds=seconds)
    await asyncio.sleep(61)
    await _look_at_sent(world)


async def _look_at_sent(world: SimWorld) -> None:
    """Observe ``sent_folder``: what the wall clock shows, and the reports and other files in the folders."""
    folders = {
        folder: [report.report_id for report in await world.kept(folder)] for folder in ("sent", "failed", "pending")
    }
    notes = await asyncio.to_thread((world.folder("sent") / "notes.txt").exists)
    wall_s = world.stage.clock.wall.now_ns() / 1e9
    delivered = sorted(await world.stored_at_server())
    world.history.observe("sent_folder", wall_s=wall_s, notes=notes, delivered=delivered, **folders)


@scenario(proves=["H1.13"], faults=["server.html"], worlds=SIMULATED)
async def every_kind_of_lie(world: SimWorld) -> None:
    """A login page, half an answer, another id, an error under 200, a redirect, one for each: none is proof."""
    service = await world.start()
    bodies = world.sample_reports(world.draw.count(2, 5, stream="workload"))
    rules = []
    for body in bodies:
        lie = world.draw.one_of(LIES, stream="lies")
        more = (
            {"location": "http://127.0.0.1:9/login", "status": world.draw.one_of((302, 303, 307))}
            if lie == "redirect"
            else {}
        )
        rules.append({"action": lie, "report_id": world.report_id(body), **more})
    await world.server.misbehave(*rules)
    for body in bodies:
        await service.submit(body)
    await asyncio.sleep(world.draw.seconds(35, 60))
    await world.observe()
    await world.server.misbehave()
    await world.server.release()
    await settled(world, 400)


@scenario(
    proves=["H1.14"],
    faults=["server.hang_after_body"],
    worlds=SIMULATED,
    judged_by=["a_hung_slot_costs_nothing_else", "others_flow"],
)
async def slots_hang_at_any_point(world: SimWorld) -> None:
    """One to four of five uploads hang anywhere in the exchange: the others go on as if nothing were."""
    service = await world.start()
    hung = world.sample_reports(world.draw.count(1, 4, stream="hung"))
    others = world.sample_reports(world.draw.count(5, 15, stream="workload"))
    for body in hung:
        rule: dict[str, Any] = {"action": world.draw.one_of(("hang_after_body", *HANGS), stream="hangs")}
        rule |= {"times": 1} if rule["action"] == "hang_after_headers" else {"report_id": world.report_id(body)}
        await world.server.misbehave(rule)
        await service.submit(body)
        await world.server.saw("rule_fired")
    began = asyncio.get_running_loop().time()
    for body in others:
        await service.submit(body)
    for body in others:
        await world.server.saw("answered", report_id=world.report_id(body))
    took_s = asyncio.get_running_loop().time() - began
    status = await service.status()
    active = status["pending_queue"]["active_uploads"]
    world.history.observe("flow", hung=active, others=len(others), took_s=took_s)
    world.history.observe("flow_exact", took_s=took_s)
    await world.server.misbehave()
    await world.server.release()
    await settled(world, 200)


@scenario(proves=["H1.15"], faults=["clock.stands"], worlds=SIMULATED)
async def two_reports_under_one_name(world: SimWorld) -> None:
    """Reports of one id, one name, one instant, handed over and dropped in by hand: each of them is kept and sent."""
    service = await world.start()
    world.stage.clock.wall.freeze()
    world.history.fault("clock.stands")
    first = world.sample_reports(1)[0]
    bodies = [first, *(_renamed(first, number) for number in range(world.draw.count(1, 4, stream="workload")))]
    if world.draw.chance(0.5):
        await world.server.go_down()
    if world.draw.chance(0.5):
        await asyncio.gather(*(service.submit(body) for body in bodies))
    else:
        for body in bodies:
            await service.submit(body)
            await asyncio.sleep(world.draw.seconds(0, 2))
    await _observe_contents(world)
    if world.draw.chance(0.5, stream="restart"):
        await service.kill()
        await world.start()
    await world.server.come_up()
    await asyncio.sleep(400)
    await _observe_contents(world)
    await world.observe()


async def _observe_contents(world: SimWorld) -> None:
    """Observe ``contents``: the hash of every report that is kept, wherever it is."""
    found = [report.sha256 for folder in ("pending", "sent", "failed") for report in await world.kept(folder)]
    world.history.observe("contents", hashes=sorted(found))
