"""What is done to a running process takes effect, is written down, and is undone; and what it says when it hangs."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.history import History
from chaos.live.hang_report import hang_report
from chaos.live.process import ChildProcess
from chaos.live.process_faults import ProcessFaults, Reins
from chaos.live.run_folder import RunFolder
from chaos.live.wall_clock import WallClock
from chaos.live.watchdog import Watchdog

pytestmark = pytest.mark.asyncio
LIMIT_S = 20
PROGRAM = """
import asyncio, sys, time

def obey(words):
    match words:
        case ["open"]:
            return "opened" if open(__file__) else ""
        case ["write", size]:
            with open("written", "wb") as file:
                file.write(bytes(int(size)))
            return "wrote"
        case ["allocate", size]:
            return f"allocated {len(bytearray(int(size)))}"
        case ["time"]:
            return str(time.time())
        case ["block"]:
            print("blocking", flush=True)
            time.sleep(60)
    return "?"

async def waits_deep(event):
    await event.wait()

async def main():
    print("{}", flush=True)
    reader = asyncio.StreamReader()
    fifo = open("orders", "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), fifo)
    waiting = asyncio.create_task(waits_deep(asyncio.Event()), name="the waiting one")
    while line := await reader.readline():
        try:
            print(obey(line.decode().split()), flush=True)
        except OSError as error:
            print(error.strerror, flush=True)
        except MemoryError:
            print("no memory", flush=True)

asyncio.run(main())
"""


class Stage:
    """A child that obeys orders from a pipe."""

    def __init__(self, watchdog: Watchdog, folder: RunFolder) -> None:
        self.watchdog, self.folder = watchdog, folder
        self.history = History(lambda: 0)
        self.stacks = folder.file("stacks")

    async def start(self, clock: WallClock | None = None) -> ProcessFaults:
        self.folder.file("program.py").write_text(PROGRAM)
        os.mkfifo(self.folder.file("orders"))
        self.child = await ChildProcess.start(
            [sys.executable, "-m", "program"],
            watchdog=self.watchdog,
            log=self.folder.file("log"),
            cwd=self.folder.path,
            env={
                "PYTHONPATH": f"{self.folder.path}:{Path(__file__).parents[2]}",
                **(clock.environment if clock else {}),
            },
            announces=True,
            stacks=self.stacks,
        )
        await self.child.announced(LIMIT_S)
        self.orders = os.open(self.folder.file("orders"), os.O_WRONLY)
        return ProcessFaults(Reins(self.child, self.folder, self.watchdog, self.history))

    async def order(self, order: str) -> str:
        before = len(self.child.log_tail(1000))
        os.write(self.orders, f"{order}\n".encode())

        async def said() -> str:
            return "".join(self.child.log_tail(1000)[before:])

        return await self.child.ready(said, LIMIT_S, what=f"answering {order}")


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    with Watchdog.start() as watchdog, RunFolder.create(watchdog) as folder:
        opened = Stage(watchdog, folder)
        yield opened
        os.close(opened.orders)
        await opened.child.close()


async def test_without_descriptors_nothing_can_be_opened_and_afterwards_it_can(stage: Stage) -> None:
    faults = await stage.start()
    async with faults.without_descriptors():
        assert await stage.order("open") == "Too many open files"
    assert await stage.order("open") == "opened"
    assert [event.name for event in stage.history.events] == ["process.limit_nofile"] * 2


async def test_a_limit_on_file_size_holds_while_the_block_lasts(stage: Stage) -> None:
    faults = await stage.start()
    before = resource.prlimit(stage.child.pid, resource.RLIMIT_FSIZE)
    async with faults.limited(FSIZE=100_000):
        assert await stage.order("write 200000") == "File too large"
    assert await stage.order("write 200000") == "wrote"
    assert resource.prlimit(stage.child.pid, resource.RLIMIT_FSIZE) == before


async def test_without_memory_an_allocation_fails_and_afterwards_it_works(stage: Stage) -> None:
    faults = await stage.start()
    async with faults.without_memory(spare_bytes=20_000_000):
        assert await stage.order("allocate 200000000") == "no memory"
        assert await stage.order("allocate 1000000") == "allocated 1000000"
    assert await stage.order("allocate 200000000") == "allocated 200000000"
    assert [event.name for event in stage.history.events] == ["process.limit_as"] * 2


async def test_a_paused_process_stands_still_and_goes_on(stage: Stage) -> None:
    faults = await stage.start()
    async with faults.paused():
        report = await hang_report(stage.child, stage.stacks, stage.history)
    assert "no thread answered: the process stands still" in report
    assert "last fault: process.pause" in report
    assert await stage.order("open") == "opened"


async def test_a_hang_report_names_the_await_of_each_task(stage: Stage) -> None:
    await stage.start()
    await stage.order("open")  # From here on the task waits.
    report = await hang_report(stage.child, stage.stacks, stage.history)
    assert re.search(r"task the waiting one\n  program\.py:\d+ in waits_deep\n  locks\.py:\d+ in Event\.wait\n", report)
    assert re.search(r"Event\.wait\n  awaits <Future pending", report)
    assert re.search(r"wall clock: 20\d\d-\d\d-\d\dT[\d:.]+\+00:00, ", report)
    assert "orders" in report


async def test_a_blocked_loop_shows_its_thread_at_least(stage: Stage) -> None:
    await stage.start()
    assert await stage.order("block") == "blocking"
    report = await hang_report(stage.child, stage.stacks, stage.history)
    assert 'program.py", line 18 in obey' in report
    assert "task the waiting one" in report  # Python runs its signal handler in the middle of a sleep.


async def test_a_process_that_has_ended_is_told_as_such(stage: Stage) -> None:
    await stage.start()
    stage.child.kill()
    await stage.child.exited(LIMIT_S)
    report = await hang_report(stage.child, stage.stacks, stage.history)
    assert report.startswith("killed by SIGKILL")
    assert "it has ended: no thread and no task of it is left" in report


@pytest.mark.needs("faketime")
async def test_the_wall_clock_jumps_the_monotonic_does_not_and_nothing_is_left_in_shared_memory(stage: Stage) -> None:
    clock = WallClock(stage.folder.file("clock"))
    await stage.start(clock)
    assert [name for name in os.listdir("/dev/shm") if str(stage.child.pid) in name]
    before = float(await stage.order("time"))
    clock.jump(-86_400)
    assert float(await stage.order("time")) - before == pytest.approx(-86_400, abs=60)
    async with asyncio.timeout(LIMIT_S):
        await stage.order("open")
    stage.child.kill()
    await stage.child.close()
    assert not [name for name in os.listdir("/dev/shm") if str(stage.child.pid) in name]
