"""Failpoints in simulated processes: the same places and the same words as in live ones, without a bootstrap.

* A place is a dotted Python name; its function is exchanged for as long as the world is entered, and acts only in the
  processes that were started with it. Everybody else passes through.
* Every passing counts, and every firing is written into the history at the instant at which it happens.
* A place at a line is refused: it needs the function compiled anew, which the bootstrap of a live process does.
"""

from __future__ import annotations

import asyncio
import fnmatch
import inspect
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from chaos.errors import OverdueError, UsageError
from chaos.history import History
from chaos.replacements import Replacements
from chaos.rules.failpoint_exceptions import make_exception
from chaos.rules.failpoint_terms import Term, choose, parse_target, parse_terms
from chaos.sim.kernel import SimKernel
from chaos.sim.process import SimProcess

FOREVER_NS = 1 << 61
POLL_S = 0.001
NOTHING = object()


class SimFailpoint:
    """One place in a simulated process's code, with what happens there. Raises ``UsageError``."""

    def __init__(self, kernel: SimKernel, history: History, place: str, target: str, terms: str) -> None:
        self.target, self.terms = parse_target(target), parse_terms(terms)
        if self.target.line:
            raise UsageError("#before or #after in simulated time", target, "use #line in a live process")
        self._kernel, self._history, self._place = kernel, history, place
        self._used = [0] * len(self.terms)
        self.reached = self._fired = 0
        self._releases = 0
        self._waiting: list[tuple[SimProcess, Callable[[], None]]] = []
        self.process: SimProcess | None = None

    @property
    def times_fired(self) -> int:
        """How often an action was carried out."""
        return self._fired

    async def fired(self, times: int = 1, *, limit_s: float = 20) -> None:
        """Wait until it has fired that often. Raises ``OverdueError``."""
        here, woken = self._kernel.current, asyncio.Event()
        assert here is not None, "a simulated process waits for another"
        waiting = (here, woken.set)
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(limit_s):
                while self._fired < times:
                    woken.clear()
                    await woken.wait()
        except TimeoutError as error:
            raise OverdueError(f"{self._place} fired {times} times", limit_s, f"{self._fired} times") from error
        finally:
            self._waiting.remove(waiting)

    def tell(self) -> None:
        """Do nothing: every firing is in the history already (a live one has to be asked)."""

    def release(self) -> None:
        """Let go on what is paused there; who comes later is paused again."""
        self._releases += 1

    def applies(self) -> bool:
        """Return whether the code that runs is that of the process (and of the task, if one is named) it is for."""
        if self.process is None or self._kernel.current is not self.process:
            return False
        return not self.target.task or fnmatch.fnmatchcase(_name_of_runner(), self.target.task)

    def due(self) -> Term | None:
        """Count one passing and return what is to happen."""
        self.reached += 1
        if not self.target.counts(self.reached):
            return None
        chosen = choose(self.terms, self._used, self._kernel.seed.number, self.reached)
        if chosen is None:
            return None
        self._used[chosen] += 1
        term = self.terms[chosen]
        if term.action == "off":
            return None
        self._fired += 1
        self._history.fault(f"failpoint.{term.action}", place=self._place)
        for process, wake in self._waiting:
            self._kernel.deliver(process, wake)
        return term

    def act(self) -> Any:
        """Pass by in a plain function; return what replaces its result, or ``NOTHING``."""
        term = self.due()
        if term is None:
            return NOTHING
        if term.action in ("sleep", "block", "hang", "cling"):
            self._block(term)
            return NOTHING
        if term.action == "pause":
            releases = self._releases
            while self._releases == releases:
                self._kernel.block(self._kernel.now_ns + int(POLL_S * 1e9), f"failpoint {self._place}")
            return NOTHING
        return self._act(term)

    async def act_async(self) -> Any:
        """Pass by in a coroutine; what waits, waits as coroutines do (only ``block`` holds the thread)."""
        term = self.due()
        if term is None:
            return NOTHING
        if term.action == "sleep":
            await asyncio.sleep(term.arguments[0])
        elif term.action == "hang":
            await asyncio.get_running_loop().create_future()
        elif term.action == "cling":
            await _cling()
        elif term.action == "pause":
            releases = self._releases
            while self._releases == releases:  # noqa: ASYNC110 - virtual time; whoever releases it is another process
                await asyncio.sleep(POLL_S)
        elif term.action == "block":
            self._block(term)
        else:
            return self._act(term)
        return NOTHING

    def _block(self, term: Term) -> None:
        lasts_ns = int(term.arguments[0] * 1e9) if term.arguments else FOREVER_NS
        self._kernel.block(self._kernel.now_ns + lasts_ns, f"failpoint {self._place}")

    def _act(self, term: Term) -> Any:
        assert self.process is not None, "it acts in its own process only"
        if term.action == "raise":
            raise make_exception(*term.arguments)
        if term.action == "return":
            return term.arguments[0]
        if term.action == "kill":
            self.process.kill()
        elif term.action == "exit":
            self.process.exit_now(term.arguments[0])
        elif term.action == "term":
            self.process.send_signal(signal.SIGTERM)
        elif term.action == "print":
            sys.stdout.write(f"{term.arguments[0]}\n")
        return NOTHING

    def __repr__(self) -> str:
        return f"SimFailpoint({self._place}, reached {self.reached}, fired {self._fired})"


def _name_of_runner() -> str:
    """Return the name of the task that runs here, outside of tasks that of the thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None  # No loop runs in this thread.
    return task.get_name() if task is not None else threading.current_thread().name


async def _cling() -> None:
    """Wait for ever, whatever cancels it: the very misbehaviour that is to be planted."""
    while True:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            continue


class FailpointSeam:
    """Exchanges the functions that failpoints sit on, for as long as the world is entered."""

    def __init__(self) -> None:
        self._parts = Replacements()
        self._at: dict[str, list[SimFailpoint]] = {}

    def enter(self, _: SimKernel) -> None:
        """Nothing is exchanged before the first failpoint is armed."""

    def leave(self) -> None:
        """Put every function back."""
        self._parts.close()
        self._at.clear()

    def arm(self, failpoints: Mapping[str, SimFailpoint], process: SimProcess) -> None:
        """Let the failpoints act in ``process``. Raises ``UsageError`` for a place that is no function."""
        for failpoint in failpoints.values():
            failpoint.process = process
            name = f"{failpoint.target.module}:{failpoint.target.path}"
            if name not in self._at:
                self._at[name] = []
                self._parts.wrap(name, self._around(self._at[name], failpoint))
            self._at[name].append(failpoint)

    @staticmethod
    def _around(here: list[SimFailpoint], first: SimFailpoint) -> Callable[..., Any]:
        def around(original: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
            if inspect.iscoroutinefunction(original):
                return _around_coroutine(here, original, arguments, named)
            if inspect.isgeneratorfunction(original) or inspect.isasyncgenfunction(original):
                raise UsageError(
                    "a function or a coroutine function", f"{first.target}, a generator", "name its caller"
                )
            return _around_function(here, original, arguments, named)

        return around


def _chosen(here: list[SimFailpoint], moment: str) -> list[SimFailpoint]:
    return [point for point in here if point.target.moment == moment and point.applies()]


def _around_function(here: list[SimFailpoint], original: Any, arguments: Any, named: Any) -> Any:
    for point in _chosen(here, "before"):
        if (instead := point.act()) is not NOTHING:
            return instead
    result = original(*arguments, **named)
    for point in _chosen(here, "after"):
        if (instead := point.act()) is not NOTHING:
            result = instead
    return result


async def _around_coroutine(here: list[SimFailpoint], original: Any, arguments: Any, named: Any) -> Any:
    for point in _chosen(here, "before"):
        if (instead := await point.act_async()) is not NOTHING:
            return instead
    result = await original(*arguments, **named)
    for point in _chosen(here, "after"):
        if (instead := await point.act_async()) is not NOTHING:
            result = instead
    return result
