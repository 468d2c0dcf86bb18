"""Threads for everything that may block, each job with its name; nothing is left running after ``close``.

* A job that was started runs to its end whatever becomes of who waits for it: cancelling leaves no half-done work.
* A thread that blocks for ever cannot be stopped. It holds up nobody: it is named, with what it does and since when
  (C1.4).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeAlias, TypeVar

from pywats_reliability.errors import ServiceStoppingError

P = ParamSpec("P")
T = TypeVar("T")
Doing: TypeAlias = str | Callable[[], str]
"""What a job does, in words that say of which report; a function where most jobs are never asked."""
log = logging.getLogger(__name__)

THREADS = 4
CLOSE_TIMEOUT_S = 30.0


class Workers:
    """A few threads, named for their owner; they start with the first jobs."""

    def __init__(self, name: str, threads: int = THREADS) -> None:
        self.name, self.threads = name, threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._running: dict[asyncio.Future[Any], tuple[Doing, float]] = {}
        self.is_closed = False

    async def run(self, doing: Doing, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``function`` returns, called in a thread. Cancelled, the call still runs to its end."""
        return await asyncio.shield(self.start(partial(function, *args, **kwargs), doing))

    def start(self, job: Callable[[], T], doing: Doing) -> asyncio.Future[T]:
        """Start ``job`` in a thread and return its future, which must not be cancelled."""
        if self.is_closed:
            raise ServiceStoppingError(f"work for {self.name}")
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, job)
        self._running[future] = doing, loop.time()
        future.add_done_callback(self._ended)
        return future

    def under_way(self) -> tuple[str, ...]:
        """Return what each job that has not ended does and for how long it has been at it, the longest first."""
        now = asyncio.get_running_loop().time()
        return tuple(
            f"thread of {self.name}: {doing if isinstance(doing, str) else doing()}, for {now - since:.1f} s"
            for doing, since in self._running.values()
        )

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Refuse more jobs, wait for the running ones and end the threads; false when one outlived ``timeout_s``."""
        self.is_closed = True
        await self.wait_idle(timeout_s)
        self._executor.shutdown(wait=not self._running, cancel_futures=True)
        await self.wait_idle(0.0)  # What had not begun is cancelled by that, and is not left behind.
        left = self.under_way()
        if left:
            log.error("closed, and left behind: %s", "; ".join(left))
        return not left

    async def wait_idle(self, timeout_s: float) -> None:
        """Return when no job runs any more, or after ``timeout_s``."""
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=timeout_s)

    def _ended(self, future: asyncio.Future[Any]) -> None:
        del self._running[future]
        if not future.cancelled():
            future.exception()  # Who started it hears of it; here it only counts as retrieved.

    def __repr__(self) -> str:
        return f"Workers({self.name}, {len(self._running)} running, {self.threads} threads)"
