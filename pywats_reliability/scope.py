"""Owns what a service opened and closes it in reverse order, whatever goes wrong on the way (H2).

* Every step has a deadline, and a share of the whole limit is kept for each step that is still to come: a step that
  fails or hangs keeps no other from running (H2.3), and the whole ends in time (C1.5).
* All errors are reported together, each under its step's name, in one ``CleanupError``.
* A scope closes once; concurrent and later callers share that one closing (C1.8). What is pushed while it closes is
  closed with the rest.
* A scope that is dropped open says so, with what it still owned and where it was made (H2.6).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol, TypeVar

from pywats_reliability.errors import CleanupError, ScopeClosedError, TaskEndedError

T = TypeVar("T")
Closer = Callable[[], Awaitable[object] | object]
log = logging.getLogger(__name__)


class TaskStarter(Protocol):
    """What the scope needs of the supervisor."""

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start ``work`` as a task called ``name``."""
        ...

    async def within(self, name: str, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """Return what ``work`` returns within ``limit_s``, or raise; work that ignores cancellation is left behind."""
        ...


class ResourceScope:
    """The owner of closers. A closer is a function, plain (then it must not block) or async."""

    def __init__(self, name: str, *, tasks: TaskStarter) -> None:
        self.name, self._tasks = name, tasks
        self._steps: list[tuple[str, Closer]] = []
        self._closing: asyncio.Task[CleanupError | None] | None = None
        self._closed = False
        self._made_at = _caller()

    def push(self, name: str, closer: Closer) -> None:
        """Own one more thing: ``closer`` is called when the scope closes, before all that were pushed earlier.

        Raises ``ScopeClosedError`` when the scope has closed already: the caller must close it then.
        """
        if self._closed:
            raise ScopeClosedError(self.name, name)
        self._steps.append((name, closer))

    async def enter(self, name: str, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter ``manager`` and own its exit; return what it gives.

        It is left from another task than it was entered in: nothing that is tied to a task (a TaskGroup, a timeout)
        belongs here. Raises ``ScopeClosedError`` before it enters anything.
        """
        if self._closed:
            raise ScopeClosedError(self.name, name)
        value = await manager.__aenter__()
        try:
            self.push(name, partial(manager.__aexit__, None, None, None))
        except ScopeClosedError:
            await manager.__aexit__(None, None, None)  # It closed while the manager was being entered.
            raise
        return value

    async def close(self, *, step_timeout_s: float = 5.0, limit_s: float | None = None) -> None:
        """Close everything, each step within ``step_timeout_s`` and all of them within ``limit_s`` (None: no more).

        Raises ``CleanupError`` with every step's error when all have run. Cancelling a caller does not stop the
        closing; the limits of the first call hold.
        """
        if self._closing is None:
            self._closing = self._tasks.spawn(f"close {self.name}", self._close(step_timeout_s, limit_s))
        if (error := await asyncio.shield(self._closing)) is not None:
            raise CleanupError(error.owner, error.failures)  # Each caller its own: a raised one collects tracebacks.

    async def _close(self, step_timeout_s: float, limit_s: float | None) -> CleanupError | None:
        loop = asyncio.get_running_loop()
        end = None if limit_s is None else loop.time() + limit_s
        failures: list[tuple[str, Exception]] = []
        while self._steps:
            share_s = step_timeout_s if end is None else max(0.0, end - loop.time()) / len(self._steps)
            name, closer = self._steps.pop()
            if (error := await self._run(name, closer, min(step_timeout_s, share_s))) is not None:
                failures.append((name, error))
        self._closed = True
        return CleanupError(f"closing {self.name}", failures) if failures else None

    async def _run(self, name: str, closer: Closer, limit_s: float) -> Exception | None:
        try:
            await self._tasks.within(f"close {name}", _call(closer), limit_s)
        except asyncio.CancelledError:  # Only a loop that is being torn down cancels this task: the rest still closes.
            log.warning("closing %s: step %s was cut short", self.name, name)
            return TaskEndedError(f"close {name}", "was cancelled")
        except Exception as error:
            log.exception("closing %s: step %s failed; the other steps go on", self.name, name)
            return error
        return None

    def __del__(self) -> None:
        if self._steps and self._closing is None:
            names = ", ".join(name for name, _ in self._steps)
            words = f"scope {self.name} was dropped open: it still owns {names}; it was made at {self._made_at}"
            warnings.warn(words, ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "closing" if self._closing else "open"
        return f"ResourceScope({self.name}, {state}, {len(self._steps)} steps)"


async def _call(closer: Closer) -> None:
    result = closer()
    if inspect.isawaitable(result):
        await result


def _caller() -> str:
    """Return the place outside this module that made the scope."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "an unknown place"
