"""Plans of faults: drawn by swarm, played at their times, undone at their ends, and healed when the story is over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chaos.coverage import met
from chaos.errors import UsageError
from chaos.seed import Seed
from chaos.sim import plan_player
from chaos.sim.choices import Script, SeededChoices
from chaos.sim.draw import Draw
from chaos.sim.plan_kinds import KINDS, find_kind
from chaos.sim.plan_player import FAULTS_MAX, draw_plan, under_faults
from chaos.sim.remains import collected_afterwards
from chaos.sim.stage import Stage
from chaos.sim.world import SimWorld
from chaos.subjects import find_simulated
from chaos.trial import NS_PER_S, PlannedFault, Trial, parse_trial

ALL = tuple(KINDS)
TRIAL = Trial("C1.6/all_at_once", 0, "fifo")


def plans(count: int, kinds: tuple[str, ...] = ALL, *, calmed: tuple[str, ...] = ()) -> list[list[PlannedFault]]:
    return [
        draw_plan(Draw(SeededChoices(Seed(seed), Script(calmed=calmed))), kinds, within_s=100) for seed in range(count)
    ]


def test_a_plan_is_the_seed_s_and_in_the_order_of_its_times() -> None:
    drawn = plans(200)
    assert drawn == plans(200)
    assert len({tuple(plan) for plan in drawn}) > 150
    for plan in drawn:
        assert [fault.at_ns for fault in plan] == sorted(fault.at_ns for fault in plan)
        assert len(plan) <= FAULTS_MAX


def test_every_kind_is_drawn_with_all_its_words_within_its_times() -> None:
    said: dict[str, Counter[str]] = {name: Counter() for name in ALL}
    for fault in (fault for plan in plans(3_000) for fault in plan):
        kind = find_kind(fault.name)
        said[fault.name][fault.what] += 1
        assert 0 <= fault.at_ns <= 100 * NS_PER_S
        assert kind.lasts_s[0] <= fault.lasts_ns / NS_PER_S <= kind.lasts_s[1]
    assert {name: set(words) for name, words in said.items()} == {name: set(KINDS[name].what) for name in ALL}


def test_a_swarm_leaves_whole_kinds_out() -> None:
    """With one kind in six plans of the same length every second fault would be of another kind."""
    whole = [plan for plan in plans(500) if len(plan) == FAULTS_MAX]
    few = [plan for plan in plans(500, ALL[:4]) if len(plan) == FAULTS_MAX]
    assert len(whole) > 20
    assert sum(len({fault.name for fault in plan}) == 1 for plan in few) > len(few) / 10


def test_a_calmed_plan_has_no_faults() -> None:
    assert plans(10, calmed=("plan",)) == [[]] * 10


def test_a_drawn_plan_can_be_written_into_a_line_and_read_again() -> None:
    for plan in plans(100):
        trial = TRIAL.with_plan(plan)
        assert parse_trial(str(trial)) == trial


@dataclass(frozen=True)
class Told:
    """What a story has left behind: no part of its world."""

    faults: tuple[tuple[str, float], ...]
    observed: dict[str, float]
    told: dict[str, Any]
    plan: tuple[PlannedFault, ...]
    powers_lost: tuple[bool, ...]


def played(trial: Trial, story: Callable[[SimWorld], Awaitable[Any]]) -> Told:
    """Play a story and return what is left of it. Raises what the story does."""
    with collected_afterwards():
        return told(trial, story)


def told(trial: Trial, story: Callable[[SimWorld], Awaitable[Any]]) -> Told:
    stage = Stage(trial)
    worlds: list[SimWorld] = []

    async def tester() -> None:
        world = SimWorld(stage, find_simulated("reference"), trial)
        worlds.append(world)
        await world.open()
        await story(world)
        stage.kernel.stop()

    with stage:
        stage.drive(tester)
    return Told(
        tuple((event.name, event.time_ns / NS_PER_S) for event in stage.history.faults()),
        {event.name: event.time_ns / NS_PER_S for event in stage.history.events},
        {event.name: event.value for event in stage.history.events},
        tuple(worlds[0].plan),
        tuple(service.process.power_lost for service in worlds[0].services),
    )


async def offered(world: SimWorld) -> None:
    """Hand over one report, whatever becomes of it."""
    client = world.service.another_client()
    try:
        await world.service.offer(world.sample_reports(1)[0], client)
    finally:
        await client.close()


def with_plan(text: str) -> Trial:
    return replace(TRIAL, plan=parse_trial(f"{TRIAL.scenario} seed=0 plan={text}").plan)


def test_a_given_plan_happens_at_its_times_and_nothing_else_does() -> None:
    async def story(world: SimWorld) -> None:
        await world.start()
        await asyncio.sleep(100 - asyncio.get_running_loop().time())
        async with under_faults(world) as plan:
            assert world.plan == plan == list(world.trial.plan or ())

    left = played(with_plan("clock@1(3600),kill@5+10,clock@7.5(-60)"), story)
    assert list(left.faults) == [("clock.jump", 101), ("process.kill", 105), ("clock.jump", 107.5)]
    assert len(left.powers_lost) == 2


@pytest.mark.parametrize("how", ["kill", "power"])
def test_a_crash_that_lies_in_wait_meets_the_next_submit(how: str) -> None:
    async def story(world: SimWorld) -> None:
        await world.start()
        async with under_faults(world):
            await asyncio.sleep(50)
            await offered(world)
        world.history.observe("met", cells=sorted(met(world.history)))

    left = played(with_plan(f"{how}@20+1(submit)"), story)
    assert [name for name, at_s in left.faults if at_s >= 50] == [f"process.{how}"]
    assert left.told["met"]["cells"] == [f"process.{how} × submit"]


def test_a_crash_in_a_submit_comes_before_and_after_it_is_kept() -> None:
    async def story(world: SimWorld) -> None:
        await world.start()
        async with under_faults(world):
            await offered(world)
            world.history.observe("kept", count=len(list(world.folder("pending").glob("[!.]*.json"))))

    trials = [replace(with_plan("kill@0+1(submit)"), seed=seed) for seed in range(30)]
    assert {played(trial, story).told["kept"]["count"] for trial in trials} == {0, 1}


def test_a_crash_that_waits_in_vain_comes_after_a_minute() -> None:
    async def story(world: SimWorld) -> None:
        await world.start()
        async with under_faults(world):
            world.history.observe("begun")

    left = played(with_plan("power@5+1(submit)"), story)
    assert [(name, at_s - left.observed["begun"]) for name, at_s in left.faults] == [("process.power", 65)]


def test_leaving_waits_until_the_last_fault_is_undone_and_the_subject_runs() -> None:
    async def story(world: SimWorld) -> None:
        await world.start()
        async with under_faults(world):
            pass
        assert world.service.process.is_alive
        assert (await world.service.status())["status"] == "Running"
        world.history.observe("left")

    left = played(with_plan("power@20+15"), story)
    assert 35 <= left.observed["left"] < 60
    assert left.powers_lost == (True, False)


def test_a_subject_that_ended_outside_of_the_plan_runs_again_after_it() -> None:
    async def story(world: SimWorld) -> None:
        await world.start()
        async with under_faults(world):
            await world.service.kill()
        assert world.service.process.is_alive

    assert len(played(with_plan("none"), story).powers_lost) == 2


@pytest.mark.parametrize("name", [name for name in ALL if not KINDS[name].ends_subject and name != "clock"])
def test_what_a_kind_breaks_is_whole_again_when_it_is_undone(name: str) -> None:
    """Reports go through before, and after; during the fault some kinds let them through, too."""

    async def story(world: SimWorld) -> None:
        await world.start(retry_interval_seconds=5, retry_cap_seconds=5)
        async with under_faults(world):
            await asyncio.sleep(40)
        submitted = [await world.service.submit(body) for body in world.sample_reports(2)]
        await asyncio.sleep(400)
        assert len(await world.stored_at_server()) == len(submitted)

    lasts = KINDS[name].lasts_s[1] and 3
    played(with_plan(f"{name}@1+{lasts}({KINDS[name].what[-1]})" if lasts else f"{name}@1"), story)


def test_a_plan_is_drawn_where_the_trial_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [PlannedFault("clock", 2 * NS_PER_S, 0, "60")]
    asked: list[Any] = []

    def draws(draw: Draw, kinds: Any, *, within_s: float) -> list[PlannedFault]:
        asked.append((draw, tuple(kinds), within_s))
        return drawn

    monkeypatch.setattr(plan_player, "draw_plan", draws)

    async def story(world: SimWorld) -> None:
        await world.start()
        async with under_faults(world, ["clock"], within_s=7):
            pass
        assert asked == [(world.draw, ("clock",), 7)]

    left = played(TRIAL, story)
    assert [name for name, _ in left.faults] == ["clock.jump"]
    assert list(left.plan) == drawn


def test_a_failing_story_does_not_wait_for_the_rest_of_the_plan() -> None:
    async def story(world: SimWorld) -> None:
        await world.start()
        try:
            async with under_faults(world):
                find_kind("explode")
        except* UsageError:
            world.history.observe("failed")

    left = played(with_plan("kill@1000+10"), story)
    assert left.observed["failed"] < 10
    assert left.faults == ()


def test_a_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a planned fault"):
        find_kind("explode")
