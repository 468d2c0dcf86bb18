"""Qt's loop and asyncio's, joined by qasync, so that a cancelled timer is gone at once.

* qasync keeps a cancelled timer until its time has come. Every request has a deadline of seconds, which is cancelled
  when the answer is there: each request would leave a live Qt timer behind, for as long as its deadline (H2.2).
* Timers here never fire early, as Qt's coarse ones do, by 5 %.
* Work in threads goes to a pool of two that ends with the loop.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

import qasync  # type: ignore[import-untyped]
from PySide6.QtCore import QCoreApplication, QObject, Qt, QTimerEvent

THREADS = 2


class _Timers(QObject):
    """The timers of a loop: each runs its handle once."""

    def __init__(self) -> None:
        super().__init__()
        self.handles: dict[int, asyncio.Handle] = {}
        self._numbers: dict[int, int] = {}  # By identity: two handles for the same instant and call are equal.

    def add(self, handle: asyncio.Handle, delay_s: float) -> None:
        number = self.startTimer(math.ceil(max(0.0, delay_s) * 1000), Qt.TimerType.PreciseTimer)
        self.handles[number], self._numbers[id(handle)] = handle, number

    def remove(self, handle: asyncio.Handle) -> None:
        if (number := self._numbers.pop(id(handle), None)) is not None:
            del self.handles[number]
            self.killTimer(number)

    def timerEvent(self, event: QTimerEvent) -> None:  # noqa: N802 - Qt's name
        handle = self.handles.get(event.timerId())
        if handle is None:
            return
        self.remove(handle)
        if not handle.cancelled():
            handle._run()  # noqa: SLF001 - what every event loop does with a handle

    def clear(self) -> None:
        for handle in list(self.handles.values()):
            self.remove(handle)


class JoinedLoop(qasync.QEventLoop):  # type: ignore[misc]
    """The event loop of the configurator; close it when it has run."""

    def __init__(self, application: QCoreApplication) -> None:
        self._own_timers = _Timers()
        super().__init__(application)
        self._threads = ThreadPoolExecutor(THREADS, "configurator")
        self.set_default_executor(self._threads)

    @property
    def pending_timers(self) -> tuple[asyncio.Handle, ...]:
        """What waits for its time, cancelled timers not among it."""
        return tuple(self._own_timers.handles.values())

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back after ``delay`` seconds, never before."""
        handle = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
        self._own_timers.add(handle, delay)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back when ``time()`` is ``when``."""
        return self.call_later(when - self.time(), callback, *args, context=context)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        """Call back in the next round."""
        handle = asyncio.Handle(callback, args, self, context)
        self._own_timers.add(handle, 0)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.Handle) -> None:
        """Hear from asyncio that a timer was cancelled."""
        self._own_timers.remove(handle)

    def close(self) -> None:
        """End the threads and the timers."""
        super().close()
        self._own_timers.clear()
