"""Notices that the event loop was blocked: a timer that comes late says for how long nothing else could run (C2.8).

* The watch hangs on the loop's timers, not on a task: no task's death or stall can end it (C2.6).
* A block is reported as soon as it is over, with a lower bound of its length: it began somewhere between two looks.
* A ``BlockedLoopReporter``, where one is given, tells of the block while it lasts, and where in the code it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pywats_reliability.supervisor.blocked_loop import BlockedLoopReporter
from pywats_reliability.supervisor.restart_policy import SupervisionLimits

log = logging.getLogger(__name__)


class LoopWatch:
    """Looks at the loop every ``loop_check_s``: calls ``ticked(now)``, and ``blocked(seconds)`` before it if so."""

    def __init__(
        self,
        limits: SupervisionLimits,
        ticked: Callable[[float], None],
        blocked: Callable[[float], None],
        reporter: BlockedLoopReporter | None = None,
    ) -> None:
        self._limits, self._ticked, self._blocked, self._reporter = limits, ticked, blocked, reporter
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.blocks = 0
        self.last_block_s = 0.0
        self.last_block_at: float | None = None

    def limit(self, limits: SupervisionLimits) -> None:
        """Take other limits into force, from the next look on."""
        self._limits = limits
        if self._reporter is not None:
            self._reporter.limits = limits

    def start(self) -> None:
        """Begin to look; harmless when it does already."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._arm(loop)
            if self._reporter is not None:
                self._reporter.start(loop)

    def stop(self) -> None:
        """Look no more, and leave neither timer nor thread."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reporter is not None:
            self._reporter.stop()

    def recent_block(self) -> str | None:
        """Return in words that the loop was blocked, for one monitor interval after the block; then None."""
        if self.last_block_at is None:
            return None
        if asyncio.get_running_loop().time() - self.last_block_at >= self._limits.monitor_interval_s:
            return None
        return f"blocked for at least {self.last_block_s:.1f} s"

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + self._limits.loop_check_s
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        late_s, check_s = now - self._due, self._limits.loop_check_s
        self._arm(loop)  # First of all: whatever goes wrong below, the watch goes on.
        if self._reporter is not None:
            self._reporter.loop_is_free(now)
        if late_s + check_s > self._limits.loop_blocked_s:
            self.blocks += 1
            self.last_block_s, self.last_block_at = late_s, now
            log.error("the event loop was blocked for at least %.1f s: nothing could run meanwhile", late_s)
            self._blocked(late_s)
        self._ticked(now)

    def __repr__(self) -> str:
        return f"LoopWatch({'on' if self._timer else 'off'}, {self.blocks} blocks, last {self.last_block_s:.1f} s)"
