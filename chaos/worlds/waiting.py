"""Waiting for what the subject says, with a limit; time is the event loop's, virtual or real."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from chaos.errors import OverdueError

T = TypeVar("T")
POLL_S = 0.05


async def until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str, limit_s: float) -> T:
    """Ask again and again until the answer is as wished, and return it. Raises ``OverdueError`` with the last one."""
    last: object = "no answer"
    try:
        async with asyncio.timeout(limit_s):
            while not holds(answer := await ask()):
                last = answer
                await asyncio.sleep(POLL_S)
            return answer
    except TimeoutError as error:
        raise OverdueError(what, limit_s, str(last)[:300]) from error
