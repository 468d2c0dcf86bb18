"""Threads of a simulated process, and how they wait.

* A *strand* is one thread: the main one (where a process's ``main`` and its event loop run) or a started one.
* A *wait* is one stack that stands still until somebody ends the wait. Ending it twice is harmless; ending it after
  the process has died does nothing, for ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

if TYPE_CHECKING:
    from chaos.sim.loop import SimLoop
    from chaos.sim.process import SimProcess
    from chaos.sim.scheduler import Scheduler


class Strand:
    """One thread of a process. ``ident`` is what ``threading.get_ident`` gives inside it.

    ``sees_loop``: it acts for the main thread, so that the running loop is the running one for it, too.
    """

    def __init__(
        self,
        process: SimProcess,
        name: str,
        ident: int,
        function: Callable[[], Any],
        *,
        is_daemon: bool = False,
        sees_loop: bool = False,
    ) -> None:
        self.process, self.name, self.ident = process, name, ident
        self.is_daemon, self.sees_loop = is_daemon, sees_loop
        self.number = process.kernel.next_number()
        self.has_ended = False
        self.on_end: list[Callable[[], None]] = []
        self._function = function
        self._stack: greenlet | None = None

    @property
    def trace_name(self) -> str:
        """Return what it is called in traces."""
        return f"{self.process.name}/{self.name}"

    def start(self) -> None:
        """Let it have its first turn when the others have had theirs."""
        self.process.strands.append(self)
        self.process.kernel.add_turn((self.turn, (), None, None))

    def turn(self) -> None:
        """Run until it waits or ends; called by a carrier in its turn."""
        if self.process.is_alive:
            self._stack = greenlet(self._run)
            self.process.kernel.run_strand(self, self._stack)

    def _run(self) -> None:
        try:
            self._function()
        finally:
            self.has_ended = True
            if self in self.process.strands:
                self.process.strands.remove(self)
            for callback in self.on_end:
                callback()

    def __repr__(self) -> str:
        return f"Strand({self.trace_name}, {'ended' if self.has_ended else 'not ended'})"


class Wait:
    """The current stack of a process, standing still; made by ``wait_here``."""

    __slots__ = (
        "error",
        "is_over",
        "kernel",
        "loop",
        "number",
        "place",
        "process",
        "since_ns",
        "stack",
        "strand",
        "what",
    )

    def __init__(self, kernel: Scheduler, process: SimProcess, what: str) -> None:
        self.kernel, self.process, self.what = kernel, process, what
        self.loop: SimLoop | None = kernel.loop
        self.strand: Any = kernel.strand
        self.stack = getcurrent()
        self.number: int = self.strand.number if self.strand is not None else process.number
        self.place: FrameType | None = None
        self.since_ns = kernel.now_ns
        self.is_over = False
        self.error: BaseException | None = None

    @property
    def trace_name(self) -> str:
        """Return what it is called in traces."""
        thread = self.strand.name if self.strand is not None else "loop"
        return f"{self.process.name}/{thread}: {self.what}"

    def end(self) -> None:
        """Let the stack go on, in its turn; harmless to repeat."""
        if not self.is_over:
            self.is_over = True
            self.kernel.add_turn((self.turn, (), None, None))

    def turn(self) -> None:
        """Switch to the stack that waited; called by a carrier."""
        if self.process.is_alive:
            self.kernel.go_on(self)

    def here(self) -> None:
        """Stand still until ``end``. On a loop's own stack the whole loop stands still, others go on.

        Raises ``GreenletExit`` when the process is gone and its stacks are being cleared away.
        """
        process, loop = self.process, self.loop
        if not process.is_alive:
            raise GreenletExit
        self.place = sys._getframe(1)  # noqa: SLF001 - for what a deadlock tells
        process.waits[self] = None
        if loop is not None:
            loop.hold()
        try:
            self.kernel.leave_stack()
        finally:
            process.waits.pop(self, None)
            self.place = None
        if not process.is_alive:
            raise GreenletExit
        if loop is not None:
            loop.release()
        if self.error is not None:
            raise self.error

    def __hash__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        return f"Wait({self.trace_name}, since {self.since_ns / 1e9:g} s, {'over' if self.is_over else 'not over'})"
