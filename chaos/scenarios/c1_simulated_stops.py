"""C1, simulated: stops with the windows as they are by default, at any instant, with anything in flight."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from chaos.errors import CommandRefusedError, CommandUnansweredError
from chaos.protocols import SIMULATED, Client, scenario
from chaos.sim.plan_player import under_faults
from chaos.sim.service import SimService
from chaos.sim.world import SimWorld

UPLOADS = "/api/Report/WSJF"
WINDOWS: Mapping[str, Any] = {"graceful_shutdown_seconds": 60.0, "force_shutdown_seconds": 120.0}
"""What the service has by default, said aloud so that it is in the history."""
PATIENT: Mapping[str, Any] = {**WINDOWS, "upload_timeout_seconds": 300.0, "max_concurrent_uploads": 50}
HANGS = ("hang_after_headers", "hang_in_body", "hang_after_body", "hang_in_answer", "hang_after_storing")
NETWORK = ("cut", "cut_one_way", "black_hole", "reset", "delay", "loss", "refuse", "cut_off", "server_down")
CONVERTER = {"name": "dropped", "module_path": "wsjf", "watch_folder": "drop"}
NO_ENDS = (
    ("an_upload", "1*cling", "upload"),
    ("before_the_move", "1*block", "thread"),
    ("remembering_the_stop", "1*block", "thread"),
)
SETTLES_S = 10.0
CONVERGENCE_S = 500.0
LOUDER = {"settings": {"log_level": "DEBUG"}}


async def in_flight(world: SimWorld, service: SimService, count: int) -> None:
    """Hand over so many reports and return when the server is at work on all of them."""
    for report_id in [await service.submit() for _ in range(count)]:
        await world.server.saw("body_read", report_id=report_id)


async def stopped(world: SimWorld, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Stop the subject, and do something once it says that it is stopping."""
    service = world.service
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(service.stop(), name="stopping")
            await world.until(service.status, lambda said: said["status"] == "StopPending", "status StopPending", 10)
            await meanwhile()
    except ExceptionGroup as several:  # What went wrong first is what the story has to say.
        raise several.exceptions[0] from several


async def delivered_later(world: SimWorld) -> None:
    """Look at what is there now, let the server behave, and wait for everything after the next start."""
    await world.observe()
    await world.server.misbehave()
    await world.server.release()
    await world.start()
    await world.converge(CONVERGENCE_S)


async def refusal(client: Client, command: str) -> str:
    """Return the code with which a command was refused, or that it was obeyed or not answered."""
    try:
        await client.request(command, LOUDER)
    except CommandRefusedError as error:
        return error.code
    except CommandUnansweredError:
        return "unanswered"
    return "obeyed"


@scenario(
    proves=["C1.1"],
    faults=["ipc.during_the_stop", "files.during_the_stop"],
    worlds=SIMULATED,
    judged_by=["nothing_is_taken_during_a_stop", "dropped_files_are_left_alone"],
)
async def anything_is_offered_during_the_stop(world: SimWorld) -> None:
    """While the stop waits for an upload, reports, commands and files are offered at any instant: none is taken."""
    service = await world.start(converters=[dict(CONVERTER)], **PATIENT)
    lasts_s = world.draw.seconds(5, 55)
    await world.server.misbehave({"action": "delay_answer", "delay_s": lasts_s})
    await in_flight(world, service, 1)
    dropped, *bodies = world.sample_reports(world.draw.count(2, 6))

    async def offer() -> None:
        _drop(world, "during.json", dropped)
        for body in bodies:
            await asyncio.sleep(world.draw.seconds(0, lasts_s / 8))
            client = service.another_client()
            try:
                await service.offer(body, client)
                for command in ("set_config", "sync_now", "restart"):
                    world.history.observe("asked", command=command, code=await refusal(client, command))
            finally:
                await client.close()
            world.history.fault("ipc.during_the_stop")

    await stopped(world, offer)
    await world.observe()
    world.history.observe("left_alone", files=[path.name for path in (world.site.data / "drop").iterdir()])


def _drop(world: SimWorld, name: str, body: bytes) -> None:
    folder = world.site.data / "drop"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(body)
    world.history.fault("files.during_the_stop", file=name, report_id=world.report_id(body))
    os.sync()


@scenario(
    proves=["C1.2"],
    faults=["server.delay_answer"],
    worlds=SIMULATED,
    judged_by=["work_in_flight_ends_inside_the_window", "the_stop_ends_with_its_last_answer"],
)
async def the_stop_ends_with_its_last_upload(world: SimWorld) -> None:
    """One to fifty uploads of up to 59.9 s are in flight: all end, and the stop with the last of them, not later."""
    service = await world.start(**PATIENT)
    slowest_s = world.draw.one_of([1.0, 59.5, world.draw.seconds(1, 59)])
    await world.server.misbehave({"action": "delay_answer", "delay_s": slowest_s})
    size = world.draw.one_of([1_000, 900_000], stream="size")
    count = world.draw.count(1, 50 if size < 10_000 else 5)
    bodies = [world.sample_report_of(size) for _ in range(count)]
    for report_id in [await service.submit(body) for body in bodies]:
        await world.server.saw("body_read", report_id=report_id)
    await service.stop()
    answered = [event.time_ns for event in world.server.events("answered")]
    world.history.observe("last_answer", at_ns=world.history.elapsed_ns(max(answered)))
    await world.observe()


@scenario(
    proves=["C1.3"],
    faults=["server.hang_after_body"],
    worlds=SIMULATED,
    judged_by=["what_outlives_the_window_is_kept", "the_window_is_used_and_kept"],
)
async def uploads_outlive_the_window(world: SimWorld) -> None:
    """Up to eight uploads hang, each at a place of its own: after 60 s they are cancelled, kept, and sent later."""
    service = await world.start(**PATIENT)
    for body in world.sample_reports(world.draw.count(1, 8)):
        await world.server.misbehave({"action": world.draw.one_of(HANGS), "path": UPLOADS})
        await service.submit(body)
        await world.server.saw("rule_fired")
    await service.stop()
    await delivered_later(world)


@scenario(
    proves=["C1.4"],
    faults=["failpoint.cling", "failpoint.block"],
    marks=["the last write of all never ends"],
    worlds=SIMULATED,
)
async def work_that_nothing_can_end(world: SimWorld) -> None:
    """An upload ignores its cancellation, or a thread blocks for ever: the process is gone in time, and says why."""
    place, action, work = world.draw.one_of(NO_ENDS)
    service = await world.start(failpoints={place: action}, **WINDOWS)
    for _ in range(world.draw.count(1, 4)):
        await service.submit()
    is_at_a_report = place != "remembering_the_stop"
    if is_at_a_report:
        await service.failpoint(place).fired(1)
    await asyncio.sleep(world.draw.seconds(0, 5))
    world.history.observe("unending", work=work, is_at_a_report=is_at_a_report)
    await service.stop()
    if not is_at_a_report:
        world.mark("the last write of all never ends")
    world.observe_remains()
    await delivered_later(world)


@scenario(proves=["C1.5"], faults=["failpoint.raise", "server.hang_after_body"], worlds=SIMULATED)
async def any_parts_cannot_be_closed(world: SimWorld) -> None:
    """Reports are pending and any of four parts fail to close: each is told, the rest is closed, nothing is left."""
    failing = world.draw.some_of(["closing_ipc", "closing_health", "closing_connection", "closing_converters"])
    service = await world.start(failpoints=dict.fromkeys(failing, "raise(OSError, EIO)"), **WINDOWS)
    world.history.observe("cannot_be_closed", places=failing)
    await world.server.misbehave({"action": "hang_after_body", "path": UPLOADS})
    for _ in range(world.draw.count(1, 4)):
        await service.submit()
    await world.server.saw("body_read")
    await service.stop()
    world.observe_remains()
    await world.observe()


@scenario(
    proves=["C1.8"],
    faults=["service.calls"],
    marks=["before the start", "several at once", "during the start", "after a failed start", "while it ran"],
    worlds=SIMULATED,
)
async def start_and_stop_are_called_at_any_instant(world: SimWorld) -> None:
    """Start and stop are called several times, at any instants, also when the start fails: one end, nothing is left."""
    service = await world.start(**PATIENT)
    await world.server.misbehave({"action": "delay_storing", "delay_s": world.draw.seconds(1, 30), "path": UPLOADS})
    for _ in range(world.draw.count(0, 2)):
        await service.submit()
    await service.kill()
    socket = Path(world.subject.ipc_address(world.site))
    fails = world.draw.chance(0.3)
    if fails:
        await asyncio.to_thread(_in_the_way, socket)
    starts = sorted(world.draw.one_of([0.0, world.draw.seconds(0, 0.1)]) for _ in range(world.draw.count(1, 2)))
    within_s = world.draw.one_of([0.05, 0.0, 20.0])
    stops = sorted(world.draw.seconds(0, within_s) for _ in range(world.draw.count(1, 4)))
    await world.live_through([*((at_s, "start") for at_s in starts), *((at_s, "stop") for at_s in stops)])
    _marked(world, starts, stops)
    if fails:
        await asyncio.to_thread(socket.rmdir)
    await world.observe()
    await world.server.misbehave()
    await world.start()
    await world.converge(CONVERGENCE_S)


def _in_the_way(socket: Path) -> None:
    socket.unlink(missing_ok=True)
    socket.mkdir(parents=True)


def _marked(world: SimWorld, starts: list[float], stops: list[float]) -> None:
    """Mark where the stops came."""
    outcomes = world.history.last("life").value.get("outcomes", ())
    errors = [each["error"] for each in outcomes if each["what"] == "start"]
    is_early = stops[0] < starts[0]
    if is_early:
        world.mark("before the start")
    if len(stops) > 1:
        world.mark("several at once")
    if "StartError" in errors:
        world.mark("after a failed start")
    if "ServiceStoppingError" in errors[:1] and not is_early:
        world.mark("during the start")
    if errors[:1] == [""] and not is_early:
        world.mark("while it ran")


@scenario(proves=["C1.11"], faults=["network.partition"], worlds=SIMULATED)
async def the_network_breaks_during_the_stop(world: SimWorld) -> None:
    """While the stop waits for uploads the network fails in any ways and comes back: nothing lost or doubled."""
    service = await world.start(**PATIENT)
    delay = world.draw.one_of(["delay_storing", "delay_answer"])
    await world.server.misbehave({"action": delay, "delay_s": world.draw.seconds(10, 55), "path": UPLOADS})
    await in_flight(world, service, world.draw.count(1, 6))
    async with under_faults(world, NETWORK, within_s=30.0):
        await service.stop()
        await world.observe()
    await world.server.misbehave()
    await world.converge(CONVERGENCE_S)


@scenario(proves=["C1.12"], faults=["server.hang_after_body"], worlds=SIMULATED)
async def forced_stops_in_a_row(world: SimWorld) -> None:
    """Stops with any windows are watched over IPC; up to four in a row are forced, which the next start tells."""
    graceful_s, more_s = world.draw.seconds(1, 60), world.draw.seconds(20, 60)
    windows = {"graceful_shutdown_seconds": graceful_s, "force_shutdown_seconds": graceful_s + more_s}
    times, report_id = world.draw.count(1, 4), ""
    for _ in range(times):
        await world.server.misbehave({"action": "hang_after_body", "path": UPLOADS})
        service = await world.start(**{**PATIENT, **windows})
        report_id = report_id or await service.submit()
        await world.server.saw("body_read", report_id=report_id)
        await stopped(world, lambda: _watch(world, graceful_s))
    service = await world.start()
    world.history.observe("forced", times=times, graceful_s=graceful_s)
    await service.status()


async def _watch(world: SimWorld, graceful_s: float) -> None:
    for _ in range(3):
        await asyncio.sleep(graceful_s / 5)
        world.history.observe("progress", **(await world.service.status())["shutdown"])


@scenario(proves=["C1.6"], faults=["process.power"], worlds=SIMULATED)
async def power_is_lost_right_after_an_acceptance(world: SimWorld) -> None:
    """With the server away the power fails the instant a report was accepted, again and again: not one is missing."""
    await world.server.go_down()
    for _ in range(world.draw.count(1, 4)):
        service = await world.start()
        for _ in range(world.draw.count(1, 3)):
            await service.submit()
        await service.lose_power()
        await world.observe()
    await world.server.come_up()
    await world.start()
    await world.converge(CONVERGENCE_S)


@scenario(proves=["C1.6"], faults=["failpoint.kill", "process.kill"], worlds=SIMULATED)
async def killed_between_answer_and_move_again_and_again(world: SimWorld) -> None:
    """The process dies between the server's answer and the move, up to three starts in a row: one report in effect."""
    place = world.draw.one_of(["before_mark_sent", "before_the_move", "after_the_move"])
    service = await world.start(failpoints={place: "kill"})
    await service.submit()
    await service.died(limit_s=CONVERGENCE_S)
    await world.observe()
    for _ in range(world.draw.count(0, 2)):
        await world.start_and_die(world.draw.one_of(["before_the_recovery", "after_the_recovery"]))
        await world.observe()
    await world.start()
    await world.converge(CONVERGENCE_S)
