"""The event loop's thread pools: ``run_in_executor`` and ``to_thread``, on threads of the simulated process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from chaos.sim.verdicts import NotSimulatedError

if TYPE_CHECKING:
    from chaos.sim.process import SimProcess


class LoopExecutor:
    """The default pool, made with its first job, and whatever pools the program brings along."""

    process: SimProcess

    def __init__(self) -> None:
        self._default_executor: ThreadPoolExecutor | None = None
        self._is_executor_shut_down = False

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Call ``func`` in a thread and return the future of what it returns."""
        loop: Any = self
        loop._check_closed()  # noqa: SLF001 - the class this is a part of
        if loop.kernel.current is None:
            raise NotSimulatedError("loop.run_in_executor() while the loop does not run", "call it in a coroutine")
        if executor is None:
            if self._is_executor_shut_down:
                raise RuntimeError("Executor shutdown has been called")
            if self._default_executor is None:
                self._default_executor = ThreadPoolExecutor(thread_name_prefix="asyncio")
            executor = self._default_executor
        job = executor.submit(func, *args)
        return asyncio.wrap_future(job, loop=loop)

    def set_default_executor(self, executor: Any) -> None:
        """Let ``executor`` be what ``to_thread`` uses."""
        if not isinstance(executor, ThreadPoolExecutor):
            raise TypeError("executor must be ThreadPoolExecutor instance")
        self._default_executor = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait until the default pool's threads have ended, for ``timeout`` seconds at most."""
        loop: Any = self
        self._is_executor_shut_down = True
        if (executor := self._default_executor) is None:
            return
        ended: asyncio.Future[None] = loop.create_future()
        thread = threading.Thread(target=_shut_down, args=(executor, loop, ended), name="executor shutdown")
        thread.start()
        try:
            async with asyncio.timeout(timeout):
                await ended
        except TimeoutError:
            executor.shutdown(wait=False)

    def close_executor(self) -> None:
        """Refuse further jobs and wait for nothing."""
        self._is_executor_shut_down = True
        if (executor := self._default_executor) is not None:
            self._default_executor = None
            executor.shutdown(wait=False)


def _shut_down(executor: Executor, loop: Any, ended: asyncio.Future[None]) -> None:
    executor.shutdown(wait=True)
    if not loop.is_closed():
        loop.call_soon_threadsafe(_settle, ended)


def _settle(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
