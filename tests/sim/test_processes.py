"""Simulated processes end as real ones do: by returning, by signals, and between two instructions."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from chaos.seed import Seed
from chaos.sim import SimKernel, SimProcess, open_kernel, simulate

SECOND = 1_000_000_000


def ran(main: Callable[[], Any], act: Callable[[SimProcess], object] | None = None, at_s: float = 1) -> SimProcess:
    """Run one process to its end, doing something to it meanwhile."""
    with open_kernel(Seed(7)) as kernel:
        process = kernel.start("service", main)
        if act is not None:
            kernel.at(round(at_s * SECOND), lambda: act(process))
        kernel.run()
        assert not process.is_alive, kernel.waiting()
        return process


def test_its_integer_result_is_the_exit_code() -> None:
    async def main() -> int:
        await asyncio.sleep(1)
        return 3

    assert ran(main).exit_code == 3


def test_a_plain_main_may_run_loops_of_its_own() -> None:
    def main() -> int:
        return asyncio.run(asyncio.sleep(5, 1)) + asyncio.run(asyncio.sleep(5, 1))

    assert ran(main).exit_code == 2


def test_an_error_is_exit_code_1_and_is_kept() -> None:
    async def main() -> None:
        raise ValueError("no")

    process = ran(main)
    assert (process.exit_code, str(process.error)) == (1, "no")


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, -15), (signal.SIGKILL, -9), (signal.SIGINT, -2)])
def test_a_signal_without_a_handler_ends_it(number: int, exit_code: int) -> None:
    assert ran(lambda: time.sleep(100), lambda process: process.send_signal(number)).exit_code == exit_code


def test_a_signal_reaches_the_handler_of_the_loop() -> None:
    async def main() -> float:
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        await asked.wait()
        return asyncio.get_running_loop().time()

    assert ran(main, lambda process: process.send_signal(signal.SIGTERM), at_s=2.5).result == 2.5


def test_a_signal_reaches_a_handler_of_the_interpreter_even_while_the_loop_is_blocked() -> None:
    seen: list[float] = []

    async def main() -> None:
        signal.signal(signal.SIGTERM, lambda *_: seen.append(time.monotonic()))
        time.sleep(10)
        seen.append(time.monotonic())

    ran(main, lambda process: process.send_signal(signal.SIGTERM))
    assert seen == [1.0, 10.0]


def test_sigint_cancels_main_as_the_runner_of_asyncio_does() -> None:
    async def main() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(asyncio.get_running_loop().time())

    ended: list[float] = []
    assert ran(main, lambda process: process.send_signal(signal.SIGINT)).exit_code == -signal.SIGINT
    assert ended == [1.0]


DEATHS: dict[str, Callable[[], Any]] = {
    "os._exit": lambda: os._exit(-9),
    "os.kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


@pytest.mark.parametrize("place", ["task", "callback", "thread", "outside"])
@pytest.mark.parametrize("death", DEATHS)
def test_a_killed_process_runs_no_finally_and_no_callback(place: str, death: str) -> None:
    """Before the verdict nothing of it runs any more, wherever it was; after it, what runs cannot reach anything."""
    ran_after: list[str] = []

    def die() -> None:
        try:
            DEATHS[death]()
        finally:
            ran_after.append("finally of the call")

    async def main() -> None:
        asyncio.get_running_loop().call_later(2, ran_after.append, "callback")
        try:
            if place == "task":
                die()
            elif place == "callback":
                asyncio.get_running_loop().call_soon(die)
            elif place == "thread":
                await asyncio.to_thread(die)
            await asyncio.sleep(100)
        finally:
            ran_after.append("finally of main")

    with open_kernel(Seed(1)) as kernel:
        process = kernel.start("service", main)
        kernel.at(SECOND, process.kill)
        kernel.run()
        assert process.exit_code == -9
        assert not ran_after
    assert "callback" not in ran_after


def test_the_dead_cannot_wait_while_they_are_cleared_away() -> None:
    after: list[str] = []

    async def main() -> None:
        try:
            time.sleep(50)
        finally:
            time.sleep(1)
            after.append("slept")

    with open_kernel(Seed(1)) as kernel:
        kernel.at(SECOND, kernel.start("service", main).kill)
        kernel.run()
    assert not after


def test_one_process_stands_still_while_another_goes_on() -> None:
    seen: list[tuple[str, float]] = []

    async def blocked() -> None:
        time.sleep(10)
        seen.append(("blocked", time.monotonic()))

    async def free() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append(("free", time.monotonic()))

    with open_kernel(Seed(1)) as kernel:
        kernel.start("blocked", blocked)
        kernel.start("free", free)
        kernel.run()
    assert seen == [("free", 1.0), ("free", 2.0), ("free", 3.0), ("blocked", 10.0)]


def test_processes_have_numbers_and_signal_each_other() -> None:
    async def victim() -> None:
        await asyncio.sleep(100)

    async def killer() -> tuple[int, int]:
        os.kill(other.number, signal.SIGTERM)
        with pytest.raises(ProcessLookupError):
            os.kill(4711, 0)
        return os.getpid(), other.exit_code or 0

    with open_kernel(Seed(1)) as kernel:
        other = kernel.start("victim", victim)
        process = kernel.start("killer", killer)
        kernel.run()
        assert process.result == (other.number + 1, -15)


def test_it_waits_for_its_threads_but_not_for_daemons() -> None:
    def main() -> None:
        threading.Thread(target=time.sleep, args=(5,)).start()
        threading.Thread(target=time.sleep, args=(500,), daemon=True).start()

    with open_kernel(Seed(1)) as kernel:
        process = kernel.start("service", main)
        process.on_end.append(lambda _: kernel.stop())
        kernel.run()
        assert (process.exit_code, kernel.now_ns) == (0, 5 * SECOND)


def test_memory_stays_flat_over_killed_worlds() -> None:
    async def main() -> None:
        ballast = bytearray(200_000)
        try:
            await asyncio.gather(*(asyncio.sleep(100) for _ in range(20)), asyncio.to_thread(time.sleep, 100))
        finally:
            ballast.clear()

    def worlds(count: int) -> int:
        for seed in range(count):
            with open_kernel(Seed(seed)) as kernel:
                kernel.at(SECOND, kernel.start("service", main).kill)
                kernel.run()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    warm = worlds(50)
    assert worlds(200) - warm < 8_000, "200 worlds with 200 KB each must not leave 40 MB"


def test_it_runs_inside_a_real_running_loop_and_leaves_it_as_it_was() -> None:
    async def main() -> str:
        await asyncio.sleep(3600)
        return "simulated"

    async def outer() -> list[Any]:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        simulated = simulate(main)
        await asyncio.sleep(0)
        assert (asyncio.current_task(), asyncio.get_running_loop()) == (task, loop)
        return [run.result for run in simulated]

    assert asyncio.run(outer()) == ["simulated"]


def test_a_kernel_says_in_one_line_how_it_stands() -> None:
    assert repr(SimKernel(Seed(5))) == "SimKernel(seed 5, 0 s, step 0, 0 processes)"
