"""H1, live, on a real disk: errors at system calls, foreign files in pending/, a stampede, two services."""

from __future__ import annotations

import asyncio
import os

from chaos.live.syscalls import RENAMES, SyscallFault, require_strace
from chaos.live.world import LiveWorld
from chaos.protocols import scenario

CONVERGENCE_S = 40.0
SENDERS = 100
DISK_ERRORS = (
    ("openat", "EMFILE"),
    ("openat", "EROFS"),
    ("fsync,fdatasync,syncfs", "EIO"),
    ("fsync,fdatasync,syncfs", "ENOSPC"),
    (RENAMES, "ENOSPC"),
    (RENAMES, "EDQUOT"),
)


@scenario(
    proves=["H1.8"],
    faults=[f"syscall.{error}" for error in ("EMFILE", "EROFS", "EIO", "ENOSPC", "EDQUOT")],
    limit_s=120,
    judged_by=["a_disk_error_is_told"],
)
async def the_disk_fails_while_accepting(world: LiveWorld) -> None:
    """Opening, syncing and renaming fail in turn while a report is handed over: refused each time, well afterwards."""
    require_strace()
    service = await world.start()
    await world.server.go_down()
    for calls, error in DISK_ERRORS:
        client = service.another_client()
        try:
            await client.request("ping")
            async with service.faults.failing_calls(SyscallFault(calls, error=error)):
                await service.offer(world.sample_reports(1)[0], client)
        finally:
            await client.close()
        world.history.observe("left_over", names=sorted(os.listdir(world.folder("pending"))), error=error)
        await service.submit()
    await world.server.come_up()
    await world.converge(CONVERGENCE_S)


@scenario(proves=["H1.6"], faults=["disk.foreign_file"], judged_by=["foreign_files_are_kept_apart"])
async def foreign_files_in_pending(world: LiveWorld) -> None:
    """Torn, empty, binary, oversized and wrongly encoded files, a link, a folder and a pipe are in pending/."""
    service = await world.start()
    await service.submit()
    await world.converge(CONVERGENCE_S)
    await service.stop()
    planted = await asyncio.to_thread(world.plant_foreign_files)
    service = await world.start()
    body = world.sample_reports(1)[0]
    await service.submit(body)
    await world.server.saw("answered", report_id=world.report_id(body))
    await world.until(
        lambda: asyncio.to_thread(os.listdir, world.folder("pending")),
        lambda names: not set(names) & set(planted),
        "pending/ without the foreign files",
        20,
    )
    world.observe_quarantine(planted)
    await world.converge(CONVERGENCE_S)


@scenario(
    proves=["H1.9"],
    faults=["queue.stampede", "service.another", "process.kill"],
    judged_by=["nothing_is_in_flight_twice"],
)
async def a_hundred_senders_and_a_second_service(world: LiveWorld) -> None:
    """A hundred clients submit at once, a second service is refused, and after a SIGKILL the lock is no obstacle."""
    service = await world.start(ipc_max_connections=2 * SENDERS)
    clients = [service.another_client() for _ in range(SENDERS)]
    try:
        await asyncio.gather(*(client.request("ping") for client in clients))
        bodies = world.sample_reports(SENDERS)
        world.history.fault("queue.stampede", times=SENDERS)
        await asyncio.gather(*(service.offer(body, client) for body, client in zip(bodies, clients, strict=True)))
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    await world.start_another(ipc_socket=str(world.file("another.sock")), health_port=0)
    world.history.fault("service.another", pid=service.process.pid)
    await service.kill()
    await world.start()
    await world.converge(CONVERGENCE_S)
