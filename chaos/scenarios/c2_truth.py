"""C2, live: tasks and a loop that stand still, a start with flaws, and no exception that nobody took care of."""

from __future__ import annotations

import socket

from chaos.faults.hung_clients import Hang, hung_clients
from chaos.faults.raw_ipc import BAD_STREAMS, raw_client
from chaos.live.world import LiveWorld
from chaos.protocols import scenario

STALL_LIMIT_S = 40.0
BROKEN = {"name": "broken", "module_path": "nowhere.py", "watch_folder": "drop"}


@scenario(proves=["C2.8"], faults=["failpoint.hang"], limit_s=90, judged_by=["what_stands_still_is_reported"])
async def a_task_hangs(world: LiveWorld) -> None:
    """The configuration watcher waits for ever: after three of its intervals it is reported as stalled, by name."""
    service = await world.start(failpoints={"task:config_watcher": "1*hang"}, monitor_interval_seconds=1)
    await service.failpoint("task:config_watcher").fired(1)
    world.history.observe("standing", what="config_watcher")
    await world.until(
        service.status, lambda said: "config_watcher" in str(said["reasons"]), "the stalled task named", STALL_LIMIT_S
    )
    await service.submit()
    await world.converge(30)


@scenario(proves=["C2.8"], faults=["failpoint.block"], judged_by=["what_stands_still_is_reported"])
async def the_loop_is_blocked(world: LiveWorld) -> None:
    """The whole event loop stands still for three seconds: that is reported, with how long, once it runs again."""
    service = await world.start(failpoints={"task:ping": "1*block(3)"})
    await service.failpoint("task:ping").fired(1)
    world.history.observe("standing", what="blocked")
    await world.until(service.status, lambda said: "blocked" in str(said["reasons"]), "the blocked loop named", 20)
    await service.submit()
    await world.converge(30)


@scenario(proves=["C2.9"], faults=["start.port_taken", "start.bad_converter", "server.down"])
async def a_start_with_three_flaws(world: LiveWorld) -> None:
    """The health port is taken, a converter cannot be loaded, the server is away: the status shows each of them."""
    await world.server.go_down()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        world.history.fault("start.port_taken", port=port)
        world.history.fault("start.bad_converter", converter=BROKEN["name"])
        service = await world.start(health_port=port, converters=[dict(BROKEN)])
        await world.until(
            service.status, lambda said: _all_named(str(said["reasons"])), "health server and converter named", 20
        )
        await service.submit()
    await world.observe()


def _all_named(reasons: str) -> bool:
    return "health_server" in reasons and BROKEN["name"] in reasons


@scenario(proves=["C2.10"], faults=["server.status", "server.down", "ipc.bad_stream", "ipc.silent"], limit_s=90)
async def a_day_with_every_trouble(world: LiveWorld) -> None:
    """A server that fails and vanishes, rubbish and hung clients over IPC, a stop: Python itself has nothing to say."""
    service = await world.start(retry_interval_seconds=1, ipc_connection_timeout=1, ipc_read_timeout=1)
    await world.server.misbehave({"action": "status", "status": 500, "times": 2})
    for _ in range(3):
        await service.submit()
    async with hung_clients(service.ipc_address, world.history) as crowd:
        for kind in Hang:
            await crowd.hang(kind)
        for name, data in BAD_STREAMS:
            async with raw_client(service.ipc_address) as client:
                await client.send(data)
                world.history.fault("ipc.bad_stream", kind=name)
        await crowd.cut_off(limit_s=15)
    await world.server.go_down()
    await service.submit()
    await world.server.come_up()
    await world.converge(30)
    await service.stop()
