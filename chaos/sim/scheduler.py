"""Turns: one thing after another, in virtual time, on greenlets that can be left in the middle.

* What is ready lies in two places of the policy: *turns* (steps of tasks, threads that may go on), which it permutes,
  and *callbacks* (of loops and of the world), which keep their order. Timers that are due become callbacks.
* A *carrier* is a greenlet that takes turns and runs loops' callbacks on its own stack. When such a callback has to
  wait (a slow disk, a lock), its carrier is left as it stands and another goes on; later the first is switched to.
* A *thread* of a process is a greenlet of its own; it is switched to by a carrier and switches back when it waits.
* A stack whose process died is never switched to again: no ``finally``, no callback, no flush.
* Time passes only when nothing is ready. A program that spins without ever waiting is charged a millisecond for each
  thousand steps after a while, so that deadlines it looks at do come.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any
from zlib import crc32

from greenlet import getcurrent, greenlet

from chaos.sim.policies import Policy
from chaos.sim.tasks import SimHandle, SimTimerHandle, task_of_step
from chaos.sim.verdicts import LivelockError

if TYPE_CHECKING:
    from chaos.sim.loop import SimLoop
    from chaos.sim.process import SimProcess
    from chaos.sim.strands import Strand, Wait

FOREVER_NS = 1 << 62
SPIN_STEPS = 10_000  # Steps in one instant before further ones cost time:
SPIN_STEPS_PAID = 1_000  # so many steps
SPIN_COST_NS = 1_000_000  # cost so much.
TIMERS_SWEPT_AT = 1_024
UNKNOWN = object()
"""No loop at all. To tell asyncio which loop runs is a system call in Python 3.11, so it is told on a change only."""

set_running_loop = asyncio._set_running_loop  # noqa: SLF001 - public by its documentation, for event loops


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is about to be taken; ``process`` is None for the world's own, ``task`` where it is none's."""

    number: int
    process: SimProcess | None
    task: asyncio.Task[Any] | None


class Scheduler:
    """Takes turns until it is told to stop, nothing is left to happen, or a time has come."""

    def __init__(self, policy: Policy, *, steps_max: int) -> None:
        self.policy, self.steps_max = policy, steps_max
        self.now_ns = 0
        self.step = 0
        self.digest = 0
        self.current: SimProcess | None = None
        self.loop: SimLoop | None = None
        self.strand: Strand | None = None
        self.is_stopping = False
        self._recorder: Callable[[int, int, str], None] | None = None
        self._planned: dict[int, list[Callable[[Step], object]]] = {}
        self.add_turn = policy.turns.append
        self.add_callback = policy.callbacks.append
        self._timers: list[tuple[int, int, SimTimerHandle]] = []
        self._sweep_at = TIMERS_SWEPT_AT
        self._numbers = 0
        self._spinning_at = self._alarm = min(SPIN_STEPS, steps_max)
        self._names: dict[str, int] = {}
        self._unnamed: set[type] = set()
        self._hub: greenlet | None = None
        self._carrier: greenlet | None = None
        self._spare: list[greenlet] = []
        self._until_ns = FOREVER_NS
        self._running: object = UNKNOWN

    def next_number(self) -> int:
        """Return a number that nothing else in this world has."""
        self._numbers += 1
        return self._numbers

    def add_timer(self, handle: SimTimerHandle) -> None:
        """Keep a handle until its time has come."""
        self._numbers += 1
        timers = self._timers
        heapq.heappush(timers, (handle.when_ns, self._numbers, handle))
        if len(timers) > self._sweep_at:
            timers[:] = [timer for timer in timers if not timer[2]._cancelled]  # noqa: SLF001 - our own class
            heapq.heapify(timers)
            self._sweep_at = max(TIMERS_SWEPT_AT, 2 * len(timers))

    def at(self, when_ns: int, callback: Callable[[], object]) -> SimTimerHandle:
        """Run ``callback`` as the world's own at ``when_ns`` (at once, in order, if that has passed)."""
        handle = SimTimerHandle(when_ns, callback, (), None, None)
        self.add_timer(handle)
        return handle

    def soon(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Run ``callback`` as the world's own, after what is ready now."""
        self.add_callback(SimHandle(callback, arguments, None, None))

    # Driving.

    def drive(self, until_ns: int) -> None:
        """Take turns until ``is_stopping``, or nothing is left to happen before ``until_ns``."""
        assert self._hub is None, "the world is being driven already"
        self.is_stopping, self._until_ns = False, until_ns
        self._hub = getcurrent()
        self._running = UNKNOWN  # Whoever had this thread meanwhile may have left another there.
        self.enter_world()
        try:
            # A new one, never a spare: a spare began deep in another's stack, and its successor would begin deeper.
            self._carrier = greenlet(self._take_turns, self._hub)
            self._carrier.switch()
        finally:
            self._hub = self._carrier = None
            self._running = UNKNOWN
            self.enter_world()

    @property
    def is_driving(self) -> bool:
        """Whether turns are being taken."""
        return self._hub is not None

    def is_idle(self) -> bool:
        """Whether nothing is ready and no timer will ever be due."""
        policy = self.policy
        return not (policy.callbacks or policy.turns or policy.batch) and self._next_due() >= FOREVER_NS

    def _next_due(self) -> int:
        timers = self._timers
        while timers:
            handle: Any = timers[0][2]
            if handle._cancelled:  # noqa: SLF001 - our own class
                heapq.heappop(timers)
            elif (loop := handle._loop) is not None and not loop.process.is_alive:  # noqa: SLF001 - as above
                loop.held.append(heapq.heappop(timers)[2])
            else:
                break
        return timers[0][0] if timers else FOREVER_NS

    def _fire_due(self) -> None:
        timers, now = self._timers, self.now_ns
        while timers and timers[0][0] <= now:
            handle = heapq.heappop(timers)[2]
            if not handle._cancelled:  # noqa: SLF001 - our own class
                self.add_callback(handle)
                if (loop := handle._loop) is not None:  # noqa: SLF001 - as above
                    loop.timers_fired_ns = now

    def _advance(self) -> bool:
        """Let time pass to the next timer; false when there is none before the end."""
        due = self._next_due()
        if due >= FOREVER_NS:
            return False
        if due > self._until_ns:
            self.now_ns = max(self.now_ns, self._until_ns)
            return False
        self.now_ns = max(self.now_ns, due)
        self._spinning_at = self.step + SPIN_STEPS
        if self._alarm and not self._planned:
            self._alarm = min(self._spinning_at, self.steps_max)
        return True

    def _take_turns(self) -> None:  # noqa: C901, PLR0912 - one loop without calls: they would cost a tenth of a step
        timers, take, batch, names = self._timers, self.policy.take, self.policy.batch, self._names
        permutes = self.policy.name != "fifo"
        while not self.is_stopping:
            if timers and timers[0][0] <= self.now_ns and not batch:
                self._fire_due()
            item = take()
            if item.__class__ is tuple:
                callback, arguments, context, loop = item
                number = callback.__self__.number
            elif item is None:
                if self._advance():
                    continue
                return
            else:
                callback = item._callback  # noqa: SLF001 - our own class, as below
                if callback is None:
                    self._skip(item)
                    continue
                arguments, context, loop = item._args, item._context, item._loop  # noqa: SLF001
                number = names.get(callback.__qualname__) if callback.__class__ is FunctionType else None
            if loop is None:
                self._run_of_world(callback, arguments, number)
                continue
            if loop.is_held:
                loop.held.append(item)
                continue
            if permutes and item.__class__ is SimHandle:
                loop.callback_taken()
            self.step = step = self.step + 1
            self.digest = hash((self.digest, self.now_ns, number or self._named(callback)))
            if step >= self._alarm and self._look_up(callback, loop):
                loop.held.append(item)
                continue
            if loop is not self.loop:
                self.enter_loop(loop)
            try:
                context.run(callback, *arguments)
            except BaseException as error:  # noqa: BLE001 - here a loop's callbacks end; it is reported or raised there
                loop.callback_failed(error, item)

    def _skip(self, cancelled: Any) -> None:
        loop = cancelled._loop  # noqa: SLF001 - our own class
        if loop is not None and cancelled.__class__ is SimHandle and self.policy.name != "fifo":
            loop.callback_taken()

    def _run_of_world(self, callback: Callable[..., object], arguments: tuple[Any, ...], number: int | None) -> None:
        if self.loop is not None or self.current is not None:
            self.enter_world()
        self.step += 1
        self.digest = hash((self.digest, self.now_ns, number or self._named(callback)))
        if self.step >= self._alarm:
            self._look_up(callback, None)
        callback(*arguments)

    def _named(self, callback: Any) -> int:
        if callback.__class__ is MethodType and callback.__func__.__class__ is FunctionType:
            owner = callback.__self__.__class__
            if owner in self._unnamed or self._is_unnamed(owner):
                return self._line_number(callback.__func__.__qualname__)
        return self._line_number(name_of(callback))

    def _is_unnamed(self, owner: type) -> bool:
        """Remember a class whose methods are called by their own name, whatever the object."""
        if hasattr(owner, "trace_name") or issubclass(owner, asyncio.Task):
            return False
        self._unnamed.add(owner)
        return True

    def _line_number(self, name: str) -> int:
        number = self._names.get(name)
        if number is None:
            number = self._names[name] = -1 - crc32(name.encode())
        return number

    def _look_up(self, callback: Any, loop: SimLoop | None) -> bool:
        """Do what not every step needs: the record, what was planned for this step, the price of spinning, the limit.

        Returns whether the step's loop is held now, so that it must not run.
        """
        if self._recorder is not None:
            self._recorder(self.step, self.now_ns, name_of(callback))
        if planned := self._planned.pop(self.step, None):
            step = Step(self.step, loop.process if loop is not None else None, task_of_step(callback))
            self.enter_world()
            for act in planned:
                act(step)
        if self.step >= self.steps_max:
            raise LivelockError(self.steps_max, self.now_ns / 1e9, self.waiting())
        if self.step >= self._spinning_at:
            self.now_ns += SPIN_COST_NS
            self._spinning_at = self.step + SPIN_STEPS_PAID
        self._set_alarm()
        return loop is not None and loop.is_held

    def _set_alarm(self) -> None:
        """Find the next step that is to be looked at."""
        planned = min(self._planned) if self._planned else self.steps_max
        self._alarm = 0 if self._recorder is not None else min(self._spinning_at, planned, self.steps_max)

    def at_step(self, number: int, act: Callable[[Step], object]) -> None:
        """Call ``act`` as the world's own just before that step (the first is 1); a sweep goes from step to step."""
        self._planned.setdefault(number, []).append(act)
        self._set_alarm()

    @property
    def recorder(self) -> Callable[[int, int, str], None] | None:
        """What is told of each step: its number, the virtual time in nanoseconds, and whose it is."""
        return self._recorder

    @recorder.setter
    def recorder(self, recorder: Callable[[int, int, str], None] | None) -> None:
        self._recorder = recorder
        self._set_alarm()

    def waiting(self) -> list[str]:
        """Return a line for each task and thread that waits; the kernel knows them."""
        raise NotImplementedError

    # Whose code runs.

    def enter_loop(self, loop: SimLoop) -> None:
        """Say that what follows is code of this loop's process."""
        if self._running is not loop:
            self._running = loop
            set_running_loop(loop)
        self.loop, self.current, self.strand = loop, loop.process, None

    def enter_world(self) -> None:
        """Say that what follows is the world's own code."""
        if self._running is not None:
            self._running = None
            set_running_loop(None)
        self.loop = self.current = self.strand = None

    def enter_strand(self, strand: Strand) -> None:
        """Say that what follows is code of a thread."""
        seen = strand.process.loop if strand.sees_loop and strand.process.loop.is_running() else None
        if self._running is not seen:
            self._running = seen
            set_running_loop(seen)
        self.loop, self.current, self.strand = None, strand.process, strand

    def spare_stacks(self) -> list[greenlet]:
        """Return the carriers that nobody uses; they are no longer kept."""
        spare, self._spare = self._spare, []
        return spare

    def drop_everything(self) -> None:
        """Forget whatever was to happen."""
        self._timers.clear()
        self.policy.turns.clear()
        self.policy.callbacks.clear()

    # Stacks.

    def _another_carrier(self) -> greenlet:
        carrier = self._spare.pop() if self._spare else greenlet(self._take_turns)
        carrier.parent = self._hub
        return carrier

    def leave_stack(self) -> None:
        """Let others go on; returns when somebody switches to this stack again, which may be never."""
        if self.strand is not None:
            assert self._carrier is not None, "a thread runs only while the world is driven"
            self._carrier.switch()
        else:
            self._carrier = self._another_carrier()
            self._carrier.switch()

    def go_on(self, wait: Wait) -> None:
        """Switch to the stack that waits; called by a carrier in its turn."""
        carrier = self._carrier
        assert carrier is not None, "only a carrier lets others go on"
        if wait.loop is not None:
            self.enter_loop(wait.loop)
            self._spare.append(carrier)
            self._carrier = wait.stack
            wait.stack.parent = self._hub
            wait.stack.switch()
        else:
            self.run_strand(wait.strand, wait.stack)

    def run_strand(self, strand: Strand, stack: greenlet) -> None:
        """Switch to a thread until it waits or ends; called by a carrier in its turn."""
        carrier = self._carrier
        assert carrier is not None, "only a carrier lets others go on"
        self.enter_strand(strand)
        stack.parent = carrier
        stack.switch()
        self.enter_world()


def name_of(callback: Any) -> str:
    """Return what a callback is called in traces: the same in every run."""
    owner = getattr(callback, "__self__", None)
    if (name := getattr(owner, "trace_name", None)) is not None:
        return str(name)
    if isinstance(owner, asyncio.Task):
        return owner.get_name()
    function = getattr(callback, "func", callback)  # A partial names the function it calls.
    return str(getattr(function, "__qualname__", type(function).__qualname__))
