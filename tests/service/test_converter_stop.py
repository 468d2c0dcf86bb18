"""The pool while the service stops: nothing begins, what is under way ends or is cut off (C1.1 to C1.4)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.converter_pool.looking import Sights, Wanted, look
from pywats_reliability.converter_pool.runners import InThread, make_runner
from pywats_reliability.converter_pool.threads import Threads
from pywats_reliability.converters import ConverterContext, ConverterResult, ConverterSource
from pywats_reliability.disk import Disk
from pywats_reliability.errors import ConversionTimeoutError, ServiceStoppingError
from pywats_reliability.report import Report
from pywats_reliability.workers import Workers
from tests.service.converter_world import MemoryQueue, ScriptedRunner, World, make_config, taking
from tests.service.virtual_clock import in_virtual_time, now

DEADLINE_S = 5.0


@pytest.mark.proves("C1.1")
@in_virtual_time
async def test_from_the_request_on_no_conversion_begins_and_nothing_is_looked_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        world.drop("before.csv")
        await world.later(1.5)
        world.pool.stop_accepting()
        world.drop("after.csv")
        await world.later(100)
        assert (world.converter.begun, world.names()) == ([], ["after.csv", "before.csv"])
        assert world.pool.stats.queue_size == 1, "the one dropped after the request was never seen"


@pytest.mark.proves("C1.2")
@in_virtual_time
async def test_a_conversion_under_way_ends_and_the_waiting_with_it(tmp_path: Path) -> None:
    world = World(tmp_path, script=taking(59.9))
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.pool.get_active_count() == 1)
        begun = world.converter.begun[0][0]
        assert world.pool.in_flight() == ("conversion of a.csv by c",)
        world.pool.stop_accepting()
        await world.pool.wait_idle()
        assert (round(now() - begun, 3), world.names("in/done"), len(world.queue.kept)) == (59.9, ["a.csv"], 1)


@in_virtual_time
async def test_with_nothing_under_way_the_waiting_ends_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        await world.later(5)
        began = now()
        world.pool.stop_accepting()
        await world.pool.wait_idle()
        assert now() == began


@in_virtual_time
async def test_reports_of_a_conversion_under_way_go_the_way_that_is_open_to_them(tmp_path: Path) -> None:
    world = World(tmp_path, queue=StoppingQueue(), script=taking(30), submit=StoppingQueue().submit_begun)
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.pool.get_active_count() == 1)
        world.pool.stop_accepting()
        await world.pool.wait_idle()
        assert (world.names(), world.pool.stats.successful) == ([], 1)


@in_virtual_time
async def test_where_the_queue_takes_nothing_more_the_file_stays_for_the_next_start(tmp_path: Path) -> None:
    world = World(tmp_path, queue=StoppingQueue())
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.converter.begun != [])
        await world.later(5)
        assert (world.names(), world.pool.stats.errors, world.pool.failed_converters()) == (["a.csv"], 0, ())


class StoppingQueue(MemoryQueue):
    """Refuses what is new, and takes what has begun."""

    async def submit(self, source: Report, *, priority: int = 5) -> str:  # noqa: ARG002 - the contract's names
        """Refuse."""
        raise ServiceStoppingError("submit")

    async def submit_begun(self, source: Report, /, *, priority: int) -> str:
        """Take."""
        return await super().submit(source, priority=priority)


@pytest.mark.proves("C1.3", "C1.9")
@in_virtual_time
async def test_cancelling_cuts_conversions_off_and_leaves_their_files(tmp_path: Path) -> None:
    world = World(tmp_path, script=taking(1e6))
    async with world.running():
        for number in range(3):
            world.drop(f"{number}.csv")
        await world.until(lambda: world.pool.get_active_count() == 3)
    assert sorted(world.converter.cancelled) == world.names() == ["0.csv", "1.csv", "2.csv"]
    assert (world.queue.kept, world.converter.closes) == ([], 1)


@pytest.mark.proves("C1.3", "C1.9")
@in_virtual_time
async def test_what_was_cut_off_is_converted_by_the_next_run(tmp_path: Path) -> None:
    world = World(tmp_path, script=taking(1e6))
    async with world.running(is_last=False):
        world.drop("a.csv")
        await world.until(lambda: world.pool.get_active_count() == 1)
    assert (world.queue.kept, world.names()) == ([], ["a.csv"])
    world.converter.script = taking(1.0)
    async with world.running():
        await world.until_converted()
    assert (len(world.queue.kept), world.names()) == (1, [])


@in_virtual_time
async def test_a_converter_that_does_not_end_well_keeps_no_other_from_ending(tmp_path: Path) -> None:
    class Sticky(ScriptedRunner):
        async def close(self) -> None:
            raise ZeroDivisionError

    runners = {"a": Sticky(), "b": ScriptedRunner()}
    world = World(tmp_path, {"name": "a"}, {"name": "b"}, runner_for=lambda config, _: runners[config.name])
    async with world.running():
        await world.later(5)
    assert runners["b"].closes == 1


class Stuck:
    """A converter that waits for a thing that a test holds."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()

    def convert(self, _source: ConverterSource, _context: ConverterContext, /) -> ConverterResult:
        """Wait."""
        self.began.set()
        self.may_end.wait(30)
        return ConverterResult.skipped_result("late")


async def until(condition: threading.Event) -> None:
    assert await asyncio.to_thread(condition.wait, DEADLINE_S)


@pytest.mark.proves("C1.4")
@pytest.mark.asyncio
async def test_a_thread_that_ignores_everything_is_named_and_holds_up_nobody(tmp_path: Path) -> None:
    stuck = Stuck()
    world = in_threads(tmp_path, stuck)
    world.drop("a.csv")
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        run = tasks.create_task(world.pool.run(lambda: None))
        await until(stuck.began)
        run.cancel()
        await asyncio.wait([run])
        await world.pool.close(0.02)
        assert (world.pool.left_behind(), world.names()) == (("converting a.csv",), ["a.csv"])
    stuck.may_end.set()


def in_threads(folder: Path, stuck: Stuck, **settings: Any) -> World:
    """Return a world in real time, whose converter runs in real threads."""
    settings |= {"settle_s": 0.0, "look_interval_s": 0.01, "threads": Workers}
    return World(folder, runner_for=lambda _, threads: InThread(stuck, threads), **settings)


@pytest.mark.asyncio
async def test_a_thread_over_its_limit_costs_its_slot_until_it_ends(tmp_path: Path) -> None:
    stuck = Stuck()
    looks: list[Sights] = []

    def counted(disk: Disk, folders: Sequence[Path], wanted: Wanted) -> Sights:
        looks.append(look(disk, folders, wanted))
        return looks[-1]

    world = in_threads(tmp_path, stuck, max_concurrent=1, conversion_timeout_s=0.2, looker=counted)
    world.drop("a.csv")
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        run = tasks.create_task(world.pool.run(lambda: None))
        await until_true(lambda: world.pool.stats.errors == 1 and world.pool.get_active_count() == 0)
        assert world.pool.left_behind() == ("converting a.csv",)
        world.drop("b.csv")
        seen = len(looks)
        await until_true(lambda: world.pool.stats.queue_size == 2 and len(looks) > seen + 3)
        assert world.pool.get_active_count() == 0, "its thread still has the only slot"
        stuck.may_end.set()
        await until_true(lambda: world.pool.left_behind() == ())
        run.cancel()
    await world.pool.close()


async def until_true(is_so: Callable[[], bool]) -> None:
    """Return once ``is_so()``; the test's own deadline ends it."""
    while not is_so():  # noqa: ASYNC110 - of a state that nobody tells of
        await asyncio.sleep(0.005)


@pytest.mark.asyncio
async def test_a_call_that_is_given_up_is_named_until_it_ends() -> None:
    threads, may_end = Threads(Workers("test", 1)), threading.Event()
    with pytest.raises(ConversionTimeoutError, match=r"reading a\.csv: expected it to end within 0\.02 s"):
        await threads.call("reading a.csv", may_end.wait, 0.02)
    assert threads.overdue == ("reading a.csv",)
    may_end.set()
    await threads.close(DEADLINE_S)
    assert not threads.overdue


@pytest.mark.asyncio
async def test_what_a_call_raises_arrives() -> None:
    threads = Threads(Workers("test", 1))
    with pytest.raises(ZeroDivisionError):
        await threads.call("dividing", lambda: 1 // 0, DEADLINE_S)
    await threads.close(DEADLINE_S)


def test_only_built_in_converters_run_in_the_service(tmp_path: Path) -> None:
    threads = Threads(Workers("test", 1))
    runners = [
        make_runner(make_config(module_path=path), threads, folder=tmp_path)
        for path in ("csv", "wsjf", "pywats_reliability.converters.CsvConverter", "csv.py", "my.module", "x.py:Csv")
    ]
    assert [type(runner).__name__ for runner in runners] == ["InThread"] * 3 + ["IsolatedConverter"] * 3
