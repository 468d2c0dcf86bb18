"""The runner believes a checker, never a run that did not end, and never a fault that did not fire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from chaos.errors import DeadlineError, NotAvailableError, OverdueError
from chaos.history import History
from chaos.outcome import RunResult
from chaos.plan import Run
from chaos.protocols import Checker, Scenario, World, WorldKind
from chaos.runner import Runner
from chaos.seed import Seed
from chaos.verdict import Finding, Verdict

pytestmark = pytest.mark.asyncio
Play = Callable[[World], Awaitable[None]]


class EmptyWorld:
    """A world with nothing in it but a history: the runner needs no more."""

    def __init__(self) -> None:
        self.history = History(lambda: 0)
        self.left = False


def opened(world: EmptyWorld, *, leaving: Exception | None = None) -> Callable[[Seed], object]:
    @asynccontextmanager
    async def open_world(_: Seed) -> AsyncIterator[World]:
        try:
            yield cast("World", world)
        finally:
            world.left = True
            if leaving:
                raise leaving

    return open_world


def held(_: History) -> Finding:
    return Finding("", Verdict.HELD, "something", "that")


def broken(_: History) -> Finding:
    return Finding("", Verdict.BROKEN, "something", "something else")


def crashing(_: History) -> Finding:
    raise ZeroDivisionError("a bug in the checker")


async def quiet(world: World) -> None:
    world.history.fault("planted")


async def played(
    play: Play, check: Checker, *, world: EmptyWorld | None = None, leaving: Exception | None = None, limit_s: float = 5
) -> RunResult:
    story = Scenario("X/story", ("C1.6",), (WorldKind.LIVE,), ("planted",), "A story.", limit_s, play)
    worlds = {WorldKind.LIVE: opened(world or EmptyWorld(), leaving=leaving)}
    runner = Runner(worlds, {"C1.6": (check,)}, jobs=1)  # type: ignore[arg-type]
    (result,) = await runner.execute([Run(story, WorldKind.LIVE, Seed(1))])
    return result


async def test_what_the_checker_saw_is_the_verdict() -> None:
    assert (await played(quiet, held)).verdict is Verdict.HELD
    assert (await played(quiet, broken)).verdict is Verdict.BROKEN


async def test_a_crashing_checker_gives_unknown() -> None:
    result = await played(quiet, crashing)
    assert result.verdict is Verdict.UNKNOWN
    assert "ZeroDivisionError: a bug in the checker (test_runner.py:" in result.findings[0].found


async def test_a_fault_that_never_fired_is_not_exercised() -> None:
    async def nothing(_: World) -> None:
        pass

    result = await played(nothing, held)
    assert result.verdict is Verdict.NOT_EXERCISED
    assert "planted" in result.findings[0].found


async def test_a_scenario_that_fails_proves_nothing() -> None:
    async def failing(world: World) -> None:
        world.history.fault("planted")
        raise ConnectionResetError("gone")

    result = await played(failing, held)
    assert result.verdict is Verdict.UNKNOWN
    assert "ConnectionResetError: gone" in result.error


async def test_a_broken_promise_is_believed_though_the_scenario_failed() -> None:
    async def failing(_: World) -> None:
        raise ConnectionResetError("gone")

    assert (await played(failing, broken)).verdict is Verdict.BROKEN


async def test_a_subject_that_is_overdue_has_broken_its_promise() -> None:
    async def waiting(world: World) -> None:
        world.history.fault("planted")
        raise OverdueError("the report at the server", 20, "nothing")

    result = await played(waiting, held)
    assert result.verdict is Verdict.BROKEN
    (found,) = result.findings
    assert (found.expected, found.found) == ("the report at the server within 20 s", "nothing")


async def test_a_scenario_without_end_is_ended_at_its_limit() -> None:
    async def endless(_: World) -> None:
        await asyncio.Event().wait()

    result = await played(endless, held, limit_s=0.05)
    assert result.verdict is Verdict.UNKNOWN
    assert "did not end within 0.05 s: it stood at test_runner.py:" in result.error
    assert "in endless, locks.py:" in result.error


async def test_a_need_that_this_machine_lacks_is_not_available() -> None:
    async def needing(_: World) -> None:
        raise NotAvailableError("ptrace", "strace not found", "apt install strace")

    assert (await played(needing, held)).verdict is Verdict.NOT_AVAILABLE


async def test_a_world_that_cannot_be_left_proves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    result = await played(quiet, held, leaving=OSError("a process would not end"))
    assert result.verdict is Verdict.UNKNOWN
    assert "the world failed" in caplog.text


async def test_cancelling_leaves_the_world_first() -> None:
    world, begun = EmptyWorld(), asyncio.Event()

    async def endless(_: World) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        campaign = group.create_task(played(endless, held, world=world))
        await begun.wait()
        campaign.cancel()
    assert world.left


async def test_the_moment_of_a_violation_is_where_the_checker_begins_to_see_it() -> None:
    """The third look is the first that shows it; a fourth and the end of the run come later."""

    def second_is_missing(history: History) -> Finding:
        looks = [event.value["reports"] for event in history.observed("folders")]
        return broken(history) if looks[-1] < 2 and len(looks) > 2 else held(history)

    async def looked(world: World) -> None:
        world.history.fault("planted")
        for reports in (2, 2, 1, 1):
            world.history.observe("folders", reports=reports)

    world = EmptyWorld()
    world.history = History(iter(range(0, 1000, 10)).__next__)
    result = await played(looked, second_is_missing, world=world)
    assert result.findings[0].at_ns == world.history.observed("folders")[2].time_ns


class WorldThatExplains(EmptyWorld):
    """A world that can say where its subject stands, for as long as it is not left."""

    async def explain(self) -> str:
        """Return what a person would want to know."""
        return "already gone" if self.left else "the upload waits for an answer"


async def test_a_run_that_does_not_end_is_asked_where_it_stands_before_anything_is_ended() -> None:
    async def endless(_: World) -> None:
        await asyncio.Event().wait()

    result = await played(endless, held, world=WorldThatExplains(), limit_s=0.01)
    assert result.history.last("hang").value["text"] == "the upload waits for an answer"
    assert "the upload waits for an answer" in result.log


async def test_a_run_that_ends_well_is_not_asked() -> None:
    result = await played(quiet, held, world=WorldThatExplains())
    assert not result.history.observed("hang")


@pytest.mark.parametrize("gives_way", [False, True])
async def test_only_players_that_give_way_are_played_beside_a_live_run(gives_way: bool) -> None:
    order: list[str] = []
    is_live_under_way = asyncio.Event()

    async def player(run: Run) -> RunResult:
        order.append("simulated begins")
        if gives_way:
            await is_live_under_way.wait()
        order.append("simulated ends")
        return RunResult(run.scenario.name, run.world, 1, (), {}, 0.0, History(lambda: 0))

    async def live(world: World) -> None:
        order.append("live begins")
        is_live_under_way.set()
        await quiet(world)

    worlds = {WorldKind.LIVE: opened(EmptyWorld())}
    story = Scenario("X/story", ("C1.6",), (WorldKind.LIVE, WorldKind.SIMULATION), ("planted",), "A story.", 5, live)
    players = {WorldKind.SIMULATION: player}
    runner = Runner(worlds, {"C1.6": (held,)}, jobs=1, players=players, players_give_way=gives_way)  # type: ignore[arg-type]
    await runner.execute([Run(story, WorldKind.LIVE, Seed(1)), Run(story, WorldKind.SIMULATION, Seed(1))])
    assert order.index("live begins") == (1 if gives_way else 2)


async def test_a_player_that_fails_leaves_its_run_unknown_and_the_others_are_played() -> None:
    async def player(run: Run) -> RunResult:
        if run.seed.number == 1:
            raise DeadlineError("an answer", 1, "nothing")
        return RunResult(
            run.scenario.name, run.world, run.seed.number, (held(History(lambda: 0)),), {}, 0.0, History(lambda: 0)
        )

    story = Scenario("X/story", ("C1.6",), (WorldKind.SIMULATION,), (), "A story.", 5, quiet)
    runner = Runner({}, {}, jobs=2, players={WorldKind.SIMULATION: player})
    results = await runner.execute([Run(story, WorldKind.SIMULATION, Seed(number)) for number in (1, 2)])
    by_seed = {result.seed: result for result in results}
    assert (by_seed[1].verdict, by_seed[2].verdict) == (Verdict.UNKNOWN, Verdict.HELD)
    assert by_seed[1].error == by_seed[1].findings[0].found == "expected an answer within 1 s, saw nothing"
