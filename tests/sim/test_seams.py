"""Clocks, randomness and the guard: what code in the simulation gets instead of the real world, and only it."""

from __future__ import annotations

import ast
import asyncio
import os
import random
import subprocess
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic as monotonic_by_name
from typing import Any

import pytest

from chaos.seed import Seed
from chaos.sim import Clock, EscapeError, NotSimulatedError, SimKernel, SimulationFailedError, simulate

SECOND = 1_000_000_000


def test_the_wall_clock_jumps_drifts_and_stands_still_while_the_monotonic_one_goes_on() -> None:
    clock = Clock()
    seen: list[tuple[float, float]] = []

    async def main() -> None:
        for _ in range(5):
            await asyncio.sleep(10)
            seen.append((time.time() - began, time.monotonic()))

    with SimKernel(Seed(1), seams=[clock]) as kernel:
        began = clock.wall.now_ns() / 1e9
        kernel.at(15 * SECOND, lambda: clock.wall.jump(-3600))
        kernel.at(25 * SECOND, lambda: clock.wall.drift(100_000))
        kernel.at(35 * SECOND, clock.wall.freeze)
        kernel.at(45 * SECOND, clock.wall.thaw)
        kernel.start("main", main)
        kernel.run()
    assert [monotonic for _, monotonic in seen] == [10, 20, 30, 40, 50]
    assert [round(wall, 3) for wall, _ in seen] == [10, -3580, -3569.5, -3564, -3559 + 0.5]


def test_every_clock_is_the_worlds_also_one_imported_by_name_and_the_real_ones_come_back() -> None:
    async def main() -> list[Any]:
        await asyncio.sleep(60)
        return [time.monotonic(), monotonic_by_name(), time.perf_counter_ns(), datetime.now(UTC).isoformat()]

    before = time.time()
    assert simulate(main)[0].result == [60, 60, 60 * SECOND, "2026-01-01T00:01:00+00:00"]
    assert 0 <= time.time() - before < 60
    assert monotonic_by_name() is not None


def randomness() -> list[Any]:
    return [os.urandom(4), uuid.uuid4(), random.random(), random.Random().random(), random.SystemRandom().random()]


def test_randomness_is_the_seeds() -> None:
    first, again, other = (simulate(randomness, seed=seed)[0].result for seed in (1, 1, 2))
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))
    assert randomness() != randomness()


def test_a_restarted_process_does_not_draw_the_same_again() -> None:
    def main() -> tuple[Any, Any]:
        return os.urandom(8), os.urandom(8)

    assert len(set(simulate(main)[0].result)) == 2


ESCAPES: dict[str, Callable[[], Any]] = {
    "real disk": lambda: open("/var/tmp/escaped", "w"),  # noqa: SIM115 - it must not be opened
    "real process": lambda: subprocess.run(["true"], check=False),
}


def test_what_is_no_code_may_be_parsed() -> None:
    """Tracebacks parse parts of lines; the interpreter looks for the faulty one in a file by the name that code has."""

    async def main() -> None:
        with pytest.raises(SyntaxError):
            ast.parse("what follows is")

    simulate(main)


@pytest.mark.parametrize("what", ["real disk", "real process"])
def test_a_reach_for_the_real_world_is_an_error_that_names_the_place(what: str) -> None:
    with pytest.raises(SimulationFailedError, match=f"{what}.*test_seams.py"):
        simulate(ESCAPES[what])


def test_an_escape_that_the_program_swallows_is_found_out_all_the_same() -> None:
    def main() -> None:
        try:
            os.listdir("/var/tmp")
        except (OSError, EscapeError):
            return

    with pytest.raises(SimulationFailedError) as caught:
        simulate(main)
    assert isinstance(caught.value.error, EscapeError | OSError)


def test_what_the_loop_does_not_have_says_its_name() -> None:
    async def main() -> None:
        await asyncio.create_subprocess_exec("true")

    with pytest.raises(SimulationFailedError, match=r"loop\.subprocess_exec\(\) is not simulated") as caught:
        simulate(main)
    assert isinstance(caught.value.error, NotSimulatedError)


def test_every_public_method_of_an_event_loop_is_there_or_refuses_by_name() -> None:
    async def main() -> list[str]:
        loop = type(asyncio.get_running_loop())
        return [name for name, method in vars(asyncio.AbstractEventLoop).items() if getattr(loop, name) is method]

    left = simulate(main)[0].result
    assert all(name.startswith("__") for name in left), left
