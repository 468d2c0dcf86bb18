"""One world after the other in one interpreter: none sees what was before it, and nothing of it is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

from chaos.explore.worker import play_trial
from chaos.seed import Seed
from chaos.sim import Script, run_seed, simulate
from chaos.sim.kernel import SimKernel
from chaos.sim.locks import SimLock
from chaos.sim.simulate import Setting, open_machine
from chaos.trial import parse_trial
from chaos.verdict import Verdict

STORY = "C1.6/one_report_and_a_crash seed=0 policy=fifo plan=none"
AN_UPLOAD_IS_CUT_OFF = "C1.6/kill_when_the_request_was_read seed=5"
THE_GUARD_IS_NOT_YET_RUNNING = f"{STORY} step=power@418.1"
LATER_STEPS = [f"{STORY} step={step}" for step in ("power@418.1", "kill@613.2", "kill@700")]
LATE = """
import threading
import time
from os import stat
from time import monotonic

LOCK = threading.Lock()
LOCAL = threading.local()
"""


def kernels() -> int:
    for _ in range(3):  # What the first finds may be finalized by the second.
        gc.collect()
    return sum(isinstance(thing, SimKernel) for thing in gc.get_objects())


@pytest.mark.filterwarnings("ignore")  # A warning that is kept keeps what it is about.
@pytest.mark.parametrize("line", [STORY, AN_UPLOAD_IS_CUT_OFF, THE_GUARD_IS_NOT_YET_RUNNING])
def test_nothing_keeps_a_world_alive_when_it_is_over(line: str) -> None:
    """A killed process leaves tasks, threads and locks in the registers of libraries."""
    before = kernels()
    play_trial(parse_trial(line))
    assert kernels() == before


@pytest.mark.parametrize("line", LATER_STEPS)
def test_a_run_is_the_same_whatever_was_played_before_it(line: str) -> None:
    others = [STORY, *LATER_STEPS]
    digests = set()
    for other in others:
        play_trial(parse_trial(other))
        digests.add(play_trial(parse_trial(line)).digest)
    assert len(digests) == 1


def world_with(*mains: Callable[[], Any]) -> list[Any]:
    """Run several processes in one world and return their results. Raises what ended one of them."""
    with open_machine(Seed(1), Setting(policy="fifo")) as kernel:
        processes = [kernel.start(f"process {number}", main) for number, main in enumerate(mains)]
        kernel.run()
        for process in processes:
            if process.error is not None:
                raise process.error
        return [process.result for process in processes]


def test_a_descriptor_is_not_closed_because_another_process_locked_its_file() -> None:
    """A library that sees another pid closes what is left of a parent: here that would be somebody else's file."""

    async def writes() -> str:
        descriptor = os.open("/sim/shared", os.O_CREAT | os.O_WRONLY)
        await asyncio.sleep(2)
        filelock.FileLock("/sim/another").acquire()
        os.write(descriptor, b"still open")
        return Path("/sim/shared").read_text()  # noqa: ASYNC240 - on a simulated disk, as below

    async def locks() -> bool:
        await asyncio.sleep(1)
        taken = filelock.FileLock("/sim/shared")
        taken.acquire()
        await asyncio.sleep(2)
        return taken.is_locked

    assert world_with(writes, locks) == ["still open", True]


def test_what_a_library_keeps_for_its_process_is_as_it_was_before_the_world() -> None:
    kept = vars(filelock)["_api"]._FORK_STATE
    before = dict(vars(kept))

    def takes_a_lock() -> None:
        with filelock.FileLock("/sim/file"):
            assert vars(kept)["pid"] != before["pid"]

    simulate(takes_a_lock)
    assert vars(kept) == before


@pytest.fixture
def late_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that nobody has loaded."""
    name = "loaded_in_a_world"
    (tmp_path / f"{name}.py").write_text(LATE)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_a_module_that_a_process_loads_is_real_and_served_like_any_other(late_module: str) -> None:
    async def main() -> tuple[type, str, float, bool]:
        module: Any = __import__(late_module)
        Path("/sim/file").touch()  # noqa: ASYNC240 - as above
        began = module.monotonic()
        await asyncio.sleep(3600)
        loader = type(module.__spec__.loader).__name__
        return type(module.LOCK), loader, module.monotonic() - began, module.stat("/sim/file").st_size == 0

    kind, loader, took_s, is_there = simulate(main)[0].result
    assert (kind, loader, took_s, is_there) == (SimLock, "SourceFileLoader", 3600, True)
    module: Any = sys.modules[late_module]
    assert type(module.LOCK) is type(threading.Lock())
    assert module.monotonic is time.monotonic
    assert type(module.LOCAL) is threading.local
    assert simulate(main)[0].result == (kind, loader, took_s, is_there)


def test_a_run_that_loads_a_module_is_like_one_that_finds_it_loaded(late_module: str) -> None:
    def uses_it() -> None:
        module: Any = __import__(late_module)
        for _ in range(20):
            with module.LOCK:
                module.LOCAL.count = getattr(module.LOCAL, "count", 0) + 1

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(uses_it) for _ in range(3)))

    first, second = (simulate(main, seed=3)[0].digest for _ in range(2))
    assert first == second


class Asked:
    """A finder of modules that finds nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, name: str, *_: object) -> None:
        self.names.append(name)


def test_a_module_that_is_not_installed_is_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [asked, *sys.meta_path])

    def looks_three_times() -> list[str]:
        found = []
        for _ in range(3):
            with pytest.raises(ModuleNotFoundError) as missed:
                __import__("optional_and_missing")
            found.append(f"{missed.value.name}: {missed.value}")
        return found

    first, second = (simulate(looks_three_times)[0].result for _ in range(2))
    assert first == second == ["optional_and_missing: No module named 'optional_and_missing'"] * 3
    assert asked.names.count("optional_and_missing") == 1


def test_a_module_that_is_installed_between_two_worlds_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "installed_later", raising=False)

    def is_there() -> bool:
        try:
            __import__("installed_later")
        except ModuleNotFoundError:
            return False
        return True

    assert not simulate(is_there)[0].result
    (tmp_path / "installed_later.py").touch()
    assert simulate(is_there)[0].result


def test_a_process_killed_as_it_starts_a_thread_keeps_no_other_process_from_starting_one() -> None:
    """Seed 500150 of a campaign: the lock of all pools died with its owner, and the tester waited for it for ever."""
    trial = parse_trial("C1.6/power_is_lost_right_after_an_acceptance seed=500150 policy=portfolio")
    result = play_trial(trial).result
    assert result.error == ""
    assert result.verdict is not Verdict.BROKEN


def test_a_callback_that_asks_for_itself_again_starves_no_task_in_the_calmest_schedule() -> None:
    async def main() -> int:
        loop, count, done = asyncio.get_running_loop(), [0], asyncio.Event()

        def again() -> None:
            count[0] += 1
            if not done.is_set():
                loop.call_soon(again)

        async def task() -> None:
            await asyncio.sleep(0)
            done.set()

        again()
        await asyncio.gather(task(), task())
        return count[0]

    calm = Setting(policy="pct", script=Script(calmed=("all",)))
    assert run_seed(main, 1, calm).result < 10_000
