"""H1: the server is away, refuses, or answers what proves nothing."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.protocols import EVERYWHERE, KeptReport, World, scenario

CONVERGENCE_S = 40.0


async def _a_failed_attempt_of_each(world: World, count: int) -> None:
    """Wait until each report's failed attempt is on the disk, beside the report."""

    def all_tried(reports: Sequence[KeptReport]) -> bool:
        return len(reports) == count and all(report.attempts >= 1 for report in reports)

    await world.until(lambda: world.kept("pending"), all_tried, "a failed attempt of each report", 20)


@scenario(
    proves=["H1.3"],
    faults=["server.down"],
    worlds=EVERYWHERE,
    judged_by=["failed_sends_are_retried", "attempts_survive"],
)
async def the_server_is_down_then_up(world: World) -> None:
    """Five reports accepted while nobody listens: kept with their attempts, and sent once somebody does."""
    service = await world.start(retry_interval_seconds=1)
    await world.server.go_down()
    for _ in range(5):
        await service.submit()
    await _a_failed_attempt_of_each(world, 5)
    await world.observe()
    await world.server.come_up()
    await world.converge(CONVERGENCE_S)


@scenario(
    proves=["H1.3"],
    faults=["server.status", "server.drop_after_body", "server.truncate_answer"],
    worlds=EVERYWHERE,
    judged_by=["failed_sends_are_retried"],
)
async def the_server_fails_in_every_way(world: World) -> None:
    """Each report meets another failure first (500, 503, 429, a cut, half an answer) and is sent later."""
    service = await world.start(retry_interval_seconds=1)
    bodies = world.sample_reports(5)
    ids = [world.report_id(body) for body in bodies]
    await world.server.misbehave(
        {"action": "status", "status": 500, "report_id": ids[0], "times": 1},
        {"action": "status", "status": 503, "report_id": ids[1], "times": 1},
        {"action": "status", "status": 429, "retry_after": "1", "report_id": ids[2], "times": 1},
        {"action": "drop_after_body", "report_id": ids[3], "times": 1},
        {"action": "truncate_answer", "report_id": ids[4], "times": 1},
    )
    for body in bodies:
        await service.submit(body)
    await world.converge(CONVERGENCE_S)


@scenario(proves=["H1.13"], faults=["server.html", "server.error_object", "server.other_id"], worlds=EVERYWHERE)
async def answers_that_prove_nothing(world: World) -> None:
    """A login page, an error object and another report's id, all under 200: none counts as sent."""
    service = await world.start(retry_interval_seconds=1)
    bodies = world.sample_reports(3)
    ids = [world.report_id(body) for body in bodies]
    lies = ("html", "error_object", "other_id")
    await world.server.misbehave(*({"action": lie, "report_id": i} for lie, i in zip(lies, ids, strict=True)))
    for body in bodies:
        await service.submit(body)
    await _a_failed_attempt_of_each(world, 3)
    await world.observe()
    await world.server.misbehave()
    await world.converge(CONVERGENCE_S)
