"""The worker threads of a store: everything that may block runs here, and nothing is left running after ``close``.

A job that was started runs to its end whatever becomes of who waits for it: cancelling leaves no half-done work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from pywats_reliability.errors import ServiceStoppingError

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)

THREADS = 4
CLOSE_TIMEOUT_S = 30.0


class Workers:
    """A few threads, named for their owner; they start with the first jobs."""

    def __init__(self, name: str, threads: int = THREADS) -> None:
        self.name, self.threads = name, threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._running: dict[asyncio.Future[Any], None] = {}
        self.is_closed = False

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``function`` returns, called in a thread. Cancelled, the call still runs to its end."""
        return await asyncio.shield(self.start(partial(function, *args, **kwargs)))

    def start(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Start ``job`` in a thread and return its future, which must not be cancelled."""
        if self.is_closed:
            raise ServiceStoppingError(f"work for {self.name}")
        future = asyncio.get_running_loop().run_in_executor(self._executor, job)
        self._running[future] = None
        future.add_done_callback(self._ended)
        return future

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Refuse more jobs, wait for the running ones and end the threads; false when one outlived ``timeout_s``."""
        self.is_closed = True
        await self.wait_idle(timeout_s)
        left = len(self._running)
        if left:
            log.error("%s: expected every job to end within %g s, found %d running", self.name, timeout_s, left)
        self._executor.shutdown(wait=not left, cancel_futures=True)
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
