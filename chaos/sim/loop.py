"""The event loop of a simulated process: all of ``asyncio.AbstractEventLoop`` that the simulation has.

* Whatever is not here raises ``NotSimulatedError`` and says what was called (see ``loop_refusals``).
* The loop owns no queue: what is ready goes to the world's scheduler. While the loop is *held* (not running, blocked by
  its own code, dead) what would be its turn is put aside, in order.
* Sockets are the network's (see ``loop_network``); signals and their handlers are the process's.
"""

from __future__ import annotations

import asyncio
import math
import sys
import traceback
from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from greenlet import GreenletExit

from chaos.sim.loop_executor import LoopExecutor
from chaos.sim.loop_network import LoopNetwork
from chaos.sim.loop_refusals import refuse_the_rest
from chaos.sim.loop_signals import LoopSignals
from chaos.sim.scheduler import FOREVER_NS
from chaos.sim.tasks import STEP_TYPES, SimFuture, SimHandle, SimTask, SimTimerHandle

if TYPE_CHECKING:
    from chaos.sim.process import SimProcess

ORIGIN_DEPTH = 10  # As in asyncio.constants.
FOREVER_S = FOREVER_NS / 1e9


@refuse_the_rest
class SimLoop(LoopExecutor, LoopNetwork, LoopSignals, asyncio.AbstractEventLoop):  # type: ignore[misc] # Less typed.
    """One event loop of ``process``; its time is the world's."""

    def __init__(self, process: SimProcess) -> None:
        self.process, self.kernel = process, process.kernel
        self.held: list[Any] = []
        self.is_held = True
        self.failure: BaseException | None = None
        self.timers_fired_ns = -1  # When a timer of this loop was last due.
        self.asyncgens: WeakSet[Any] = WeakSet()
        self.next_number = self.kernel.next_number
        self._add_turn, self._add_callback = self.kernel.add_turn, self.kernel.add_callback
        self._add_timer = self.kernel.add_timer
        self._is_permuted = self.kernel.policy.name != "fifo"
        self._asked = self._taken = 0  # Callbacks asked for by call_soon, and those of them that had their turn.
        self._early: deque[tuple[int, Any]] = deque()  # Steps, each with the callbacks that must come before it.
        self._is_running = self._is_closed = self._is_tracking = False
        self._depth_before = 0
        asks: Any = asyncio.coroutines
        self._is_debugging: bool = asks._is_debug_mode()  # noqa: SLF001 - the environment, as asyncio reads it
        self._task_factory: Any = None
        self._exception_handler: Any = None
        self._current_handle = None  # Read by asyncio's own default exception handler.
        super().__init__()

    # Time and turns.

    def time(self) -> float:
        """Return the virtual time in seconds, which is also what ``time.monotonic`` gives inside the process."""
        return self.kernel.now_ns / 1e9

    def call_soon(  # type: ignore[override] # The abstract one ties the arguments to the callback.
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run ``callback`` in its turn. Raises ``RuntimeError`` when the loop is closed."""
        if self._is_closed:
            self._check_closed()
        if callback.__class__ in STEP_TYPES:
            owner: Any = callback.__self__  # type: ignore[attr-defined] # Each of these types has it.
            if owner.__class__ is SimTask or (isinstance(owner, asyncio.Task) and self._adopt(owner)):
                step = (callback, args, context or copy_context(), self)
                if self._asked == self._taken:
                    self._add_turn(step)
                else:
                    self._early.append((self._asked, step))
                return None  # type: ignore[return-value] # Tasks never look at it.
        handle = SimHandle(callback, args, self, context if context is not None else copy_context())
        if self._is_debugging:
            self._check_callback(callback, "call_soon", handle)
        self._ask(handle)
        return handle

    def _ask(self, handle: SimHandle) -> None:
        if self._is_permuted:
            self._asked += 1
        self._add_callback(handle)

    def callback_taken(self) -> None:
        """Count a callback that has its turn now, and let the steps that were asked for after it have theirs.

        asyncio promises that what ``call_soon`` was asked for runs in that order. A step may come later than that, as
        if whatever woke its task had come later; it may never come before a callback that was asked for before it.
        """
        self._taken += 1
        early = self._early
        while early and early[0][0] <= self._taken:
            self._add_turn(early.popleft()[1])

    def call_soon_threadsafe(  # type: ignore[override] # The abstract one ties the arguments to the callback.
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run ``callback`` in its turn; to be called by any thread of the process."""
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override] # The abstract one ties the arguments to the callback.
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run ``callback`` ``delay`` seconds from now."""
        if delay is None:
            raise TypeError("delay must not be None")
        return self._call_at_ns(self.kernel.now_ns + _nanoseconds(delay), callback, args, context)

    def call_at(  # type: ignore[override] # The abstract one ties the arguments to the callback.
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run ``callback`` at ``when`` seconds of this loop's time."""
        if when is None:
            raise TypeError("when cannot be None")
        return self._call_at_ns(_nanoseconds(when), callback, args, context)

    def _call_at_ns(
        self, when_ns: int, callback: Any, args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        if self._is_closed:
            self._check_closed()
        handle = SimTimerHandle(when_ns, callback, args, self, context if context is not None else copy_context())
        if self._is_debugging:
            self._check_callback(callback, "call_at", handle)
        self._add_timer(handle)
        return handle

    def _adopt(self, task: Any) -> bool:
        """Give a number to a task that a factory of the program made."""
        if not hasattr(task, "number"):
            task.number = self.next_number()
        return True

    def _check_callback(self, callback: Any, method: str, handle: asyncio.Handle) -> None:
        """Do what asyncio does in debug mode: refuse what is no callback, and note who asked."""
        if asyncio.iscoroutine(callback) or asyncio.iscoroutinefunction(callback):
            raise TypeError(f"coroutines cannot be used with {method}()")
        if not callable(callback):
            raise TypeError(f"a callable object was expected by {method}(), got {callback!r}")
        noted: Any = handle
        noted._source_traceback = traceback.extract_stack(sys._getframe(2))  # noqa: SLF001 - asyncio's own slot

    # Futures and tasks.

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return SimFuture(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Return a task of this loop; what Python's version allows as options is allowed."""
        self._check_closed()
        if self._task_factory is None:
            return SimTask(coro, loop=self, **options)
        name = options.pop("name", None)
        if options.get("context", self) is None:
            del options["context"]
        task: asyncio.Task[Any] = self._task_factory(self, coro, **options)
        if name is not None and hasattr(task, "set_name"):
            task.set_name(name)
        return task

    def set_task_factory(self, factory: Any) -> None:
        """Let ``factory`` make the tasks; None for the usual ones."""
        if factory is not None and not callable(factory):
            raise TypeError("task factory must be a callable or None")
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        """Return what makes the tasks, None for the usual."""
        return self._task_factory

    # Life.

    def run_forever(self) -> None:
        """Run until ``stop``. Raises what a callback raised that ends processes (``SystemExit`` and the like)."""
        self._check_closed()
        if self._is_running:
            raise RuntimeError("This event loop is already running")
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - public by its documentation, for event loops
            raise RuntimeError("Cannot run the event loop while another loop is running")
        self._is_running = True
        self._track_origins(self._is_debugging)
        try:
            self.kernel.run_loop(self)
        finally:
            self._track_origins(False)
            self._is_running = False
            self.is_held = True
        if (failure := self.failure) is not None:
            self.failure = None
            raise failure

    def run_until_complete(self, future: Any) -> Any:
        """Run until ``future`` is done, and return its result or raise its exception."""
        self._check_closed()
        if self._is_running:
            raise RuntimeError("This event loop is already running")
        new_task = not asyncio.isfuture(future)
        future = asyncio.ensure_future(future, loop=self)  # noqa: TID251 - the loop itself
        if new_task:
            future._log_destroy_pending = False  # noqa: SLF001 - as every loop of asyncio does
        future.add_done_callback(_stop_with)
        try:
            self.run_forever()
        except BaseException:
            if new_task and future.done() and not future.cancelled():
                future.exception()  # It counts as retrieved: the caller has no access to the task.
            raise
        finally:
            future.remove_done_callback(_stop_with)
        if not future.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return future.result()

    def stop(self) -> None:
        """Stop running: after the present batch where the policy has batches, else after the present callback."""
        if self.kernel.loop is not self:
            self._ask(SimHandle(self._stopped, (), self, Context()))
        elif not self.kernel.policy.put_at_end_of_batch(SimHandle(self._stopped, (), self, Context())):
            self._stopped()

    def _stopped(self) -> None:
        self.is_held = True
        self.kernel.loop_stopped(self)

    def hold(self) -> None:
        """Put aside what would be this loop's turn, until ``release``."""
        self.is_held = True

    def release(self) -> None:
        """Take turns again, beginning with what was put aside."""
        self.is_held = False
        held, self.held = self.held, []
        for item in held:
            (self._add_turn if item.__class__ is tuple else self._add_callback)(item)

    def callback_failed(self, error: BaseException, item: Any) -> None:
        """Report what a callback raised; an error that ends processes is raised by ``run_forever``."""
        if isinstance(error, GreenletExit):
            raise error  # The stack is being cleared away.
        if isinstance(error, SystemExit | KeyboardInterrupt):
            self.failure = error
            self._stopped()
            return
        handle = item if isinstance(item, asyncio.Handle) else None
        name = getattr(item, "_callback", None) or item
        self.call_exception_handler({"message": f"Exception in callback {name}", "exception": error, "handle": handle})

    def is_running(self) -> bool:
        """Return whether ``run_forever`` is under way."""
        return self._is_running

    def is_closed(self) -> bool:
        """Return whether ``close`` was called."""
        return self._is_closed

    def close(self) -> None:
        """Drop what was to be called; never to run again. Raises ``RuntimeError`` while it runs."""
        if self._is_running:
            raise RuntimeError("Cannot close a running event loop")
        if not self._is_closed:
            self._is_closed = True
            self.is_held = True
            self.held.clear()
            self._early.clear()
            self.close_executor()
            self.process.loop_closed(self)

    def _check_closed(self) -> None:
        if self._is_closed:
            raise RuntimeError("Event loop is closed")

    async def shutdown_asyncgens(self) -> None:
        """Close every asynchronous generator that is still alive."""
        closing = list(self.asyncgens)
        self.asyncgens.clear()
        results = await asyncio.gather(*[agen.aclose() for agen in closing], return_exceptions=True)
        for result, agen in zip(results, closing, strict=True):
            if isinstance(result, Exception):
                message = f"an error occurred during closing of asynchronous generator {agen!r}"
                self.call_exception_handler({"message": message, "exception": result, "asyncgen": agen})

    # Errors.

    def set_exception_handler(self, handler: Any) -> None:
        """Let ``handler`` hear of errors that nobody else hears of; None for the usual one, which logs."""
        if handler is not None and not callable(handler):
            raise TypeError(f"A callable object or None is expected, got {handler!r}")
        self._exception_handler = handler

    def get_exception_handler(self) -> Any:
        """Return what hears of errors, None for the usual."""
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log the error as asyncio does, and keep it in ``process.unhandled``."""
        self.process.note_unhandled(context)
        base: Any = asyncio.base_events.BaseEventLoop
        base.default_exception_handler(self, context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell the handler, as asyncio does; not once the process is dead."""
        if self.process.is_alive:
            base: Any = asyncio.base_events.BaseEventLoop
            base.call_exception_handler(self, context)

    def get_debug(self) -> bool:
        """Return whether asyncio's debug mode is on."""
        return self._is_debugging

    def set_debug(self, enabled: bool) -> None:
        """Switch asyncio's debug mode; slow callbacks are not told of, since virtual time does not pass in them."""
        self._is_debugging = bool(enabled)
        if self._is_running:
            self.call_soon(self._track_origins, self._is_debugging)

    def _track_origins(self, enabled: bool) -> None:
        """Let coroutines remember who made them, as asyncio does in debug mode."""
        if enabled != self._is_tracking:
            self._is_tracking = enabled
            if enabled:
                self._depth_before = sys.get_coroutine_origin_tracking_depth()
            sys.set_coroutine_origin_tracking_depth(ORIGIN_DEPTH if enabled else self._depth_before)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "running" if self._is_running else "not running"
        return f"<SimLoop of {self.process.name} {state}>"


def loop_of(process: SimProcess) -> SimLoop:
    """Return a new loop of this process."""
    complete: Any = SimLoop  # The type checker does not see the methods that ``refuse_the_rest`` adds.
    loop: SimLoop = complete(process)
    return loop


def _stop_with(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and isinstance(future.exception(), SystemExit | KeyboardInterrupt):
        return  # Whoever runs the loop raises it.
    future.get_loop().stop()


def _nanoseconds(seconds: float) -> int:
    if not 0 < seconds < FOREVER_S:
        return 0 if seconds <= 0 else _forever(seconds)
    nanoseconds = round(seconds * 1e9)
    # Never a fraction of a nanosecond early: who finds that his time has not come yet would wait for it again, at once.
    return nanoseconds if nanoseconds / 1e9 >= seconds else nanoseconds + 1


def _forever(seconds: float) -> int:
    if math.isnan(seconds):
        raise ValueError("Invalid delay: NaN (not a number)")
    return FOREVER_NS
