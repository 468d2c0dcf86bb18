"""Waiting for what the subject says, with a limit; time is the event loop's, virtual or real."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from chaos.errors import OverdueError

T = TypeVar("T")
POLL_S = 0.05
GROWTH = 0.1


async def until(
    ask: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool],
    what: str,
    limit_s: float,
    *,
    pause_max_s: float = POLL_S,
) -> T:
    """Ask again and again until the answer is as wished, and return it. Raises ``OverdueError`` with the last one.

    It asks every ``POLL_S``; where ``pause_max_s`` allows, less often as it waits longer: what took ten seconds is
    known within one more tenth of that.
    """
    last: object = "no answer"
    now = asyncio.get_running_loop().time
    began = now()
    try:
        async with asyncio.timeout(limit_s):
            while not holds(answer := await ask()):
                last = answer
                await asyncio.sleep(min(max(POLL_S, GROWTH * (now() - began)), max(POLL_S, pause_max_s)))
            return answer
    except TimeoutError as error:
        raise OverdueError(what, limit_s, str(last)[:300]) from error
