"""H1 in virtual time: failures and refusals of every kind, each with its wait, its count and its place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.protocols import SIMULATED, KeptReport, scenario
from chaos.sim.clock import WallClock
from chaos.sim.world import SimWorld

ATTEMPTS = 10
INTERVAL_S = 30.0
CAP_S = 120.0
WISH_MAX_S = 1200
PAUSE_PROBE_S = 60.0
FAILURES: Sequence[Mapping[str, Any]] = (
    {"action": "status", "status": 500},
    {"action": "status", "status": 502},
    {"action": "status", "status": 503},
    {"action": "status", "status": 504},
    {"action": "status", "status": 408},
    {"action": "status", "status": 429},
    {"action": "drop_after_body"},
    {"action": "drop_after_body", "how": "rst"},
    {"action": "truncate_answer"},
    {"action": "not_json"},
    {"action": "hang_after_body"},
)
REFUSALS = (400, 404, 409, 413, 422)
CLOCK_JUMPS_S = (-3600.0, 3600.0, -86_400.0, 86_400.0, -315_360_000.0, 315_360_000.0, -1.0, -40.0)


async def _settled(world: SimWorld, within_s: float) -> None:
    """Look at folders and server when that time has passed: to ask in between would be another kind of load."""
    await asyncio.sleep(within_s)
    await world.observe()
    await world.observe_exchanges()


async def _an_attempt_of_each(world: SimWorld, count: int, limit_s: float = 120) -> None:
    """Wait until each report has a failed attempt on the disk, beside it."""

    def all_tried(reports: Sequence[KeptReport]) -> bool:
        return len(reports) == count and all(report.attempts >= 1 for report in reports)

    await world.until(lambda: world.kept("pending"), all_tried, "a failed attempt of each report", limit_s)


@scenario(
    proves=["H1.3"],
    faults=["server.status"],
    worlds=SIMULATED,
    marks=["started again", "still tried"],
    judged_by=["failed_sends_are_retried", "attempts_survive", "waits_grow_up_to_the_cap"],
)
async def every_failure_is_tried_again(world: SimWorld) -> None:
    """Reports meet failures of every kind for many minutes, some across a restart or a kill; then the server heals."""
    service = await world.start(retry_cap_seconds=CAP_S, max_retry_attempts=100)
    bodies = world.sample_reports(world.draw.count(2, 4, stream="workload"))
    rules = [
        {**world.draw.one_of(FAILURES, stream="failures"), "report_id": world.report_id(body)} for body in bodies[1:]
    ]
    rules.append({"action": "status", "status": 500, "report_id": world.report_id(bodies[0])})
    await world.server.misbehave(*rules)
    for body in bodies:
        await service.submit(body)
    await _an_attempt_of_each(world, len(bodies))
    await asyncio.sleep(world.draw.seconds(0, 500))
    if world.draw.chance(0.5, stream="restart"):
        world.mark("started again")
        await (service.kill() if world.draw.chance(0.5, stream="restart") else service.stop())
        await world.observe()
        await world.start()
    await asyncio.sleep(world.draw.seconds(0, 500))
    await world.observe()
    await world.observe_exchanges()
    world.mark("still tried")
    await world.server.misbehave()
    await world.server.release()
    await _settled(world, CAP_S + INTERVAL_S + 35)


@scenario(
    proves=["H1.3"],
    faults=["server.status"],
    worlds=SIMULATED,
    judged_by=["failed_sends_are_retried", "attempts_survive", "the_server_s_wish_is_kept", "waits_grow_up_to_the_cap"],
)
async def the_server_says_when_to_come_back(world: SimWorld) -> None:
    """Reports are put off with a Retry-After, in seconds or as a date, by 429 and 503; none comes back sooner."""
    service = await world.start()
    wishes = {}
    for body in world.sample_reports(world.draw.count(1, 3, stream="workload")):
        wish_s, form = world.draw.count(1, WISH_MAX_S), world.draw.one_of(("retry_after", "retry_after_date_s"))
        status, report_id = world.draw.one_of((503, 429)), world.report_id(body)
        wishes[report_id] = (wish_s, {"action": "status", "status": status, form: wish_s, "times": 1})
        await world.server.misbehave(*({**rule, "report_id": i} for i, (_, rule) in wishes.items()))
        await service.submit(body)
        await world.server.saw("answered", report_id=report_id)
        wishes = {i: (wish, {**rule, "nth": 1_000_000}) for i, (wish, rule) in wishes.items()}
    world.history.observe("wishes", wishes={i: wish for i, (wish, _) in wishes.items()}, limit_s=INTERVAL_S)
    await world.server.misbehave()
    await _an_attempt_of_each(world, len(wishes))
    await world.observe()
    await _settled(world, max(wish_s for wish_s, _ in wishes.values()) + INTERVAL_S + 1)


@scenario(proves=["H1.4"], faults=["server.status"], worlds=SIMULATED, marks=["started again"])
async def ten_attempts_and_then_by_hand(world: SimWorld) -> None:
    """Two reports fail ten times, perhaps across a restart; one is retried by hand, one discarded, others were sent."""
    service = await world.start(retry_cap_seconds=CAP_S)
    bodies = world.sample_reports(world.draw.count(3, 5, stream="workload") if world.trial.workload is None else 3)
    ids = [world.report_id(body) for body in bodies]
    retried, discarded = ids[0], ids[1]
    status = world.draw.one_of((500, 502, 503, 504, 418))
    failing = [{"action": "status", "status": status, "message": "No licence", "report_id": i} for i in ids[:2]]
    await world.server.misbehave(*failing)
    for body in bodies:
        await service.submit(body)
    if world.draw.chance(0.5, stream="restart"):
        await asyncio.sleep(world.draw.seconds(1, 400))
        await service.stop()
        service = await world.start()
        world.mark("started again")
    await _settled(world, ATTEMPTS * (CAP_S + 1) + world.draw.seconds(0, 120))
    for report_id in (retried, discarded):
        await world.observe_story(report_id)
    await world.server.misbehave()
    world.history.observe("by_hand", retried=retried, discarded=discarded, status=status, words="No licence")
    client = service.another_client()
    try:
        await client.request("retry_failed", {"id": retried})
        await client.request("discard_failed", {"id": discarded})
    finally:
        await client.close()
    await world.server.saw("answered", report_id=retried)
    await asyncio.sleep(1)
    await world.observe()


@scenario(proves=["H1.7"], faults=["server.status"], worlds=SIMULATED, marks=["paused"])
async def each_status_has_its_meaning(world: SimWorld) -> None:
    """Reports are refused for good, known already, or held back by refused credentials; others go their way."""
    service = await world.start()
    fates: dict[str, dict[str, Any]] = {}
    rules = []
    for body in world.sample_reports(world.draw.count(3, 6, stream="workload")):
        status, report_id = world.draw.one_of((*REFUSALS, 409), stream="statuses"), world.report_id(body)
        is_known = status == 409 and world.draw.chance(0.5, stream="statuses")
        words = (
            "" if is_known else f"Serial number is a duplicate, rule {status}" if status == 409 else f"Rule {status}"
        )
        fates[report_id] = {"status": status, "words": words, "folder": "sent" if is_known else "failed"}
        rules.append({"action": "status", "status": status, "report_id": report_id, "message": words, "times": 1})
        rules[-1] |= {"duplicate": True, "times": 1} if is_known else {}
        await world.server.misbehave(*rules[-1:])
        await service.submit(body)
        await world.server.saw("answered", report_id=report_id)
    await asyncio.sleep(world.draw.seconds(1, 300))
    await world.observe()
    for report_id in fates:
        await world.observe_story(report_id)
    world.history.observe("fates", fates=fates)
    await _credentials_are_refused(world)
    await world.observe()
    await world.observe_exchanges()


async def _credentials_are_refused(world: SimWorld) -> None:
    world.mark("paused")
    held = world.sample_reports(world.draw.count(1, 3, stream="workload"))
    await world.server.misbehave({"action": "status", "status": world.draw.one_of((401, 403))})
    for body in held:
        await world.service.submit(body)
        await asyncio.sleep(world.draw.seconds(0, 5))
    await asyncio.sleep(world.draw.seconds(0, 900))
    status = await world.service.status()
    reports = {report.report_id: report.attempts for report in await world.kept("pending")}
    ids = [world.report_id(body) for body in held]
    world.history.observe("held_back", api=status["api_status"], attempts=reports, reports=ids)
    await world.server.misbehave()
    for report_id in ids:
        await world.server.saw("answered", report_id=report_id, limit_s=PAUSE_PROBE_S + 1)
    await asyncio.sleep(1)


@scenario(
    proves=["H1.12"],
    faults=["clock.jump"],
    worlds=SIMULATED,
    judged_by=["in_the_order_of_arrival", "the_server_s_wish_is_kept", "waits_grow_up_to_the_cap"],
)
async def the_wall_clock_jumps_in_every_phase(world: SimWorld) -> None:
    """The station's clock jumps by seconds, days and years while reports wait, fail, are retried and are sent."""
    world.stage.clock.walls[f"{world.subject.name}-1"] = wall = WallClock(world.stage.kernel)
    service = await world.start(retry_cap_seconds=CAP_S, max_retry_attempts=100, max_concurrent_uploads=1)
    bodies = world.sample_reports(world.draw.count(2, 4, stream="workload"))
    failing, ids = world.report_id(bodies[0]), [world.report_id(body) for body in bodies]
    wish_s = world.draw.count(60, 300)
    await world.server.misbehave(
        {"action": "status", "status": 503, "report_id": failing, "times": 1, "retry_after_date_s": wish_s},
        {"action": "status", "status": 503, "report_id": failing},
        {"action": "delay_answer", "delay_s": 5.0},
    )
    for body in bodies:
        _jump(world, wall)
        await service.submit(body)
    world.history.observe("handed_over", reports=ids)
    await _an_attempt_of_each_failing(world)
    world.history.observe("wishes", wishes={failing: wish_s}, limit_s=INTERVAL_S)
    for _ in range(world.draw.count(2, 6, stream="jumps")):
        _jump(world, wall)
        await asyncio.sleep(world.draw.seconds(0, 300))
    await world.observe_exchanges()
    await world.server.misbehave()
    await _settled(world, wish_s + CAP_S + INTERVAL_S + 10)


async def _an_attempt_of_each_failing(world: SimWorld) -> None:
    await world.until(
        lambda: world.kept("pending"), lambda found: any(r.attempts for r in found), "a failed attempt", 120
    )


def _jump(world: SimWorld, wall: WallClock) -> None:
    seconds = world.draw.one_of(CLOCK_JUMPS_S, stream="jumps")
    wall.jump(seconds)
    world.history.fault("clock.jump", seconds=seconds)
