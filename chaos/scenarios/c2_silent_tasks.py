"""C2, simulated: tasks that stand still, a loop that is blocked, tasks that are cancelled, starts with flaws."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

from chaos.protocols import SIMULATED, scenario
from chaos.sim.world import SimWorld

INTERVALS_S: Mapping[str, float] = {
    "config_watcher": 5,
    "converter_pool": 10,
    "health_server": 10,
    "pending_queue": 30,
    "task_monitor": 30,
    "watchdog": 60,
    "ping": 300,
}
"""How often each task must give a sign of life; ipc_server is left out, as nobody could be asked."""
MONITOR_S = 30.0
LOOP_LIMIT_S = 1.0
CONVERGENCE_S = 60.0
BROKEN = {"name": "broken", "module_path": "nowhere.py", "watch_folder": "drop"}


@scenario(
    proves=["C2.8"],
    faults=["failpoint.hang"],
    worlds=SIMULATED,
    judged_by=["standing_still_is_told_in_time", "what_stands_still_is_reported"],
)
async def any_task_stands_still(world: SimWorld) -> None:
    """A task waits for ever: after three of its intervals, at the next look of the monitor, it is called stalled."""
    task = world.draw.one_of(list(INTERVALS_S))
    service = await world.start(failpoints={f"run:{task}": "1*hang"})
    await service.failpoint(f"run:{task}").fired(1)
    limit_s = 3 * INTERVALS_S[task] + MONITOR_S
    world.history.observe("stands_still", task=task, limit_s=limit_s)
    await service.submit()
    await asyncio.sleep(limit_s)
    world.history.observe("standing", what=task)
    await service.status()
    if task == "pending_queue":
        await world.start_again()
    await world.converge(CONVERGENCE_S)


@scenario(
    proves=["C2.8"],
    faults=["failpoint.block"],
    worlds=SIMULATED,
    marks=["long", "short"],
    judged_by=["a_blocked_loop_is_told"],
)
async def the_loop_is_blocked_for_a_while(world: SimWorld) -> None:
    """The loop stands still for up to ten seconds: told if and only if it was too long, and with how long."""
    is_long = world.draw.count(0, 1, stream="long")
    blocked_s = world.draw.seconds(LOOP_LIMIT_S + 0.05, 10) if is_long else world.draw.seconds(0.01, 0.45)
    world.mark("long" if is_long else "short")
    place = f"tick:{world.draw.one_of(['ping', 'config_watcher', 'watchdog'])}"
    service = await world.start(failpoints={place: f"1*block({blocked_s})"})
    await service.failpoint(place).fired(1)
    world.history.observe("blocked", seconds=blocked_s)
    await asyncio.sleep(blocked_s + 1)
    await service.status()
    await service.submit()
    await world.converge(CONVERGENCE_S)


@scenario(proves=["C2.4", "C2.10"], faults=["subject.stop"], worlds=SIMULATED)
async def every_task_is_cancelled_somewhere(world: SimWorld) -> None:
    """The stop comes at any instant of the tasks' rounds: each is cancelled, and nobody calls that an error."""
    if world.draw.chance(0.5):
        await world.server.misbehave({"action": "hang_after_headers", "path": "/api/App/Version"})
    service = await world.start()
    for _ in range(world.draw.count(0, 3)):
        await service.submit()
    await asyncio.sleep(world.draw.seconds(0, world.draw.one_of([0.05, 5.0, 70.0], stream="scale")))
    world.history.fault("subject.stop")
    await service.stop()


@scenario(
    proves=["C2.9", "C2.10"],
    faults=["start.port_taken", "start.bad_converter", "server.down", "server.status"],
    worlds=SIMULATED,
)
async def a_start_with_any_flaws(world: SimWorld) -> None:
    """Any of four flaws from the start on: each that is there is named by the status, and no other; saving works."""
    flaws = world.draw.some_of(["port", "converter", "down", "refused"])
    settings: dict[str, Any] = {}
    if "down" in flaws:
        await world.server.go_down()
    elif "refused" in flaws:
        await world.server.misbehave({"action": "status", "status": 401})
    if "converter" in flaws:
        settings["converters"] = [dict(BROKEN)]
        world.history.fault("start.bad_converter", converter=BROKEN["name"])
    with socket.socket() as taken:
        if "port" in flaws:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
            world.history.fault("start.port_taken", port=8080)
        service = await world.start(**settings)
        await asyncio.sleep(world.draw.seconds(1, 40))
        await world.server.write_faults()
        await service.status()
        await service.submit()
        await world.observe()
        await service.status()
