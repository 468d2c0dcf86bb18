"""An event loop whose clock jumps to the next timer: whole windows of minutes pass in no time, and to the instant."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, ParamSpec, TypeVarTuple, Unpack

P = ParamSpec("P")
Ts = TypeVarTuple("Ts")


class JumpingSelector(selectors.DefaultSelector):
    """Moves the loop's clock instead of waiting."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now; when nothing is, move the clock on by ``timeout``."""
        ready = super().select(0)
        if not ready and timeout != 0:
            assert timeout is not None, "nothing is due any more: the test would wait for ever"
            self.loop.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time, for code that waits for timers only. It collects calls of its exception handler."""

    def __init__(self) -> None:
        self._now = 1000.0
        self.complaints: list[dict[str, Any]] = []
        self._timers: list[asyncio.TimerHandle] = []
        selector = JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self.set_exception_handler(lambda _, context: self.complaints.append(context))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Remember the timer, for ``timers_left``."""
        timer = super().call_at(when, callback, *args, context=context)
        self._timers.append(timer)
        return timer

    def timers_left(self) -> int:
        """Return how many timers are yet to fire."""
        return sum(not timer.cancelled() and timer.when() > self._now for timer in self._timers)

    def advance(self, seconds: float) -> None:
        """Let time pass while nothing runs; called from inside the loop, it is a call that blocks the loop."""
        self._now += seconds


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in virtual time; it fails when it leaves a task, or when the loop has to complain (C2.10)."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        loop = VirtualLoop()
        left: list[str] = []

        async def main() -> None:
            await test(*args, **kwargs)
            left.extend(task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task())

        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())
        assert not left, f"tasks left: {left}"
        assert not loop.complaints, loop.complaints

    return run


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


def block_the_loop(seconds: float) -> None:
    """Let time pass in which nothing else can run, as a busy call does."""
    _running().advance(seconds)


def timers_left() -> int:
    """Return how many timers are yet to fire."""
    return _running().timers_left()


def _running() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
