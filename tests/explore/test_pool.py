"""The workers of a campaign: their hash seed is pinned, and they are gone whenever the campaign is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from chaos.errors import UsageError
from chaos.explore import Pool
from chaos.explore.pool import CAN_GIVE_WAY, WorkerDiedError
from chaos.explore.worker_process import LOWEST_PRIORITY
from chaos.trial import ADVICE, parse_trial

LIMIT_S = 15.0
PARENT = """
import asyncio, os, sys, time
from chaos.explore import Pool

async def main():
    pool = Pool(2)
    try:
        print(await pool.run(os.getpid), flush=True)
        await asyncio.gather(pool.run(time.sleep, 60), pool.run(time.sleep, 60))
    finally:
        pool.close()

if __name__ == "__main__":
    asyncio.run(main())
"""

DYING = """
import os, signal, stat, struct

def half_an_answer():
    for number in range(3, 30):  # Whichever of them leads to the parent.
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.write(number, struct.pack("!Q", 1000) + b"half of")
        except OSError:
            pass
    os.kill(os.getpid(), signal.SIGKILL)
"""
IN_MID_ANSWER = """
import asyncio
from chaos.explore import Pool
from dying import half_an_answer

async def main():
    pool = Pool(1)
    try:
        await pool.run(half_an_answer)
    except Exception as error:
        print(error, flush=True)
    finally:
        pool.close()

if __name__ == "__main__":
    asyncio.run(main())
"""
IN_MID_ORDER = """
import asyncio, os, signal
from chaos.explore import Pool

async def main():
    pool = Pool(1)
    try:
        os.kill(await pool.run(os.getpid), signal.SIGSTOP)
        asyncio.ensure_future(pool.run(len, b"more than any pipe takes" * 1_000_000))
        await asyncio.sleep(0)
    finally:
        pool.close()
    print("closed", flush=True)

if __name__ == "__main__":
    asyncio.run(main())
"""


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=LIMIT_S)
    return not [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def children_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if "worker_process" in " ".join(child.cmdline())]


def until(holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < ends_at, "not in time"
        threading.Event().wait(0.02)


def test_the_hash_seed_of_workers_is_pinned_and_ours_stays_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    pool = Pool(1)
    try:
        assert asyncio.run(pool.run(os.getenv, "PYTHONHASHSEED")) == "0"
    finally:
        pool.close()
    assert "PYTHONHASHSEED" not in os.environ


@pytest.mark.skipif(not CAN_GIVE_WAY, reason="the system has no priorities that a process may lower")
def test_workers_that_give_way_have_the_lowest_priority_and_we_keep_ours() -> None:
    before, pool = os.nice(0), Pool(1, gives_way=True)
    try:
        assert asyncio.run(pool.run(os.nice, 0)) == LOWEST_PRIORITY
    finally:
        pool.close()
    assert os.nice(0) == before


def test_after_close_no_worker_is_left_even_in_the_middle_of_its_work() -> None:
    async def begin() -> list[psutil.Process]:
        worker = psutil.Process(await pool.run(os.getpid))
        working = asyncio.ensure_future(pool.run(time.sleep, 60))  # noqa: TID251 - cancelled just below
        await asyncio.sleep(0)
        working.cancel()
        return [worker]

    pool = Pool(1)
    try:
        workers = asyncio.run(begin())
    finally:
        pool.close()
    assert gone(workers)
    pool.close()  # Harmless to repeat.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_workers_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline().strip().isdigit()
            known = psutil.Process(parent.pid)
            until(lambda: len(children_of(known)) == 2)
            workers = children_of(known)
            parent.send_signal(number)
            parent.wait(LIMIT_S)
            assert gone(workers)
        finally:
            parent.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing ends a process there in the middle of a write")
@pytest.mark.parametrize(
    ("program", "said"),
    [(IN_MID_ANSWER, "expected an answer of worker 1, found that it has died"), (IN_MID_ORDER, "closed")],
)
def test_a_worker_that_dies_in_mid_answer_or_mid_order_holds_up_nothing(
    tmp_path: Path, program: str, said: str
) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    (tmp_path / "parent.py").write_text(program)
    command = [sys.executable, str(tmp_path / "parent.py")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=3 * LIMIT_S, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, said), ended.stderr


def test_after_a_worker_has_died_another_one_plays_on() -> None:
    async def play() -> tuple[int, int]:
        first = await pool.run(os.getpid)
        with pytest.raises(WorkerDiedError, match="worker 1"):
            await pool.run(os._exit, 3)
        return first, await pool.run(os.getpid)

    pool = Pool(1)
    try:
        first, second = asyncio.run(play())
    finally:
        pool.close()
    assert first != second


def test_an_error_travels_with_its_data_and_its_place() -> None:
    pool = Pool(1)
    try:
        with pytest.raises(UsageError) as refused:
            asyncio.run(pool.run(parse_trial, "no line"))
    finally:
        pool.close()
    assert refused.value.advice == ADVICE
    assert any("in parse_trial" in note for note in refused.value.__notes__)


def test_what_a_run_prints_and_what_it_raises_to_end_a_process_do_no_harm() -> None:
    async def play() -> int:
        await pool.run(print, "not an answer")
        with pytest.raises(RuntimeError, match="SystemExit"):
            await pool.run(sys.exit, 3)
        return await pool.run(len, "four")

    pool = Pool(1)
    try:
        assert asyncio.run(play()) == 4
    finally:
        pool.close()


def test_workers_are_exchanged_after_so_many_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaos.explore.pool.TASKS_PER_WORKER", 2)

    async def play() -> list[int]:
        return [await pool.run(os.getpid) for _ in range(5)]

    pool = Pool(1)
    try:
        pids = asyncio.run(play())
    finally:
        pool.close()
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 1]
