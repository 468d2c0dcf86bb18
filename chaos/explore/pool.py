"""Worker processes for simulated campaigns: their hash seed is pinned, and they are gone when the pool is left."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
HASH_SEED = "PYTHONHASHSEED"
END_LIMIT_S = 10.0
CAN_GIVE_WAY = hasattr(os, "nice")
LOWEST_PRIORITY = 19
TASKS_PER_WORKER = 200
"""A worker is exchanged after so many orders: whatever some library keeps for ever stays small."""


class Pool:
    """At most ``jobs`` workers, started when first needed; ``close`` ends them, and so does the parent's death.

    ``gives_way``: whatever else wants a core has it first, where the system has priorities (see ``CAN_GIVE_WAY``).
    """

    def __init__(self, jobs: int, *, gives_way: bool = False) -> None:
        self.jobs, self.gives_way = jobs, gives_way
        self._executor: ProcessPoolExecutor | None = None

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``function`` returns, called in a worker. Cancelled, the workers are ended with the pool."""
        if self._executor is None:
            self._executor = _executor(self.jobs, self.gives_way)
        with _pinned_hash_seed():
            future = self._executor.submit(function, *args, **kwargs)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the workers, also in the middle of what they play; harmless to repeat."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        workers = list((getattr(executor, "_processes", None) or {}).values())
        executor.shutdown(wait=False, cancel_futures=True)
        for worker in workers:  # What they may still be playing nobody wants any more.
            worker.kill()
        for worker in workers:
            worker.join(END_LIMIT_S)

    def __repr__(self) -> str:
        return f"Pool({self.jobs} jobs, {'started' if self._executor else 'not started'})"


def _executor(jobs: int, gives_way: bool) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_begin, initargs=(gives_way,), max_tasks_per_child=TASKS_PER_WORKER
    )


def _begin(gives_way: bool) -> None:
    """Leave Ctrl-C to the parent, which ends the workers; and end with it, should it be killed."""
    if gives_way and CAN_GIVE_WAY:
        os.nice(LOWEST_PRIORITY)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.unraisablehook = _unraisable
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True, name="parent watch").start()


def _unraisable(told: sys.UnraisableHookArgs) -> None:
    """Pass by what coroutines of killed processes say when their remains are collected, long after their loop."""
    if str(told.exc_value) != "no running event loop":
        sys.__unraisablehook__(told)


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


@contextmanager
def _pinned_hash_seed() -> Iterator[None]:
    before = os.environ.get(HASH_SEED)
    os.environ[HASH_SEED] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[HASH_SEED]
        else:
            os.environ[HASH_SEED] = before
