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

from chaos.explore import Pool
from chaos.explore.pool import CAN_GIVE_WAY, LOWEST_PRIORITY

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


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=LIMIT_S)
    return not [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def children_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]


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
