"""Handles, tasks and futures of the simulated event loops: asyncio's own, with an order that two runs share.

* Tasks and futures hash by a number of their world instead of by address: sets of them iterate alike everywhere.
* The handles are asyncio's, with cheaper constructors; cancelling a timer asks the loop for nothing. What only
  debugging writes into a timer is not there until then: its constructor is run for every wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from chaos.sim.loop import SimLoop

T = TypeVar("T")


class SimHandle(asyncio.Handle):
    """A callback that will run in its turn, of a loop, or of the world where ``loop`` is None."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: SimLoop | None, context: Context | None
    ) -> None:
        self._callback: Callable[..., object] | None = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class SimTimerHandle(asyncio.TimerHandle):
    """A callback that will run at a time (seconds of its loop); ``when_ns`` is that in virtual nanoseconds."""

    __slots__ = ("_origin", "when_ns")
    _scheduled, _repr = True, None  # asyncio writes them into timers of its own loops only.

    def __init__(
        self,
        when_ns: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: SimLoop | None,
        context: Context | None,
    ) -> None:
        self.when_ns = when_ns
        self._callback: Callable[..., object] | None = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False

    @property
    def _when(self) -> float:  # asyncio has an attribute of each handle, of which only a few are ever asked.
        return self.when_ns / 1e9

    @property
    def _source_traceback(self) -> Any:  # As above.
        return getattr(self, "_origin", None)

    @_source_traceback.setter
    def _source_traceback(self, origin: Any) -> None:
        self._origin = origin

    def cancel(self) -> None:
        """Call it off; harmless when it has happened."""
        self._cancelled = True
        self._callback, self._args = None, ()


class SimTask(asyncio.Task[T]):
    """asyncio's task with a number, which is its hash and its default name."""

    def __init__(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        loop: SimLoop,
        name: str | None = None,
        context: Context | None = None,
        **more: Any,
    ) -> None:
        self.number = loop.next_number()
        super().__init__(coro, loop=loop, name=name or f"Task-{self.number}", context=context, **more)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimFuture(asyncio.Future[T]):
    """asyncio's future; it takes a number as its hash when it is first asked for one."""

    _number: int | None = None

    def __hash__(self) -> int:
        if self._number is None:
            loop: Any = self.get_loop()
            self._number = int(loop.next_number())
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


def task_of_step(callback: Any) -> Any:
    """Return the task whose step ``callback`` is, or None: only asyncio's tasks themselves make such callables."""
    if callback.__class__ in STEP_TYPES:
        owner: Any = callback.__self__  # type: ignore[attr-defined] # Each of these types has it.
        return owner if isinstance(owner, asyncio.Task) else None
    return None


def _step_types() -> frozenset[type]:
    """Learn, from a loop that only listens, the types of the callables by which tasks ask to be run."""
    seen: list[type] = []

    class Listener(asyncio.AbstractEventLoop):
        def call_soon(  # type: ignore[override] # The abstract one ties the arguments to the callback.
            self,
            callback: Any,
            *_args: Any,
            context: Any = None,  # noqa: ARG002
        ) -> asyncio.Handle:
            seen.append(type(callback))
            callback(*_args)
            return None  # type: ignore[return-value] # Tasks never look at it.

        def get_debug(self) -> bool:
            return False

    async def waits(future: asyncio.Future[None]) -> None:
        await future

    complete: Any = Listener  # It needs no more than tasks ask of it.
    loop = complete()
    future: asyncio.Future[None] = asyncio.Future(loop=loop)
    running = asyncio._get_running_loop()  # noqa: SLF001 - public by its documentation, for event loops
    asyncio._set_running_loop(None)  # noqa: SLF001 - as above
    try:
        task = asyncio.Task(waits(future), loop=loop)
        future.set_result(None)
        assert task.done(), "the task must have run inside its own call_soon"
    finally:
        asyncio._set_running_loop(running)  # noqa: SLF001 - as above
    return frozenset(seen)


STEP_TYPES = _step_types()
