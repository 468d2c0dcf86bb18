"""The simulated world's kernel: processes on one scheduler, one time, one set of decisions.

* Made, *entered* (the seams take the place of the real calls), driven, looked at, *cleared away*. ``with kernel:`` does
  the first and the last; between ``run`` and the end of the ``with`` everything can be looked at.
* Clearing away unwinds every stack that was left in the middle, with every seam dead (its process is not alive, and
  whatever waits raises): memory stays flat over any number of worlds.
* It may be driven from anywhere, also from code that a real event loop runs: that loop is put aside meanwhile.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import Context
from types import TracebackType
from typing import Any, Self

from greenlet import GreenletExit, getcurrent, greenlet

from chaos.seed import Seed
from chaos.sim.asyncio_state import AsyncioState
from chaos.sim.choices import UNCHANGED, Script, SeededChoices
from chaos.sim.clearing import clear_away
from chaos.sim.imports import Imports
from chaos.sim.loop import SimLoop
from chaos.sim.numbering import Numbering
from chaos.sim.policies import policy_of
from chaos.sim.ports import Disk, Network
from chaos.sim.process import SimProcess
from chaos.sim.scheduler import FOREVER_NS, Scheduler
from chaos.sim.seams import Seam
from chaos.sim.strands import Strand, Wait
from chaos.sim.verdicts import DeadlockError
from chaos.sim.waiting import what_waits

FIRST_PROCESS_NUMBER = 1_000
STEPS_MAX = 1_000_000

real_get_ident = threading.get_ident


class SimKernel(Scheduler):
    """See the module. ``seams`` are entered in their order; ``clock`` and the like are seams of their own."""

    def __init__(
        self,
        seed: Seed,
        *,
        policy: str = "portfolio",
        script: Script = UNCHANGED,
        seams: Sequence[Seam] = (),
        steps_max: int = STEPS_MAX,
        records_choices: bool = False,
    ) -> None:
        self.seed = seed
        self.choices = SeededChoices(seed, script, records=records_choices)
        super().__init__(policy_of(policy, self.choices), steps_max=steps_max)
        self.seams: list[Seam] = [AsyncioState(), Numbering(), Imports(), *seams]
        self.network: Network | None = None
        self.disk: Disk | None = None
        self.processes: list[SimProcess] = []
        self.abandoned: list[tuple[greenlet, SimProcess, Strand | None]] = []
        self.real_ident = real_get_ident()
        self.before_pause: Callable[[SimProcess, str], object] | None = None
        self.on_process_ended: list[Callable[[SimProcess], object]] = []
        self.pauses = 0
        self._entered: ExitStack | None = None
        self._draw_pause = self.choices.stream("pause")
        self.draw_preemption = self.choices.stream("preempt")
        self._loop_waits: dict[SimLoop, Wait] = {}

    # Entering and leaving.

    def __enter__(self) -> Self:
        """Enter the seams."""
        assert self._entered is None, "the world is entered already"
        with ExitStack() as stack:
            for seam in self.seams:
                seam.enter(self)
                stack.callback(seam.leave)
            self._entered = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Clear everything away, then leave the seams."""
        entered, self._entered = self._entered, None
        assert entered is not None, "only an entered world can be left"
        with warnings.catch_warnings(action="ignore"), entered:  # Of what the dead did not await or close.
            clear_away(self)

    @property
    def is_entered(self) -> bool:
        """Whether the seams are in force."""
        return self._entered is not None

    def is_inside(self) -> bool:
        """Whether the caller is code of a simulated process."""
        return self.current is not None and real_get_ident() == self.real_ident

    # Processes.

    def start(self, name: str, main: Callable[[], Any]) -> SimProcess:
        """Start a process; ``main`` is an async or a plain function without arguments."""
        process = self.new_process(name, main)
        process.start()
        self.trace("start", process=name)
        return process

    def new_process(self, name: str, main: Callable[[], Any]) -> SimProcess:
        """Return a process that has not been started."""
        number = FIRST_PROCESS_NUMBER + len(self.processes)
        self.processes.append(SimProcess(self, number, name, main))
        return self.processes[-1]

    def process_numbered(self, number: int) -> SimProcess | None:
        """Return the process of that number, if there was one."""
        index = number - FIRST_PROCESS_NUMBER
        return self.processes[index] if 0 <= index < len(self.processes) else None

    def begin_anew(self) -> None:
        """Clear away and forget the processes up to now, so that the next one has the first number again.

        Nothing may be driven, and no network be there; disk and time stay as they are.
        """
        assert not self.is_driving, "the world is being driven"
        assert self.network is None, "what a network keeps of its processes cannot be forgotten"
        with warnings.catch_warnings(action="ignore"):
            clear_away(self)
        self.processes.clear()

    def process_ended(self, process: SimProcess) -> None:
        """Tell the network and the disk; called by the process at its end, whatever kind of end."""
        self.trace("end", process=process.name, code=process.exit_code, power_lost=process.power_lost)
        if self.network is not None:
            self.network.process_ended(process, power_lost=process.power_lost)
        if self.disk is not None:
            self.disk.process_ended(process, power_lost=process.power_lost)
        for callback in self.on_process_ended:
            callback(process)

    def raise_in_main(self, process: SimProcess, error: BaseException) -> None:
        """Raise ``error`` where the main thread of ``process`` is, as a signal handler's error is."""
        loop_wait = next((wait for wait in process.waits if wait.loop is not None), None)
        main_wait = next((wait for wait in process.waits if wait.strand is process.main_strand), None)
        if loop_wait is None and main_wait is not None and main_wait is self._loop_waits.get(process.loop):
            process.loop.callback_failed(error, None)
        elif (wait := loop_wait or main_wait) is not None:
            wait.error = error
            wait.end()

    # Driving.

    def run(self, *, until_ns: int = FOREVER_NS, stop_when: Callable[[], bool] | None = None) -> None:
        """Drive the world until ``until_ns``, or nothing is left to happen, or somebody calls ``stop``."""
        assert self.is_entered, "enter the world first: with kernel: …"
        if stop_when is None or not stop_when():
            self.drive(until_ns)

    def stop(self) -> None:
        """Let ``run`` return after the present turn."""
        self.is_stopping = True

    def run_loop(self, loop: SimLoop) -> None:
        """Run a loop until it is stopped: on its process's thread, or driving the world from outside."""
        if not loop.process.is_alive:
            raise GreenletExit  # What is left of a dead process runs no loop while it is cleared away.
        if self.is_driving:
            wait = self._loop_waits[loop] = Wait(self, loop.process, "event loop")
            loop.release()
            try:
                wait.here()
            finally:
                self._loop_waits.pop(loop, None)
            return
        with ExitStack() as stack:
            if not self.is_entered:
                stack.enter_context(_EnteredForDriving(self))
            loop.release()
            self.drive(FOREVER_NS)
        if not loop.is_held:
            raise DeadlockError(self.now_ns / 1e9, self.waiting())

    def loop_stopped(self, loop: SimLoop) -> None:
        """Let whoever runs this loop go on."""
        if (wait := self._loop_waits.get(loop)) is not None:
            wait.end()
        else:
            self.is_stopping = True

    def deliver(self, process: Any, callback: Callable[..., None], *arguments: Any) -> None:
        """Run ``callback`` in the loop of ``process`` on its next turn, in order; dropped if it is dead by then."""
        if process.is_alive and not process.loop.is_closed():
            process.loop.call_soon(callback, *arguments, context=Context())

    def deliver_ready(self, process: Any, callback: Callable[..., None], *arguments: Any) -> None:
        """Deliver that a socket is ready; see ``ports.Kernel``."""
        if process.is_alive and process.loop.timers_fired_ns == self.now_ns:
            self.deliver(process, self.deliver, process, callback, *arguments)
        else:
            self.deliver(process, callback, *arguments)

    # Inside a call of a process.

    def pause_point(self, what: str) -> None:
        """Let others run here; see ``ports.Kernel``. Raises ``GreenletExit`` in what is left of a dead process."""
        process = self.current
        if process is None:
            return
        self.pauses += 1
        if self.before_pause is not None and process.is_alive:
            self.before_pause(process, what)
        if not process.is_alive or (self._others_may_run(process) and self._draw_pause(2)):
            wait = Wait(self, process, what)
            wait.end()
            wait.here()

    def _others_may_run(self, process: SimProcess) -> bool:
        if not self.is_driving:
            return False
        return self.strand is not None or len(process.strands) > 1

    def block(self, until_ns: int, what: str) -> None:
        """Hold up the calling thread until the virtual time has come; see ``ports.Kernel``."""
        assert self.current is not None, "only code of a process can be held up"
        wait = Wait(self, self.current, what)
        timer = self.at(until_ns, wait.end)
        try:
            wait.here()
        finally:
            timer.cancel()

    def abandon_stack(self) -> None:
        """Leave the current stack for good: its process is dead. Never returns before it is cleared away."""
        assert self.current is not None, "only code of a process is abandoned"
        self.abandoned.append((getcurrent(), self.current, self.strand))
        self.leave_stack()

    # Telling.

    def trace(self, what: str, **facts: Any) -> None:
        """Make a fact part of what two runs of one seed must have in common."""
        line = " ".join([what, *[f"{name}={value}" for name, value in facts.items()]]) if facts else what
        self.digest = hash((self.digest, self.now_ns, self._names.get(line) or self._line_number(line)))
        if self._recorder is not None:
            self._recorder(self.step, self.now_ns, line)

    def waiting(self) -> list[str]:
        """Return a line for each task and thread of every living process that waits."""
        return [line for process in self.processes if process.is_alive for line in what_waits(process)]

    def __repr__(self) -> str:
        alive = sum(process.is_alive for process in self.processes)
        return f"SimKernel(seed {self.seed.number}, {self.now_ns / 1e9:g} s, step {self.step}, {alive} processes)"


class _EnteredForDriving:
    """The seams in force for one drive from outside; nothing is cleared away, the loop may be run again."""

    def __init__(self, kernel: SimKernel) -> None:
        self._kernel, self._stack = kernel, ExitStack()

    def __enter__(self) -> None:
        with ExitStack() as stack:
            for seam in self._kernel.seams:
                seam.enter(self._kernel)
                stack.callback(seam.leave)
            self._stack = stack.pop_all()

    def __exit__(self, *_: object) -> None:
        self._stack.close()
