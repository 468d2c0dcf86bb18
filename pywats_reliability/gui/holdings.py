"""What a page or the window holds while it is open, all owned by one scope that lets go of it in reverse (H2.1, H2.3).

* In this order of letting go: timers, connections, watchers and handlers as they were made, then the running tasks
  (cancelled and waited for), then the connection to the service.
* Once closing has begun nothing new begins: ``run`` closes the coroutine it is given and says so by returning None.
* Each thing has a telling name, which is what a failed clean-up and the leak check call it by.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, Protocol

from PySide6.QtCore import QFileSystemWatcher, QMetaObject, QObject, QProcess, QTimer, SignalInstance

from pywats_reliability.events import Event
from pywats_reliability.scope import ResourceScope, TaskStarter

P = ParamSpec("P")
STEP_TIMEOUT_S = 2.0
KILL_WAIT_MS = 1000


class Closable(Protocol):
    """A connection that can be closed."""

    async def aclose(self) -> None:
        """Close it; harmless to repeat."""
        ...


class Holdings:
    """The holdings of ``owner``, which everything Qt makes for it is a child of."""

    def __init__(self, name: str, owner: QObject, tasks: TaskStarter) -> None:
        self.name, self._owner, self._starter = name, owner, tasks
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._is_closing = False
        self.scope = ResourceScope(name, tasks=tasks)

    @property
    def is_open(self) -> bool:
        """False as soon as closing has begun."""
        return not self._is_closing

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the tasks that run."""
        return tuple(task.get_name() for task in self._tasks)

    def own_connection(self, name: str, connection: Closable) -> None:
        """Own a connection to the service; to be called before anything uses it."""
        self.scope.push(f"connection {name}", connection.aclose)
        self.scope.push("tasks", self._end_tasks)

    def every(self, what: str, interval_s: float, call: Callable[[], object]) -> QTimer:
        """Return a timer that is running, and calls every ``interval_s``."""
        timer = QTimer(self._owner)
        timer.setObjectName(f"timer {what}")
        timer.setInterval(round(interval_s * 1000))
        self.scope.push(f"timer {what}", partial(stop_timer, timer))
        self.connect(f"timeout of {what}", timer.timeout, call)
        timer.start()
        return timer

    def connect(self, what: str, signal: SignalInstance, slot: Callable[..., object]) -> None:
        """Connect a signal for as long as the scope is open."""
        handle = signal.connect(slot)
        self.scope.push(f"signal {what}", partial(disconnect, handle))

    def observe(self, event: Event[P], observer: Callable[P, object]) -> None:
        """Subscribe to an event of the service for as long as the scope is open."""
        self.scope.push(f"event {event.name}", event.subscribe(observer))

    def run(self, what: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run ``work``, which raises nothing but its cancellation, as a task that ends with the scope at the latest."""
        if self._is_closing:
            work.close()
            return None
        task = self._starter.spawn(f"{self.name}: {what}", work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def add_log_handler(self, logger: logging.Logger, handler: logging.Handler) -> None:
        """Let ``handler`` hear ``logger`` for as long as the scope is open."""
        logger.addHandler(handler)
        self.scope.push(f"log handler on {logger.name}", partial(remove_log_handler, logger, handler))

    def watch_file(self, path: Path, changed: Callable[[str], object]) -> None:
        """Call ``changed`` when something happens to the file at ``path``, or to its folder."""
        watcher = QFileSystemWatcher([str(path.parent)], self._owner)
        if path.exists():
            watcher.addPath(str(path))
        self.scope.push(f"watcher of {path.name}", partial(stop_watching, watcher))
        self.connect(f"changes of {path.name}", watcher.directoryChanged, changed)
        self.connect(f"contents of {path.name}", watcher.fileChanged, changed)

    def own_program(self, process: QProcess) -> None:
        """End ``process`` with the scope, if it still runs then."""
        self.scope.push(f"program {process.objectName()}", partial(kill, process))

    async def close(self, *, limit_s: float | None = None) -> None:
        """Let go of everything. Raises ``CleanupError`` with every step that failed; the others have run all the same.

        Harmless to repeat: later callers share the first closing.
        """
        self._is_closing = True
        await self.scope.close(step_timeout_s=STEP_TIMEOUT_S, limit_s=limit_s)

    async def _end_tasks(self) -> None:
        running = list(self._tasks)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)  # The scope's step has a deadline, and names what would not end.

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closing"
        return f"Holdings({self.name}, {state}, {len(self._tasks)} tasks, {self.scope!r})"


def stop_timer(timer: QTimer) -> None:
    """Stop a timer for good."""
    timer.stop()
    timer.deleteLater()


def disconnect(handle: QMetaObject.Connection) -> None:
    """End a connection; one whose sender is gone has ended already."""
    QObject.disconnect(handle)


def remove_log_handler(logger: logging.Logger, handler: logging.Handler) -> None:
    """Take a handler off its logger and close it."""
    logger.removeHandler(handler)
    handler.close()


def stop_watching(watcher: QFileSystemWatcher) -> None:
    """Let go of every path."""
    if paths := [*watcher.files(), *watcher.directories()]:
        watcher.removePaths(paths)
    watcher.deleteLater()


def kill(process: QProcess) -> None:
    """End a program that still runs, and wait a moment until it has."""
    if process.state() is not QProcess.ProcessState.NotRunning:
        process.kill()
        process.waitForFinished(KILL_WAIT_MS)
    process.deleteLater()
