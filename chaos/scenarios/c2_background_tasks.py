"""C2: background tasks of the running service fail."""

from __future__ import annotations

from chaos.protocols import EVERYWHERE, World, scenario


@scenario(
    proves=["C2.2"], faults=["failpoint.raise"], worlds=EVERYWHERE, judged_by=["a_critical_failure_is_an_error_at_once"]
)
async def a_critical_task_fails(world: World) -> None:
    """An exception in the upload task of the running service: status Error at once, and everything else goes on."""
    service = await world.start(failpoints={"task:pending_queue": "raise(OSError)"})
    await service.failpoint("task:pending_queue").fired(1)
    await world.until(service.status, lambda status: status["status"] == "Error", "status Error", 5)
    await service.submit()
    await service.health()
    await world.observe()


@scenario(proves=["C2.3"], faults=["failpoint.raise"], worlds=EVERYWHERE, judged_by=["a_non_critical_failure_degrades"])
async def a_non_critical_task_fails(world: World) -> None:
    """An exception in the ping task: the service runs on, says that it is degraded, and names the task."""
    service = await world.start(failpoints={"task:ping": "raise(ValueError)"})
    await service.failpoint("task:ping").fired(1)
    await world.until(service.status, lambda status: "ping" in str(status.get("reasons")), "the task named", 5)
    await service.submit()
    await world.converge(30)
