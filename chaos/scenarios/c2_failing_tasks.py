"""C2, simulated: each of the nine background tasks fails in every way, in any of its rounds, once or repeatedly."""

from __future__ import annotations

import asyncio

from chaos.protocols import SIMULATED, scenario
from chaos.sim.service import SimService
from chaos.sim.world import SimWorld

CRITICAL = ("pending_queue", "converter_pool")
OTHERS = ("watchdog", "ping", "register", "config_watcher", "task_monitor", "ipc_server", "health_server")
TICKING = ("pending_queue", "converter_pool", "watchdog", "ping", "config_watcher")
"""Those that call a function of their own in each round, and whose rounds come often enough for a second one."""
KINDS = ("ValueError", "OSError", "ExceptionGroup", "RecursionError", "MemoryError", "BadStr", "SystemExit")
ROUNDS_MAX = 3
FIRES_WITHIN_S = 1500.0
HOLDS_AFTER_S = 12.0
RESTARTS_IN_ALL_S = 8.0
LONG_AFTER_S = 400.0
CONVERGENCE_S = 60.0


def plan_failure(world: SimWorld, task: str, action: str) -> dict[str, str]:
    """Draw where in a task something is to go wrong once: at the start of its run, or in its n-th round."""
    if task in TICKING and world.draw.count(0, 1, stream="where"):
        rounds = world.draw.count(0, ROUNDS_MAX, stream="rounds")
        world.mark("first round" if rounds == 0 else "later round")
        return {f"tick:{task}": f"{rounds}*off->1*{action}" if rounds else f"1*{action}"}
    world.mark("at the start")
    return {f"run:{task}": f"1*{action}"}


async def started_and_fired(world: SimWorld, failpoints: dict[str, str]) -> SimService:
    """Start the subject and return once the failpoint has fired."""
    service = await world.start(failpoints=failpoints)
    (place,) = failpoints
    await service.failpoint(place).fired(1, limit_s=FIRES_WITHIN_S)
    return service


async def say(service: SimService, task: str) -> None:
    """Ask for the status over the way that the failing of ``task`` leaves open."""
    await (service.health() if task == "ipc_server" else service.status())


@scenario(
    proves=["C2.2", "C2.1"],
    faults=["failpoint.raise"],
    worlds=SIMULATED,
    marks=["at the start", "first round", "later round"],
    judged_by=["a_critical_failure_is_an_error_at_once", "an_error_names_the_critical_task"],
)
async def a_critical_task_fails_in_any_way(world: SimWorld) -> None:
    """The sender or the converter pool fails, by any exception, in any round: Error at once, and all else goes on."""
    task, kind = world.draw.one_of(CRITICAL), world.draw.one_of(KINDS)
    world.history.observe("planned", task=task, critical=True, kind=kind)
    await world.server.misbehave({"action": "hang_after_body", "path": "/api/Report/WSJF"})
    service = await started_and_fired(world, plan_failure(world, task, f"raise({kind})"))
    await service.status()
    await service.health()
    await service.submit()
    await world.observe()
    await asyncio.sleep(RESTARTS_IN_ALL_S)
    await service.status()


@scenario(
    proves=["C2.3", "C2.1"],
    faults=["failpoint.raise"],
    worlds=SIMULATED,
    judged_by=["a_non_critical_failure_degrades", "another_failure_only_degrades"],
)
async def another_task_fails_in_any_way(world: SimWorld) -> None:
    """One of the seven other tasks fails: the service is Running, degraded, names the task, and reports flow."""
    task, kind = world.draw.one_of(OTHERS), world.draw.one_of(KINDS)
    world.history.observe("planned", task=task, critical=False, kind=kind)
    service = await started_and_fired(world, plan_failure(world, task, f"raise({kind})"))
    await say(service, task)
    await service.submit()
    await world.converge(CONVERGENCE_S)
    await service.status()


async def _again_and_again(world: SimWorld, task: str, times: int) -> None:
    kind = world.draw.one_of(KINDS)
    world.history.observe("planned", task=task, critical=task in CRITICAL, kind=kind)
    place = f"run:{task}"
    service = await world.start(failpoints={place: f"{times}*raise({kind})"})
    await service.failpoint(place).fired(min(times, 4), limit_s=FIRES_WITHIN_S)
    await say(service, task)
    await asyncio.sleep(RESTARTS_IN_ALL_S + HOLDS_AFTER_S)
    await say(service, task)
    await asyncio.sleep(LONG_AFTER_S)
    world.history.observe("long_after", task=task)
    await say(service, task)


@scenario(
    proves=["C2.7", "C2.1"], faults=["failpoint.raise"], worlds=SIMULATED, marks=["circuit open", "circuit closed"]
)
async def a_task_fails_again_and_again(world: SimWorld) -> None:
    """A task fails one to five times in a row: three restarts with growing pauses, then it stays down, or is well."""
    times = world.draw.count(1, 5)
    world.mark("circuit closed" if times <= 3 else "circuit open")
    await _again_and_again(world, world.draw.one_of([*CRITICAL, *OTHERS]), times)


@scenario(proves=["C2.7"], faults=["failpoint.raise"], worlds=SIMULATED)
async def a_task_fails_slowly_for_ever(world: SimWorld) -> None:
    """A task fails every now and then for most of an hour: never more than three restarts in any five minutes."""
    task = world.draw.one_of(["config_watcher", "watchdog", "pending_queue"])
    percent = world.draw.count(5, 40, stream="percent")
    world.history.observe("planned", task=task, critical=task in CRITICAL, kind="ValueError")
    # The first failure is certain: that chance spares a task for half an hour is no fault of the service.
    terms = f"{world.draw.count(1, 20, stream='first')}*off->1*raise(ValueError)->{percent}%raise(ValueError)"
    service = await world.start(failpoints={f"tick:{task}": terms})
    await service.failpoint(f"tick:{task}").fired(1, limit_s=FIRES_WITHIN_S)
    for _ in range(world.draw.count(10, 30)):
        await asyncio.sleep(world.draw.seconds(50, 150))
        await service.status()


@scenario(proves=["C2.5"], faults=["failpoint.return", "failpoint.raise"], worlds=SIMULATED)
async def a_task_ends_too_early(world: SimWorld) -> None:
    """A task returns, or is cancelled though nobody asked: seen within a monitor interval, said, and it runs again."""
    task = world.draw.one_of([*CRITICAL, *OTHERS])
    action = world.draw.one_of(["return(null)", "raise(asyncio:CancelledError)"])
    world.history.observe("ending", task=task, how=action)
    failpoints = {f"run:{task}": f"1*{action}"}
    if action.startswith("raise"):
        failpoints = plan_failure(world, task, action)
    service = await started_and_fired(world, failpoints)
    await say(service, task)
    await asyncio.sleep(HOLDS_AFTER_S)
    await say(service, task)


@scenario(proves=["C2.6"], faults=["failpoint.raise", "failpoint.hang"], worlds=SIMULATED)
async def the_monitor_fails_or_hangs(world: SimWorld) -> None:
    """The task that watches the others fails or stands still, and another one fails meanwhile: both are seen."""
    hangs = world.draw.chance(0.5)
    other = world.draw.one_of(["ping", "watchdog", "config_watcher", "pending_queue"])
    action = "hang" if hangs else world.draw.one_of(["raise(ValueError)", "raise(SystemExit)", "return(null)"])
    world.history.observe("monitor", action="hang" if hangs else "fail", other=other)
    service = await world.start(
        failpoints={"run:task_monitor": f"1*{action}", f"tick:{other}": "1*off->1*raise(OSError)"}
    )
    await service.failpoint("run:task_monitor").fired(1)
    await service.failpoint(f"tick:{other}").fired(1, limit_s=FIRES_WITHIN_S)
    await asyncio.sleep(100 if hangs else HOLDS_AFTER_S)
    await service.status()
