"""The joined loop: what is cancelled is gone, what is timed is not early, what runs in threads ends with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pywats_reliability.gui.application import application
from pywats_reliability.gui.event_loop import JoinedLoop

T = TypeVar("T")


def joined(story: Callable[[JoinedLoop], Awaitable[T]]) -> T:
    loop = JoinedLoop(application())
    try:
        came_of_it: T = loop.run_until_complete(story(loop))
        return came_of_it
    finally:
        loop.close()


def test_a_deadline_that_was_kept_leaves_no_timer() -> None:
    async def story(loop: JoinedLoop) -> int:
        before = len(loop.pending_timers)
        for _ in range(50):
            async with asyncio.timeout(60):
                await asyncio.sleep(0)
        return len(loop.pending_timers) - before

    assert joined(story) == 0


def test_two_timers_for_the_same_instant_and_call_are_two() -> None:
    async def story(loop: JoinedLoop) -> list[int]:
        called: list[int] = []
        handles = [loop.call_at(loop.time() + 60, called.append, 1) for _ in range(2)]
        handles[0].cancel()
        loop.call_later(0.01, called.append, 2)
        await asyncio.sleep(0.02)
        assert handles[1] in loop.pending_timers
        handles[1].cancel()
        return called

    assert joined(story) == [2]


def test_a_timer_never_comes_early() -> None:
    async def story(loop: JoinedLoop) -> float:
        began = loop.time()
        await asyncio.sleep(0.0501)
        took_s: float = loop.time() - began
        return took_s

    assert joined(story) >= 0.0501


def test_what_is_called_soon_is_called_in_its_order() -> None:
    async def story(loop: JoinedLoop) -> list[int]:
        called: list[int] = []
        for number in range(20):
            loop.call_soon(called.append, number)
        await asyncio.sleep(0.01)
        return called

    assert joined(story) == list(range(20))


def test_its_threads_end_with_it() -> None:
    async def story(_: JoinedLoop) -> str:
        return await asyncio.to_thread(lambda: threading.current_thread().name)

    name = joined(story)
    assert name.startswith("configurator")
    assert name not in [thread.name for thread in threading.enumerate()]
