"""Tells that the event loop is blocked while it still is, and where: a thread, since nothing in the loop can (C2.8).

* Optional, for a real process: health, IPC and the watch itself run in the loop, so that a block without an end would
  otherwise be told by nobody.
* One line per block, with the place in the code; the thread is a daemon and ends with ``stop``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback

from pywats_reliability.supervisor.restart_policy import SupervisionLimits

FRAMES_SHOWN = 6
JOIN_TIMEOUT_S = 1.0
log = logging.getLogger(__name__)


class BlockedLoopReporter:
    """The thread and its life line: ``loop_is_free`` is called from the loop, every ``loop_check_s``."""

    def __init__(self, limits: SupervisionLimits) -> None:
        self.limits = limits
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._free_at = 0.0
        self.reports = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; to be called in the loop's own thread."""
        self._free_at = loop.time()
        self._ended.clear()
        arguments = (loop, threading.get_ident())
        self._thread = threading.Thread(target=self._watch, args=arguments, name="blocked loop reporter", daemon=True)
        self._thread.start()

    def loop_is_free(self, now: float) -> None:
        """Take note that the loop ran at ``now``."""
        self._free_at = now

    def stop(self) -> None:
        """End the thread and wait for it (it waits for nothing but this); harmless when it is not running."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT_S)
            self._thread = None

    def _watch(self, loop: asyncio.AbstractEventLoop, loop_thread: int) -> None:
        reported_for = None
        while not self._ended.wait(self.limits.loop_check_s):
            free_at = self._free_at
            blocked_s = loop.time() - free_at
            if blocked_s > self.limits.loop_blocked_s + self.limits.loop_check_s and reported_for != free_at:
                reported_for = free_at
                log.error("the event loop has been blocked for %.1f s, in %s", blocked_s, _place(loop_thread))
                self.reports += 1

    def __repr__(self) -> str:
        return f"BlockedLoopReporter({'on' if self._thread else 'off'}, {self.reports} reports)"


def _place(thread: int) -> str:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented; the only way to see another thread's stack
    stack = traceback.extract_stack(frame)[-FRAMES_SHOWN:] if frame is not None else []
    return " < ".join(f"{step.name} ({step.filename}:{step.lineno})" for step in reversed(stack)) or "an unknown place"
