"""Keeps the background tasks alive and tells how they are: no task dies in silence, the monitor included (C2).

* Every end of a task is seen twice: at once by its keeper (``supervised_task``), and within one monitor interval by
  the monitor's round (C2.5), which also finds stalled tasks (C2.8).
* The monitor is one of the supervised tasks (C2.6): its death is seen like any other's, and its stall by the loop
  watch, which hangs on timers and needs no task.
* A failing task is told of at once through ``on_change`` and touches no other task (C2.2, C2.3).
* One-shot work with a hard deadline (``within``) is started here too, so that no other module starts tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pywats_reliability.errors import ServiceStoppingError, TaskNotFoundError
from pywats_reliability.events import Event
from pywats_reliability.health import ServiceCondition, TaskState, judge_tasks
from pywats_reliability.ports import Heartbeat
from pywats_reliability.supervisor.blocked_loop import BlockedLoopReporter
from pywats_reliability.supervisor.loop_watch import LoopWatch
from pywats_reliability.supervisor.one_shots import OneShots
from pywats_reliability.supervisor.restart_policy import SupervisionLimits
from pywats_reliability.supervisor.supervised_task import SupervisedTask, TaskSpec

MONITOR = "task_monitor"
T = TypeVar("T")
log = logging.getLogger(__name__)


class Supervisor:
    """The keeper of all background tasks. All methods belong to the loop that ``start`` was called in.

    ``on_change`` tells of every new ``TaskState``, ``on_loop_blocked`` of every block in seconds. ``scrub`` masks
    secrets in the error texts that it keeps (H3.5). ``blocked_loop_thread`` starts a thread that tells of a block while
    it lasts, for a real process; a simulation leaves it off.
    """

    def __init__(
        self,
        limits: SupervisionLimits | None = None,
        *,
        scrub: Callable[[str], str] = str,
        blocked_loop_thread: bool = False,
    ) -> None:
        self._limits = limits or SupervisionLimits()
        self._scrub = scrub
        self._tasks: dict[str, SupervisedTask] = {}
        self._started = self._stopping = False
        self._one_shots = OneShots()
        self._left_behind: dict[asyncio.Task[None], None] = {}
        self._monitor_wakes = asyncio.Event()
        reporter = BlockedLoopReporter(self._limits) if blocked_loop_thread else None
        self._watch = LoopWatch(self._limits, self._check_monitor, self._loop_was_blocked, reporter)
        self.on_change: Event[[TaskState]] = Event("on_change")
        self.on_loop_blocked: Event[[float]] = Event("on_loop_blocked")
        interval_s = self._limits.monitor_interval_s
        self.add(TaskSpec(MONITOR, self._monitor, critical=False, heartbeat_interval_s=interval_s))

    def add(self, spec: TaskSpec) -> None:
        """Take ``spec`` into care; it starts with ``start``, or at once when that was called already."""
        assert spec.name not in self._tasks, f"there is a task {spec.name} already"
        if self._stopping:
            raise ServiceStoppingError(f"adding task {spec.name}")
        task = SupervisedTask(spec, self._limits, scrub=self._scrub, changed=self.on_change.emit)
        self._tasks[spec.name] = task
        if self._started:
            task.start()

    def start(self) -> None:
        """Start every task that was added and is not running, and the watch over the loop."""
        if self._stopping:
            raise ServiceStoppingError("starting background tasks")
        self._started = True
        self._watch.start()
        for task in self._tasks.values():
            task.start()

    def reset(self, name: str) -> None:
        """Close the circuit of a task by hand: it starts now if it is down, waiting or stopped.

        Raises ``TaskNotFoundError``, and ``ServiceStoppingError`` once ``cancel_all`` was called.
        """
        task = self._task(name)
        if self._stopping:
            raise ServiceStoppingError(f"restarting task {name}")
        task.reset()

    async def stop_task(self, name: str, timeout_s: float = 10.0) -> bool:
        """Cancel one task and wait for its end; return whether it ended within ``timeout_s`` (else it is left behind).

        Raises ``TaskNotFoundError``. Cancelling the caller leaves the task cancelled and passes through.
        """
        return not await self.stop_tasks([name], timeout_s)

    async def stop_tasks(self, names: Sequence[str], timeout_s: float) -> list[str]:
        """Cancel some tasks at once, wait as ``stop_task`` does, and return the names of those that did not end."""
        return await self._stop([self._task(name) for name in names], timeout_s)

    def limit(self, limits: SupervisionLimits) -> None:
        """Take other limits into force, for tasks that run, too."""
        self._limits = limits
        self._watch.limit(limits)
        for task in self._tasks.values():
            task.limit(limits)
        monitor = self._tasks[MONITOR]
        monitor.spec = replace(monitor.spec, heartbeat_interval_s=limits.monitor_interval_s)
        self._monitor_wakes.set()

    async def cancel_all(self, timeout_s: float) -> list[str]:
        """Cancel every task, end the watch, and return the names of those that did not end within ``timeout_s``.

        Nothing starts any more from this call on; it may be called again.
        """
        self._stopping = True
        self._watch.stop()
        return await self._stop(list(self._tasks.values()), timeout_s)

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start one-shot ``work`` as a task called ``name``; who starts it awaits it."""
        return self._one_shots.spawn(name, work)

    async def within(self, name: str, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """Return what ``work`` returns, within ``limit_s`` even if it ignores its cancellation.

        Raises what it raises, or ``StepTimeoutError``; the last tenth of the limit (at most 1 s) is for cancelling.
        """
        return await self._one_shots.within(name, work, limit_s)

    def states(self) -> tuple[TaskState, ...]:
        """Return how each task is, in the order they were added (the monitor first)."""
        return tuple(task.state for task in self._tasks.values())

    @property
    def verdict(self) -> ServiceCondition:
        """What the tasks mean for the service: the worst of them, naming each that is not well."""
        return judge_tasks(self.states())

    @property
    def loop_blocked(self) -> str | None:
        """In words, that the loop was blocked a short while ago; None when it was not."""
        return self._watch.recent_block()

    @property
    def loop_blocks(self) -> int:
        """How often the loop was found blocked since the start."""
        return self._watch.blocks

    def left_behind(self) -> tuple[str, ...]:
        """Return the names of everything that ignored its cancellation and still runs."""
        return tuple(task.get_name() for task in self._left_behind) + self._one_shots.left_behind()

    async def _stop(self, tasks: list[SupervisedTask], timeout_s: float) -> list[str]:
        requested = [(task, run) for task in tasks if (run := task.request_stop()) is not None]
        if not requested:
            return []
        await asyncio.wait([run for _, run in requested], timeout=timeout_s)
        deaf = [(task, run) for task, run in requested if not run.done()]
        for task, run in deaf:
            log.error("task %s ignored its cancellation for %g s and is left behind", task.spec.name, timeout_s)
            task.leave_behind(run)
            self._left_behind[run] = None
            run.add_done_callback(self._forget)
        return [task.spec.name for task, _ in deaf]

    def _forget(self, run: asyncio.Task[None]) -> None:
        self._left_behind.pop(run, None)

    async def _monitor(self, beat: Heartbeat) -> None:
        while True:
            beat()
            now = asyncio.get_running_loop().time()
            for task in self._tasks.values():
                task.check(now)
            self._monitor_wakes.clear()
            with contextlib.suppress(TimeoutError):  # It is woken when its interval changes: it may be shorter now.
                async with asyncio.timeout(self._limits.monitor_interval_s):
                    await self._monitor_wakes.wait()

    def _check_monitor(self, now: float) -> None:
        self._tasks[MONITOR].check(now)

    def _loop_was_blocked(self, seconds: float) -> None:
        for task in self._tasks.values():
            task.excuse(seconds)
        self.on_loop_blocked.emit(seconds)

    def _task(self, name: str) -> SupervisedTask:
        if name not in self._tasks:
            raise TaskNotFoundError(name, tuple(self._tasks))
        return self._tasks[name]

    def __repr__(self) -> str:
        counts = Counter(str(task.state.condition) for task in self._tasks.values())
        words = ", ".join(f"{count} {condition}" for condition, count in sorted(counts.items()))
        return f"Supervisor({len(self._tasks)} tasks: {words}; {len(self._left_behind)} left behind)"
