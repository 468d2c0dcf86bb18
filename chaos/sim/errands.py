"""Work that one simulated process asks of another and waits for, as nothing real could: for the tool's own code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from chaos.sim.verdicts import SimulationError

if TYPE_CHECKING:
    from chaos.sim.process import SimProcess

T = TypeVar("T")


class ProcessGoneError(SimulationError):
    """The process that was to do something has ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"expected the process {name} to do its errand, found it dead; start it again first")


async def run_in(process: SimProcess, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``work`` as a task of ``process`` and return its result or raise its error; to be awaited in another one.

    Cancelling it cancels the task. Raises ``ProcessGoneError`` when the process ends before the task does.
    """
    asking = process.kernel.current
    assert asking is not None, "only code of a simulated process can wait for another one"
    if not process.is_alive:
        raise ProcessGoneError(process.name)
    errand = _Errand(process, asking, work)
    result: T = await errand.done()
    return result


class _Errand:
    def __init__(self, process: SimProcess, asking: Any, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._process, self._asking, self._work = process, asking, work
        self._answer: asyncio.Future[Any] = asking.loop.create_future()
        self._task: asyncio.Task[Any] | None = None

    def __repr__(self) -> str:
        return f"_Errand({self._asking.name} asks {self._process.name})"

    def done(self) -> Awaitable[Any]:
        """Begin, and return what can be awaited."""
        self._process.on_end.append(self._process_ended)
        self._process.kernel.deliver(self._process, self._begin)
        return self._wait()

    async def _wait(self) -> Any:
        try:
            return await self._answer
        except asyncio.CancelledError:
            self._process.kernel.deliver(self._process, self._cancel)
            raise
        finally:
            if self._process_ended in self._process.on_end:
                self._process.on_end.remove(self._process_ended)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        if not self._answer.done():
            self._task = self._process.loop.create_task(self._work(), name=f"errand of {self._asking.name}")
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._process.kernel.deliver(self._asking, self._settle, task)

    def _settle(self, task: asyncio.Task[Any]) -> None:
        if self._answer.done():
            return
        if task.cancelled():
            self._answer.cancel()
        elif (error := task.exception()) is not None:
            self._answer.set_exception(error)
        else:
            self._answer.set_result(task.result())

    def _process_ended(self, _process: SimProcess) -> None:
        self._process.kernel.deliver(self._asking, self._fail)

    def _fail(self) -> None:
        if not self._answer.done():
            self._answer.set_exception(ProcessGoneError(self._process.name))
