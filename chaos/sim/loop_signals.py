"""The event loop's side of signals: handlers that run as callbacks of the loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaos.sim.process import SimProcess

UNCATCHABLE = (signal.SIGKILL, signal.SIGSTOP)


class LoopSignals:
    """``add_signal_handler`` and its opposite, checked as asyncio checks them."""

    process: SimProcess

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        """Run ``callback`` in the loop when the process gets the signal."""
        loop: Any = self
        called: Any = callback
        if asyncio.iscoroutine(called) or asyncio.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        _check_signal(sig)
        loop._check_closed()  # noqa: SLF001 - the class this is a part of
        if sig in UNCATCHABLE:
            raise RuntimeError(f"sig {sig} cannot be caught")
        self.process.signals.add_loop_handler(sig, lambda: loop.call_soon(callback, *args))

    def remove_signal_handler(self, sig: int) -> bool:
        """Take the handler away; false when there was none."""
        _check_signal(sig)
        return self.process.signals.remove_loop_handler(sig)


def _check_signal(sig: int) -> None:
    if not isinstance(sig, int):
        raise TypeError(f"sig must be an int, not {sig!r}")
    if sig not in signal.valid_signals():
        raise ValueError(f"invalid signal number {sig}")
