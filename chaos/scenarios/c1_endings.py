"""C1, live: stops during which the network breaks, work does not end, something cannot be closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from chaos.errors import CommandRefusedError, CommandUnansweredError
from chaos.live.fault_proxy import LiveProxy
from chaos.live.service import LiveService
from chaos.live.syscalls import RENAMES, SyscallFault
from chaos.live.world import LiveWorld
from chaos.protocols import EVERYWHERE, Client, scenario

CONVERGENCE_S = 30.0
GRACEFUL_S, FORCE_S = 3, 8
LOUDER = {"settings": {"log_level": "DEBUG"}}


async def _stopping(world: LiveWorld, service: LiveService, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Stop the service, and do something once it says that it is stopping."""
    async with asyncio.TaskGroup() as group:
        group.create_task(service.stop(), name="stopping")
        await world.until(service.status, lambda said: said["status"] == "StopPending", "status StopPending", 10)
        await meanwhile()


async def _three_uploads_under_way(world: LiveWorld) -> tuple[LiveProxy, LiveService]:
    proxy = await world.proxied()
    service = await world.start(graceful_shutdown_seconds=GRACEFUL_S, force_shutdown_seconds=FORCE_S)
    await world.server.misbehave({"action": "delay_answer", "delay_s": 1.0})
    for report_id in [await service.submit() for _ in range(3)]:
        await world.server.saw("body_read", report_id=report_id)
    return proxy, service


async def _all_is_delivered_later(world: LiveWorld) -> None:
    await world.observe()
    await world.server.misbehave()
    await world.start()
    await world.converge(CONVERGENCE_S)


@scenario(
    proves=["C1.1"],
    faults=["ipc.during_the_stop", "server.delay_answer"],
    worlds=EVERYWHERE,
    judged_by=["nothing_is_taken_during_a_stop"],
)
async def work_is_offered_during_the_stop(world: LiveWorld) -> None:
    """While the stop waits for an upload, every command that would change something is refused, with the reason."""
    service = await world.start(graceful_shutdown_seconds=20, force_shutdown_seconds=30)
    await world.server.misbehave({"action": "delay_answer", "delay_s": 2.0})
    await world.server.saw("body_read", report_id=await service.submit())
    offered = world.sample_reports(5)

    async def offer() -> None:
        for body in offered:
            client = service.another_client()
            try:
                await service.offer(body, client)
                for command in ("set_config", "sync_now", "restart"):
                    world.history.observe("asked", command=command, code=await _refused(client, command, LOUDER))
            finally:
                await client.close()
            world.history.fault("ipc.during_the_stop")

    await _stopping(world, service, offer)
    await world.observe()


async def _refused(client: Client, command: str, arguments: Mapping[str, object]) -> str:
    """Return the code with which a command was refused, or that it was obeyed or not answered."""
    try:
        await client.request(command, arguments)
    except CommandRefusedError as error:
        return error.code
    except CommandUnansweredError:
        return "unanswered"
    return "obeyed"


@scenario(proves=["C1.11"], faults=["proxy.reset_peer"])
async def answers_are_reset_during_the_stop(world: LiveWorld) -> None:
    """Phase 1 waits for three answers, and each comes as a reset: the stop keeps its bound, all is sent later, once."""
    proxy, service = await _three_uploads_under_way(world)

    async def reset() -> None:
        await proxy.fired(await proxy.add("reset_peer"))

    await _stopping(world, service, reset)
    await proxy.remove("reset_peer_downstream")
    await _all_is_delivered_later(world)


@scenario(proves=["C1.11"], faults=["proxy.black_hole"])
async def the_network_becomes_a_black_hole_during_the_stop(world: LiveWorld) -> None:
    """Phase 1 waits for answers that never come: the stop ends within its bound, and all is sent later, once."""
    proxy, service = await _three_uploads_under_way(world)

    async def swallow() -> None:
        await proxy.fired(await proxy.add("black_hole"))

    await _stopping(world, service, swallow)
    await proxy.remove("black_hole_downstream")
    await _all_is_delivered_later(world)


@scenario(proves=["C1.11"], faults=["proxy.down"])
async def the_network_is_cut_and_restored_during_the_stop(world: LiveWorld) -> None:
    """The network is cut in phase 1 and there again at once: nothing is lost or doubled, the stop keeps its bound."""
    proxy, service = await _three_uploads_under_way(world)

    async def cut_and_restore() -> None:
        await proxy.go_down()
        await proxy.come_up()

    await _stopping(world, service, cut_and_restore)
    await _all_is_delivered_later(world)


@scenario(proves=["C1.4"], faults=["failpoint.block"])
async def a_thread_blocks_for_ever_during_the_stop(world: LiveWorld) -> None:
    """A worker thread that moves a sent report never comes back: the stop ends all the same, and names what it left."""
    service = await world.start(
        failpoints={"before_the_move": "1*block"}, graceful_shutdown_seconds=1, force_shutdown_seconds=3
    )
    await service.submit()
    await service.failpoint("before_the_move").fired(1)
    world.history.observe("unending", work="thread", is_at_a_report=True)
    await service.stop()
    world.observe_remains()
    await _all_is_delivered_later(world)


@scenario(proves=["C1.4"], faults=["failpoint.cling"])
async def a_task_ignores_its_cancellation(world: LiveWorld) -> None:
    """An upload swallows every cancellation: the stop ends all the same, names it, and the report is sent later."""
    service = await world.start(
        failpoints={"an_upload": "1*cling"}, graceful_shutdown_seconds=1, force_shutdown_seconds=3
    )
    await service.submit()
    await service.failpoint("an_upload").fired(1)
    world.history.observe("unending", work="upload", is_at_a_report=True)
    await service.stop()
    world.observe_remains()
    await _all_is_delivered_later(world)


@scenario(proves=["C1.5"], faults=["failpoint.raise", "server.hang_after_body"])
async def two_parts_cannot_be_closed(world: LiveWorld) -> None:
    """With reports pending, IPC and health fail to close: both are told, the rest is closed, and nothing is left."""
    service = await world.start(
        failpoints={"closing_ipc": "raise(OSError, EIO)", "closing_health": "raise(ValueError)"},
        graceful_shutdown_seconds=1,
        force_shutdown_seconds=5,
    )
    await world.server.misbehave({"action": "hang_after_body", "path": "/api/Report/WSJF"})
    for _ in range(3):
        await service.submit()
    await world.server.saw("body_read")
    await service.stop()
    service.failpoint("closing_ipc").tell()
    service.failpoint("closing_health").tell()
    world.observe_remains()
    await world.observe()


@scenario(proves=["C1.5"], faults=["server.hang_after_body"])
async def a_stop_with_reports_pending(world: LiveWorld) -> None:
    """A stop with three reports pending says so, and leaves no process, no socket file and no lock behind."""
    service = await world.start(graceful_shutdown_seconds=1, force_shutdown_seconds=5)
    await world.server.misbehave({"action": "hang_after_body", "path": "/api/Report/WSJF"})
    for _ in range(3):
        await service.submit()
    await world.server.saw("body_read")
    await service.stop()
    world.observe_remains()
    await world.observe()


SAVE_CALLS = (*(("fsync", nth) for nth in (1, 2, 3, 4)), (RENAMES, 1), (RENAMES, 2), ("write", 1), ("write", 2))
"""What a save does: the previous contents go into the backup, then the new ones into the file, each aside first."""


@scenario(proves=["C1.10"], faults=["syscall.kill", "syscall.ENOSPC", "syscall.EIO"], limit_s=90)
async def a_configuration_save_is_cut_off(world: LiveWorld) -> None:
    """A save is refused or killed at each of its system calls: the file is the old or the new configuration, whole."""
    service = await world.start()
    for error, calls in (("ENOSPC", "fsync"), ("EIO", RENAMES), ("EIO", "fsync")):
        before = world.config_text()
        async with service.faults.failing_calls(SyscallFault(calls, error=error)):
            answer = await _saved(service, "WARNING")
        world.history.observe("config_file", before=before, now=world.config_text(), wanted="WARNING", answer=answer)
    for calls, nth in SAVE_CALLS:
        before = world.config_text()
        async with service.faults.dies_at_call(calls, nth):
            answer = await _saved(service, "DEBUG")
        world.history.observe("config_file", before=before, now=world.config_text(), wanted="DEBUG", answer=answer)
        service = await world.start()


async def _saved(service: LiveService, level: str) -> str:
    client = service.another_client()
    try:
        return await _refused(client, "set_config", {"settings": {"log_level": level}})
    finally:
        await client.close()
