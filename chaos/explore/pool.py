"""Worker processes for simulated campaigns: their hash seed is pinned, and they are gone when the pool is left.

* Each worker has a pipe of its own in either direction, and nothing in common with another: whenever it is killed, in
  the middle of whatever it reads or writes, its pipe ends, and nobody waits for what will never come.
* It reads its orders all the time, also while it plays: when they end, its parent is gone, and so is the worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from chaos.errors import ChaosError
from chaos.explore.worker_process import Frames, Settings, dumped, loaded

P = ParamSpec("P")
T = TypeVar("T")
END_LIMIT_S = 10.0
CAN_GIVE_WAY = hasattr(os, "nice")
TASKS_PER_WORKER = 200
"""A worker is exchanged after so many orders: whatever some library keeps for ever stays small."""
START = "import sys; sys.path[:] = {path}; from chaos.explore.worker_process import serve; serve({settings!r})"


class WorkerDiedError(ChaosError):
    """A worker process ended in the middle of what it played; whoever waits for the answer will never have it."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        super().__init__(f"expected an answer of {worker}, found that it has died")


class Pool:
    """At most ``jobs`` workers, started when first needed; ``close`` ends them, and so does the parent's death.

    ``gives_way``: whatever else wants a core has it first, where the system has priorities (see ``CAN_GIVE_WAY``).
    ``hash_seed`` and ``heap`` are what no run may depend on: workers with others must play every seed alike.
    """

    def __init__(self, jobs: int, *, gives_way: bool = False, hash_seed: str = "0", heap: int = 0) -> None:
        self.jobs, self.gives_way = jobs, gives_way
        self._settings = Settings(gives_way=gives_way and CAN_GIVE_WAY, heap=heap)
        self._environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._workers: list[_Worker] = []

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``function`` returns, called in a worker. Cancelled, the workers are ended with the pool.

        Raises what ``function`` raises, and ``WorkerDiedError``.
        """
        order = _Order(dumped((function, args, kwargs)))
        self._orders.put(order)
        if len(self._workers) < self.jobs:
            name = f"worker {len(self._workers) + 1}"
            self._workers.append(_Worker(name, self._orders, self._settings, self._environment))
        answer: T = await asyncio.wrap_future(order.answer)
        return answer

    def close(self) -> None:
        """End the workers, also in the middle of what they play; harmless to repeat."""
        workers, self._workers = self._workers, []
        orders, self._orders = self._orders, queue.SimpleQueue()
        while not orders.empty():
            if (order := orders.get()) is not None:
                order.answer.cancel()
        for _ in workers:
            orders.put(None)
        for worker in workers:  # What they may still be playing nobody wants any more.
            worker.kill()
        for worker in workers:
            worker.join(END_LIMIT_S)

    def __repr__(self) -> str:
        return f"Pool({self.jobs} jobs, {len(self._workers)} started)"


class _Order:
    """A call to be made in a worker, and the answer to come."""

    def __init__(self, call: bytes) -> None:
        self.call = call
        self.answer: Future[Any] = Future()


class _Worker:
    """A thread that hands one order after the other to a process, and starts another one when that has died."""

    def __init__(
        self,
        name: str,
        orders: queue.SimpleQueue[_Order | None],
        settings: Settings,
        environment: Mapping[str, str],
    ) -> None:
        self._name, self._orders, self._settings, self._environment = name, orders, settings, environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ended = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """End the process at once, and start no other."""
        with self._lock:
            self._is_ended = True
            if self._process is not None:
                self._process.kill()

    def join(self, limit_s: float) -> None:
        """Wait until thread and process are gone, or the limit has passed."""
        self._thread.join(limit_s)

    def _serve(self) -> None:
        played = 0
        while (order := self._orders.get()) is not None:
            if not order.answer.set_running_or_notify_cancel():
                continue
            try:
                answer = self._asked(order.call)
            except (OSError, EOFError):
                self._end()
                order.answer.set_exception(WorkerDiedError(self._name))
                continue
            _settle(order.answer, answer)
            played += 1
            if played % TASKS_PER_WORKER == 0:
                self._end()
        self._end()

    def _asked(self, call: bytes) -> bytes:
        """Return what the process answers. Raises ``EOFError`` and ``OSError`` when it dies before it has."""
        with self._lock:
            if self._is_ended:
                raise EOFError
            if self._process is None:
                self._process = _started(self._settings, self._environment)
            process = self._process
        assert process.stdin is not None, "its orders go through a pipe"
        assert process.stdout is not None, "its answers come through a pipe"
        Frames(process.stdin).write(call)
        return Frames(process.stdout).read()

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError), process:  # What did not reach it is lost with it. Killed, it cannot take long.
                pass

    def __repr__(self) -> str:
        return f"_Worker({self._name}, {'running' if self._process else 'not running'})"


def _settle(answer: Future[Any], frame: bytes) -> None:
    """Give the answer to whoever waits for it."""
    try:
        is_value, value = loaded(frame)
    except Exception as error:  # noqa: BLE001 - what cannot be read back here is the asker's to know
        is_value, value = False, error
    if is_value:
        answer.set_result(value)
    else:
        answer.set_exception(value)


def _started(settings: Settings, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a worker, out of the reach of Ctrl-C: that is the parent's, which ends the workers."""
    program = START.format(path=json.dumps(sys.path), settings=settings.as_text())
    more: dict[str, Any] = {"process_group": 0}
    if sys.platform == "win32":
        more = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, **more
    )
