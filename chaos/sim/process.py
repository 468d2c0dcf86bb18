"""A simulated process: its main thread, its event loop, its threads, and the four ways in which it can end.

* It *returns*: as an interpreter does, it waits for its threads that are no daemons; then its descriptors are closed.
* ``exit_now`` (``os._exit``) and ``kill`` end it between two instructions: no ``finally``, no callback, no flush.
* ``kill(power_lost=True)`` is the end of its whole machine: what was not made durable is the disk's to decide.
* It may be ended from outside at any time, or by its own code, which then never goes on.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import traceback
from collections.abc import Callable
from concurrent.futures import thread as pools
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit

from chaos.sim.loop import SimLoop, loop_of
from chaos.sim.process_signals import ProcessSignals
from chaos.sim.strands import Strand, Wait

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel

UNHANDLED_KEPT = 100


class SimProcess:
    """One simulated process. ``main`` is an ``async`` or a plain function; its integer result is the exit code."""

    def __init__(self, kernel: SimKernel, number: int, name: str, main: Callable[[], Any]) -> None:
        self.kernel, self.number, self.name = kernel, number, name
        self.is_alive = True
        self.exit_code: int | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.power_lost = False
        self.unhandled: list[dict[str, Any]] = []
        self.strands: list[Strand] = []
        self.waits: dict[Wait, None] = {}
        self.remains: list[Any] = []
        self.on_end: list[Callable[[SimProcess], object]] = []
        self.signals = ProcessSignals(self)
        self.loops: list[SimLoop] = []
        self.main_strand = Strand(self, "main", kernel.real_ident, lambda: self._live(main))

    @property
    def loop(self) -> SimLoop:
        """Its event loop, made when it is first asked for."""
        return self.loops[-1] if self.loops else self.new_loop()

    def new_loop(self) -> SimLoop:
        """Return another event loop, which takes the place of the one before."""
        self.loops.append(loop_of(self))
        return self.loops[-1]

    def loop_closed(self, loop: SimLoop) -> None:
        """Forget a loop that was closed, but for the last one."""
        if loop in self.loops[:-1]:
            self.loops.remove(loop)

    def start(self) -> None:
        """Let its main thread begin in its turn."""
        self.main_strand.start()

    def _live(self, main: Callable[[], Any]) -> None:
        try:
            self.result = self._run(main)
            code = self.result if isinstance(self.result, int) and not isinstance(self.result, bool) else 0
            self._join_threads()
        except GreenletExit:
            raise
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
        except KeyboardInterrupt:
            code = -signal.SIGINT
        except BaseException as error:  # noqa: BLE001 - the interpreter's own last handler
            self.error, code = error, 1
            self.kernel.trace("uncaught", process=self.name, error=type(error).__name__)
        self._ended(code)

    def _run(self, main: Callable[[], Any]) -> Any:
        if not inspect.iscoroutinefunction(main):
            return main()
        with asyncio.Runner(loop_factory=self._first_loop) as runner:
            return runner.run(main())

    def _first_loop(self) -> SimLoop:
        return self.loop if not self.loop.is_closed() else self.new_loop()

    def _join_threads(self) -> None:
        """Wait for the threads that are no daemons, as the interpreter does at its end."""
        self._release_pools()
        for strand in [strand for strand in self.strands if not strand.is_daemon and strand is not self.main_strand]:
            if not strand.has_ended:
                wait = Wait(self.kernel, self, f"end of thread {strand.name}")
                strand.on_end.append(wait.end)
                wait.here()

    def _release_pools(self) -> None:
        """Let the threads of pools that nobody shut down end after their work, as the interpreter does at exit."""
        idents = {strand.ident for strand in self.strands}
        for thread, items in list(pools._threads_queues.items()):  # noqa: SLF001 - the only place
            if thread.ident in idents:
                arguments = getattr(thread, "_args", ())
                executor = arguments[0]() if arguments else None
                if executor is not None:
                    executor._shutdown = True  # noqa: SLF001 - what the interpreter's end means to a pool
                items.put(None)

    def kill(self, *, power_lost: bool = False, exit_code: int = -signal.SIGKILL) -> None:
        """End it this instant. Called by its own code, this never returns."""
        self._ended(exit_code, power_lost=power_lost)
        if self.kernel.current is self:
            self.kernel.abandon_stack()

    def exit_now(self, code: int) -> None:
        """End it as ``os._exit`` does; never returns to its own code."""
        self.kill(exit_code=code)

    def send_signal(self, number: int) -> None:
        """Deliver a signal: to the handler it has for it, or with the signal's own effect."""
        self.kernel.trace("signal", process=self.name, signal=signal.Signals(number).name)
        self.signals.deliver(number)

    def _ended(self, exit_code: int, *, power_lost: bool = False) -> None:
        if not self.is_alive:
            return
        self.is_alive, self.exit_code, self.power_lost = False, exit_code, power_lost
        for loop in self.loops:
            loop.is_held = True
            self.remains += [*asyncio.all_tasks(loop), *loop.asyncgens]
        self.remains += self.strands
        self.kernel.process_ended(self)
        for callback in self.on_end:
            callback(self)

    def note_unhandled(self, context: dict[str, Any]) -> None:
        """Keep what the loop's exception handler was told, for the verdict; the first hundred."""
        if len(self.unhandled) < UNHANDLED_KEPT:
            self.unhandled.append(context)
        error = context.get("exception")
        self.kernel.trace("unhandled", process=self.name, error=type(error).__name__, message=context.get("message"))

    def traceback(self) -> str:
        """Return the traceback of the error that ended it, or nothing."""
        return "".join(traceback.format_exception(self.error)) if self.error is not None else ""

    def __repr__(self) -> str:
        state = "alive" if self.is_alive else f"ended with {self.exit_code}"
        return f"SimProcess({self.name}, {self.number}, {state}, {len(self.strands)} threads)"
