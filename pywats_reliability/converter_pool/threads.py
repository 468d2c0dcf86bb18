"""Calls that may block, in threads of their own, with a limit; what outlives it is named until it ends (C1.4).

A thread cannot be stopped. A call that is given up, or whose caller is cancelled, goes on to its end: what it does is
whole, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from pywats_reliability.errors import ConversionTimeoutError

T = TypeVar("T")


class ThreadStarter(Protocol):
    """What starts jobs in threads; ``workers.Workers`` is one."""

    def start(self, job: Callable[[], T], doing: str, /) -> asyncio.Future[T]:
        """Start ``job``, which is ``doing`` that, and return its future, which is never cancelled."""
        ...

    async def close(self, timeout_s: float = ..., /) -> bool:
        """Refuse more jobs and end the threads; false when a job outlived ``timeout_s``."""
        ...


class Threads:
    """Calls in the threads of a starter, each with a limit."""

    def __init__(self, starter: ThreadStarter) -> None:
        self._starter = starter
        self._overdue: dict[asyncio.Future[Any], str] = {}

    @property
    def overdue(self) -> tuple[str, ...]:
        """The names of calls that nobody waits for any more and that still run."""
        return tuple(self._overdue.values())

    async def call(
        self,
        name: str,
        job: Callable[[], T],
        limit_s: float,
        *,
        began: Callable[[asyncio.Future[T]], None] | None = None,
    ) -> T:
        """Return what ``job`` returns, or raise what it raises, within ``limit_s``.

        Raises ``ConversionTimeoutError``; then, and when the caller is cancelled, the job goes on without anybody.
        ``began`` is told the job's future.
        """
        future = self._starter.start(job, name)
        if began is not None:
            began(future)
        try:
            await asyncio.wait([future], timeout=limit_s)
        finally:
            if not future.done():
                self._overdue[future] = name
                future.add_done_callback(self._ended)
        if not future.done():
            raise ConversionTimeoutError(name, limit_s)
        return future.result()

    async def close(self, timeout_s: float) -> None:
        """End the threads; those that do not end within ``timeout_s`` stay ``overdue``."""
        await self._starter.close(timeout_s)

    def _ended(self, future: asyncio.Future[Any]) -> None:
        self._overdue.pop(future, None)

    def __repr__(self) -> str:
        return f"Threads({len(self._overdue)} overdue)"
