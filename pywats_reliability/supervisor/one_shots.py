"""Tasks for one piece of work each, with a deadline that holds even against work that ignores its cancellation.

* Work that is over its limit is cancelled; if it does not end then either, it is left behind and named (C1.4).
* What was left behind stays referenced, and what it may still raise is logged when it comes (C2.10).
* ``SystemExit`` and ``KeyboardInterrupt`` would tear through the event loop; raised inside a task they are a failure of
  that task (C2.1).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pywats_reliability.errors import StepTimeoutError, TaskEndedError

T = TypeVar("T")
CANCEL_SLICE_MAX_S = 1.0
log = logging.getLogger(__name__)


class OneShots:
    """The one-shot tasks of a supervisor."""

    def __init__(self) -> None:
        self._alive: dict[asyncio.Task[Any], None] = {}
        self._unread: dict[asyncio.Task[Any], None] = {}  # Nobody waits for their outcome any more.

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start ``work`` as a task called ``name``; who starts it awaits it, and gets what it returns or raises."""
        whole = guarded(name, lambda: work)
        task = asyncio.create_task(whole, name=name)  # noqa: TID251 - this is the place that starts tasks
        self._alive[task] = None
        task.add_done_callback(self._ended)
        task.add_done_callback(lambda _: work.close())  # Cancelled before its first step, it was never awaited.
        return task

    async def within(self, name: str, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """Return what ``work`` returns, or raise what it raises, within ``limit_s`` in all.

        The last tenth of the limit (at most a second) is for the cancellation: work that has not ended by then is
        cancelled, and ``StepTimeoutError`` is raised; work that ignores that is left behind. Cancelling the caller
        cancels the work, waits as long for it, and passes through.
        """
        task = self.spawn(name, work)
        slice_s = min(CANCEL_SLICE_MAX_S, limit_s / 10)
        try:
            await asyncio.wait([task], timeout=limit_s - slice_s)
        except asyncio.CancelledError:
            await self._cancel(task, slice_s)
            raise
        if task.done():
            if task.cancelled():
                raise TaskEndedError(name, "was cancelled though nobody asked")
            return task.result()
        await self._cancel(task, slice_s)
        raise StepTimeoutError(name, limit_s, left_behind=not task.done())

    def left_behind(self) -> tuple[str, ...]:
        """Return the names of those that were cancelled and still run."""
        return tuple(task.get_name() for task in self._unread)

    async def _cancel(self, task: asyncio.Task[Any], slice_s: float) -> None:
        self._unread[task] = None
        if task.done():
            self._ended(task)
            return
        task.cancel()
        await asyncio.wait([task], timeout=slice_s)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._alive.pop(task, None)
        if task in self._unread:
            del self._unread[task]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("%s failed after it had been cancelled", task.get_name(), exc_info=error)

    def __repr__(self) -> str:
        return f"OneShots({len(self._alive)} running, {len(self._unread)} left behind)"


async def guarded(name: str, run: Callable[[], Awaitable[T]]) -> T:
    """Call ``run`` and await it; what is no ordinary exception, such as an attempt to end the process, becomes one."""
    try:
        return await run()
    except (Exception, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        raise TaskEndedError(name, f"raised {type(error).__name__}, which is for ending a process") from error
