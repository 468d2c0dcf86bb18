"""Failpoints in simulated processes: what each action does, to whom, and how often."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest

from chaos.errors import OverdueError, UsageError
from chaos.history import History
from chaos.seed import Seed
from chaos.sim.failpoints import FailpointSeam, SimFailpoint
from chaos.sim.process import SimProcess
from chaos.sim.simulate import Setting, open_machine

HERE = __name__


def step(value: str) -> str:
    return value


async def stride(value: str) -> str:
    await asyncio.sleep(1)
    return value


def stairs() -> Any:
    yield step("first")


class Played:
    """A process whose code passes one failpoint, and perhaps another process beside it."""

    def __init__(
        self,
        terms: str,
        main: Callable[[], Any],
        *,
        at: str = f"{HERE}:step",
        beside: Callable[[SimFailpoint], Any] | None = None,
    ) -> None:
        self.kernel = kernel = open_machine(Seed(0), Setting(policy="fifo"))
        seam, self.history = FailpointSeam(), History(lambda: kernel.now_ns)
        kernel.seams.append(seam)
        with kernel:
            self.point = SimFailpoint(kernel, self.history, "place", at, terms)
            self.process: SimProcess = kernel.new_process("subject", main)
            seam.arm({"place": self.point}, self.process)
            if beside is not None:
                point = self.point

                async def other() -> Any:
                    return await beside(point)

                self.other = kernel.start("other", other)
            self.process.start()
            kernel.run(until_ns=3_600_000_000_000)
            self.result, self.error, self.exit_code = self.process.result, self.process.error, self.process.exit_code
            self.ended_s = kernel.now_ns / 1e9
            self.was_alive = self.process.is_alive

    @property
    def fired(self) -> list[str]:
        """The names of the faults in the history, in their order."""
        return [event.name for event in self.history.faults()]


async def steps() -> list[str]:
    return [step(word) for word in ("first", "second", "third")]


async def strides() -> list[str]:
    return [await stride(word) for word in ("first", "second")]


def test_without_a_turn_of_its_own_everything_passes_and_is_counted() -> None:
    played = Played("off", steps)
    assert (played.result, played.point.reached, played.point.times_fired) == (["first", "second", "third"], 3, 0)
    assert step("here") == "here", "the function is back in its place"


@pytest.mark.parametrize(
    ("terms", "at", "expected"),
    [
        ('return("instead")', f"{HERE}:step", ["instead"] * 3),
        ('return("instead")', f"{HERE}:step@2", ["first", "instead", "third"]),
        ('return("instead")', f"{HERE}:step#after@2+", ["first", "instead", "instead"]),
        ('1*return("one")->1*off->return("two")', f"{HERE}:step", ["one", "second", "two"]),
    ],
)
def test_what_is_returned_takes_the_place_of_the_result(terms: str, at: str, expected: list[str]) -> None:
    assert Played(terms, steps, at=at).result == expected


def test_a_coroutine_s_result_is_replaced_before_it_does_anything_or_after() -> None:
    before = Played('return("instead")', strides, at=f"{HERE}:stride")
    after = Played('return("instead")', strides, at=f"{HERE}:stride#after")
    assert before.result == after.result == ["instead", "instead"]
    assert (before.ended_s, after.ended_s) == (0, 2)


@pytest.mark.parametrize(("main", "at"), [(steps, "step"), (strides, "stride")])
def test_an_exception_is_raised_where_the_process_is(main: Callable[[], Any], at: str) -> None:
    played = Played("raise(OSError, ENOSPC)", main, at=f"{HERE}:{at}")
    assert isinstance(played.error, OSError)
    assert played.error.errno == 28
    assert played.fired == ["failpoint.raise"]


@pytest.mark.parametrize(("terms", "code"), [("kill", -9), ("exit(7)", 7), ("term", -15)])
def test_the_process_is_ended(terms: str, code: int) -> None:
    async def main() -> None:
        try:
            await stride("first")
        finally:
            step("a dead process cleans nothing up")

    played = Played(terms, main, at=f"{HERE}:stride")
    assert (played.exit_code, played.ended_s, played.fired) == (code, 0, [f"failpoint.{terms.partition('(')[0]}"])


def test_a_handled_term_is_only_a_signal() -> None:
    async def main() -> list[str]:
        heard: list[str] = []
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.append, "TERM")
        heard.append(await stride("first"))
        return heard

    assert Played("term", main, at=f"{HERE}:stride").result == ["TERM", "first"]


def test_sleeping_lets_the_loop_go_on_and_blocking_does_not() -> None:
    async def main() -> int:
        ticks, working = 0, asyncio.ensure_future(stride("first"))
        while not working.done():
            await asyncio.sleep(0.5)
            ticks += 1
        return ticks

    sleeping, blocking = (Played(f"{word}(5)", main, at=f"{HERE}:stride") for word in ("sleep", "block"))
    assert (sleeping.ended_s, blocking.ended_s) == (6, 6)
    assert sleeping.result >= 12
    assert blocking.result <= 4


@pytest.mark.parametrize("word", ["sleep(5)", "block(5)"])
def test_a_plain_function_waits_in_its_thread(word: str) -> None:
    async def main() -> float:
        await asyncio.to_thread(step, "first")
        return asyncio.get_running_loop().time()

    assert Played(word, main).result == pytest.approx(5)


@pytest.mark.parametrize(("word", "result", "is_left"), [("hang", True, False), ("cling", None, True)])
def test_what_hangs_can_be_cancelled_and_what_clings_cannot(word: str, result: bool | None, is_left: bool) -> None:
    """The end of a loop waits for what it has cancelled: who clings holds up the end of the process."""

    async def main() -> bool:
        working = asyncio.ensure_future(stride("first"))
        await asyncio.sleep(10)
        working.cancel()
        await asyncio.wait({working}, timeout=100)
        return working.done()

    played = Played(word, main, at=f"{HERE}:stride")
    assert (played.result, played.was_alive) == (result, is_left)


@pytest.mark.parametrize("word", ["block", "hang", "cling"])
def test_a_plain_function_that_hangs_never_returns(word: str) -> None:
    played = Played(word, steps)
    assert (played.result, played.was_alive) == (None, True)


@pytest.mark.parametrize(("main", "at"), [(steps, "step"), (strides, "stride")])
def test_what_is_paused_goes_on_when_it_is_released_and_the_next_one_is_paused_again(
    main: Callable[[], Any], at: str
) -> None:
    async def releases(point: SimFailpoint) -> list[int]:
        reached = []
        for _ in range(2):
            await asyncio.sleep(10)
            reached.append(point.reached)
            point.release()
        return reached

    played = Played("2*pause", main, at=f"{HERE}:{at}", beside=releases)
    assert played.other.result == [1, 2]
    assert played.result[:2] == ["first", "second"]


def test_what_is_printed_is_the_process_s_own_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert Played('1*print("here")', steps).result == ["first", "second", "third"]
    assert capsys.readouterr().out == "here\n"


def test_only_the_process_that_it_is_armed_for_is_concerned() -> None:
    async def passes(_: SimFailpoint) -> str:
        return step("another process")

    played = Played("raise(ValueError)", steps, beside=passes)
    assert played.other.result == "another process"
    assert isinstance(played.error, ValueError)


def test_only_the_task_that_is_named_is_concerned() -> None:
    async def main() -> list[str]:
        async with asyncio.TaskGroup() as group:
            names = ("upload 1", "other")
            tasks = [group.create_task(stride(name), name=name) for name in names]
        return [task.result() for task in tasks]

    played = Played('return("instead")', main, at=f"{HERE}:stride[task=upload*]")
    assert (played.result, played.point.reached) == (["instead", "other"], 1)


def test_a_firing_can_be_waited_for() -> None:
    async def waits(point: SimFailpoint) -> float:
        await point.fired(2)
        return asyncio.get_running_loop().time()

    assert Played("sleep(3)", strides, at=f"{HERE}:stride", beside=waits).other.result == 4


def test_waiting_for_a_firing_that_does_not_come_ends() -> None:
    async def waits(point: SimFailpoint) -> None:
        await point.fired(3, limit_s=50)

    played = Played("off", steps, beside=waits)
    assert isinstance(played.other.error, OverdueError)
    assert "place fired 3 times" in str(played.other.error)


def test_every_firing_is_in_the_history_when_it_happens() -> None:
    played = Played("sleep(3)", strides, at=f"{HERE}:stride")
    assert [event.time_ns for event in played.history.faults()] == [0, 4_000_000_000]
    assert played.fired == ["failpoint.sleep"] * 2


@pytest.mark.parametrize(
    ("at", "words"),
    [(f'{HERE}:step#line("return value")', "use #line in a live process"), (f"{HERE}:stairs", "name its caller")],
)
def test_a_place_that_cannot_be_is_refused(at: str, words: str) -> None:
    async def main() -> list[Any]:
        return list(stairs())

    with pytest.raises(UsageError, match=words):
        raise Played("kill", main, at=at).error or AssertionError("it was taken")
