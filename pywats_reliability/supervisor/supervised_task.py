"""One background task's life: started, watched, restarted when it fails, put down when it fails too often.

* However a run ends (exception, return, a cancellation nobody asked for, even ``SystemExit``), it is noticed at once,
  logged once at ERROR with the traceback, and counted (C2.1, C2.5); only a requested cancellation is no error (C2.4).
* A failed task waits out its backoff, then runs again; one restart too many opens its circuit, and it stays down until
  ``reset`` (C2.7). After a restart it is *recovering* until the restart holds (see ``restart_policy``).
* Each run has its own heartbeat: an earlier run that was left behind cannot make the present one look alive (C2.8).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pywats_reliability.errors import TaskEndedError, described
from pywats_reliability.health import TaskCondition, TaskState
from pywats_reliability.ports import Heartbeat
from pywats_reliability.supervisor.one_shots import guarded
from pywats_reliability.supervisor.restart_policy import SupervisionLimits

TIMER_EARLY_S = 0.001
"""By how much a loop's timer may come early: the one that ends the hold must not wait for the next heartbeat then."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What is to be kept running.

    ``run`` works until it is cancelled; it calls the heartbeat it is given at least once per ``heartbeat_interval_s``.
    The failure of a ``critical`` task is an error of the whole service.
    """

    name: str
    run: Callable[[Heartbeat], Awaitable[None]]
    critical: bool
    heartbeat_interval_s: float


class SupervisedTask:
    """The keeper of one ``TaskSpec``; ``changed`` hears of every new condition, ``scrub`` masks error texts."""

    def __init__(
        self,
        spec: TaskSpec,
        limits: SupervisionLimits,
        *,
        scrub: Callable[[str], str],
        changed: Callable[[TaskState], None],
    ) -> None:
        self.spec, self._limits, self._scrub, self._changed = spec, limits, scrub, changed
        self._condition, self._stalled = TaskCondition.STOPPED, False
        self._run: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None  # Ends the backoff, or the hold.
        self._stop_requested = False
        self._started_at = self._alive_at = 0.0
        self._beats = self._beats_of_run = 0
        self._failures = self._failures_in_a_row = self._restarts = 0
        self._last_restart_at: float | None = None
        self._restarted_at: deque[float] = deque(maxlen=max(1, limits.restart_limit))
        self._last_error: str | None = None
        self._last_error_at: float | None = None

    @property
    def state(self) -> TaskState:
        """How the task is now."""
        return TaskState(
            name=self.spec.name,
            critical=self.spec.critical,
            condition=TaskCondition.STALLED if self._stalled else self._condition,
            failures=self._failures,
            restarts=self._restarts,
            last_restart_at=self._last_restart_at,
            last_error=self._last_error,
            last_error_at=self._last_error_at,
            heartbeats=self._beats,
        )

    def start(self) -> None:
        """Start the task unless it runs, waits for its restart, or is down."""
        if self._condition is TaskCondition.STOPPED and self._run is None:
            self._launch(TaskCondition.RUNNING)

    def reset(self) -> None:
        """Forget what was counted against the task, and start it now if it does not run."""
        self._failures_in_a_row = 0
        self._restarted_at.clear()
        if self._run is None:
            self._restart()
            self._restarted_at.clear()  # This one was asked for: it does not count either.

    def request_stop(self) -> asyncio.Task[None] | None:
        """Cancel the run, or the restart that is due; return the run that has yet to end, if there is one.

        A run is cancelled once, however often this is called: its clean-up is not to be interrupted.
        """
        self._stop_timer()
        if self._run is None:
            self._become(TaskCondition.STOPPED)
            return None
        assert self._run is not asyncio.current_task(), f"task {self.spec.name} must not wait for its own end"
        if not self._stop_requested:
            self._stop_requested = True
            self._run.cancel()
        return self._run

    def leave_behind(self, run: asyncio.Task[None]) -> None:
        """Give up a run that does not end: whatever it still does no longer counts as the task's."""
        run.add_done_callback(self._ended_late)
        if run is self._run:
            self._run = None
            self._become(TaskCondition.STOPPED)

    def check(self, now: float) -> None:
        """Notice what no callback told: a run that is over, or one that has not beaten for too long."""
        if self._run is None:
            return
        if self._run.done():
            self._ended(self._run)
            return
        silent_s = now - self._alive_at
        if not self._stalled and silent_s >= self._limits.stalled_after_intervals * self.spec.heartbeat_interval_s:
            self._stalled = True
            log.error("task %s is stalled: no heartbeat for %.1f s", self.spec.name, silent_s)
            self._changed(self.state)

    def excuse(self, seconds: float) -> None:
        """Do not hold a time against the task in which the loop was blocked: it could not have beaten."""
        self._alive_at += seconds

    def limit(self, limits: SupervisionLimits) -> None:
        """Take other limits into force; restarts of the past count against the new ones."""
        self._limits = limits
        self._restarted_at = deque(self._restarted_at, maxlen=max(1, limits.restart_limit))

    def _launch(self, condition: TaskCondition) -> None:
        loop = asyncio.get_running_loop()
        self._stop_requested, self._beats_of_run = False, 0
        self._started_at = self._alive_at = loop.time()
        work = guarded(self.spec.name, self._whole_run)
        self._run = asyncio.create_task(work, name=self.spec.name)  # noqa: TID251 - this is the place that starts tasks
        self._run.add_done_callback(self._ended)
        self._become(condition)

    async def _whole_run(self) -> None:
        own_run = asyncio.current_task()

        def beat() -> None:
            if own_run is self._run:
                self._beat()

        await self.spec.run(beat)

    def _restart(self) -> None:
        self._stop_timer()
        loop = asyncio.get_running_loop()
        self._restarts += 1
        self._last_restart_at = loop.time()
        self._restarted_at.append(loop.time())
        self._launch(TaskCondition.RECOVERING)
        self._timer = loop.call_later(self._limits.restart_hold_s, self._check_hold)

    def _beat(self) -> None:
        self._beats += 1
        self._beats_of_run += 1
        self._alive_at = asyncio.get_running_loop().time()
        if self._stalled:
            self._stalled = False
            log.warning("task %s beats again", self.spec.name)
            self._changed(self.state)
        self._check_hold()

    def _check_hold(self) -> None:
        lived_s = asyncio.get_running_loop().time() - self._started_at + TIMER_EARLY_S
        recovering = self._condition is TaskCondition.RECOVERING
        if recovering and self._beats_of_run and lived_s >= self._limits.restart_hold_s:
            self._failures_in_a_row = 0
            self._stop_timer()
            log.info("task %s holds after its restart", self.spec.name)
            self._become(TaskCondition.RUNNING)

    def _ended(self, run: asyncio.Task[None]) -> None:
        if run is not self._run:
            return  # It was left behind, or the monitor was faster than this callback.
        self._run = None
        self._stop_timer()
        if (flaw := _why(self.spec.name, run, was_asked=self._stop_requested)) is None:
            self._become(TaskCondition.STOPPED)
        else:
            self._fail(flaw)

    def _ended_late(self, run: asyncio.Task[None]) -> None:
        if not run.cancelled() and (error := run.exception()) is not None:
            log.error("task %s: a run that had been left behind failed", self.spec.name, exc_info=error)

    def _fail(self, error: BaseException) -> None:
        loop = asyncio.get_running_loop()
        self._failures += 1
        self._failures_in_a_row += 1
        self._last_error, self._last_error_at = self._scrub(described(error)), loop.time()
        delay_s = self._limits.restart_delay_s(self._failures_in_a_row)
        if self._stop_requested:
            condition, consequence = TaskCondition.STOPPED, "it was being stopped"
        elif self._limits.may_restart(self._restarted_at, loop.time() + delay_s):
            condition, consequence = TaskCondition.BACKOFF, f"restart in {delay_s:g} s"
            self._timer = loop.call_later(delay_s, self._restart)
        else:
            condition = TaskCondition.DOWN
            window = f"{self._limits.restart_limit} restarts in {self._limits.restart_window_s:g} s"
            consequence = f"it stays down after {window}, until it is reset by hand"
        self._become(condition)
        self._log(error, consequence)

    def _log(self, error: BaseException, consequence: str) -> None:
        name, count = self.spec.name, self._failures
        if isinstance(error, TaskEndedError) and error.__cause__ is None:  # There is no traceback to show.
            log.error("task %s failed (failure %d; %s): %s", name, count, consequence, error)
        else:
            log.error("task %s failed (failure %d; %s)", name, count, consequence, exc_info=error)

    def _become(self, condition: TaskCondition) -> None:
        if self._condition is not condition or self._stalled:
            self._condition, self._stalled = condition, False
            self._changed(self.state)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __repr__(self) -> str:
        state = self.state
        return f"SupervisedTask({state.name}, {state.condition}, {state.failures} failures, {state.restarts} restarts)"


def _why(name: str, run: asyncio.Task[None], *, was_asked: bool) -> BaseException | None:
    """Return what is wrong with the way a run ended, or None if it was asked to end."""
    if run.cancelled():
        return None if was_asked else TaskEndedError(name, "was cancelled though nobody asked")
    if (error := run.exception()) is not None:
        return error
    return None if was_asked else TaskEndedError(name, "returned")
