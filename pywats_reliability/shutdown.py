"""The stop in three phases, each with its deadline: finish, cancel, verify and close (C1).

* Graceful: intake ends at once (C1.1); work in flight has ``graceful_s``, and the phase ends the instant the last of it
  ends (C1.2). Forced: what outlives that is cancelled; what ignores the cancellation is named and left behind (C1.3,
  C1.4). Verify: what is still pending is counted and said, then everything is closed (C1.5).
* All three fit into ``force_s`` from the start: slices for cancelling and closing are kept free, also when the graceful
  window alone would fill the limit (``ShutdownLimits``). Foreign code runs in tasks of its own with hard deadlines.
* A second request (``escalate``) goes straight to the forced phase (C1.7). There is one shutdown, however many callers
  ask for it; cancelling a caller does not stop it (C1.8).
* Progress and outcome are values that callbacks, IPC and metrics can show (C1.12).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Protocol, TypeVar

from pywats_reliability.errors import CleanupError, SettingValueError, TaskEndedError, described
from pywats_reliability.events import Event

T = TypeVar("T")
EXIT_CLEAN, EXIT_FORCED, EXIT_FAILED = 0, 3, 4  # 1 is a crash, 2 a usage error.
FORCED_IN_A_ROW_TOLD = 3
log = logging.getLogger(__name__)


class ShutdownPhase(StrEnum):
    """Where a stop is."""

    NOT_REQUESTED = "not requested"
    GRACEFUL = "graceful"
    FORCED = "forced"
    VERIFY = "verify"
    DONE = "done"


class Outcome(StrEnum):
    """How a stop went: nothing was cut off; work was cancelled or left behind; a step of the stop itself failed."""

    CLEAN = "clean"
    FORCED = "forced"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ShutdownLimits:
    """The windows, from the configuration, in seconds; ``force_s`` is for the whole stop, ``graceful_s`` within it.

    Raises ``SettingValueError`` when they cannot be kept.
    """

    graceful_s: float = 60.0
    force_s: float = 120.0
    poll_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse windows that contradict each other."""
        if not 0 <= self.graceful_s <= self.force_s:
            expected = f"at least graceful_shutdown_seconds ({self.graceful_s:g}, which is 0 or more)"
            raise SettingValueError("force_shutdown_seconds", expected, f"{self.force_s:g}")
        if self.force_s <= 0 or self.poll_s <= 0:
            key = "shutdown_poll_seconds" if self.poll_s <= 0 else "force_shutdown_seconds"
            raise SettingValueError(key, "more than 0", f"{min(self.poll_s, self.force_s):g}")

    @property
    def forced_until_s(self) -> float:
        """When the forced phase must be over, so that closing fits: a sixth of the whole, at most 10 s, is kept."""
        return self.force_s - min(10.0, self.force_s / 6)

    @property
    def graceful_until_s(self) -> float:
        """When the graceful phase must be over, so that cancelling fits too: a twelfth of the whole, at most 5 s."""
        return min(self.graceful_s, self.forced_until_s - min(5.0, self.force_s / 12))


class ShutdownSteps(Protocol):
    """What a stop does to the service; whatever a step raises is recorded, and the stop goes on."""

    def stop_intake(self) -> None:
        """Refuse all new work from this call on; must not block."""
        ...

    def in_flight(self) -> Sequence[str]:
        """Return the names of the uploads and conversions that run now."""
        ...

    async def wait_idle(self) -> None:
        """Return the instant nothing is in flight."""
        ...

    async def cancel_work(self, limit_s: float) -> Sequence[str]:
        """Cancel everything in flight; return the names of what has not ended after ``limit_s``."""
        ...

    def pending(self) -> int:
        """Return how many reports wait for the next start."""
        ...

    async def close(self, limit_s: float) -> None:
        """Stop all background tasks, close every component and release the lock, within ``limit_s`` in all."""
        ...

    def left_behind(self) -> Sequence[str]:
        """Return the names of everything that ignored its cancellation and still runs."""
        ...


class TaskStarter(Protocol):
    """What the stop needs of the supervisor."""

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start ``work`` as a task called ``name``."""
        ...

    async def within(self, name: str, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """Return what ``work`` returns within ``limit_s``, or raise; work that ignores cancellation is left behind."""
        ...


@dataclass(frozen=True, slots=True)
class ShutdownProgress:
    """How far a stop is; ``seconds_left`` until the present phase is cut off."""

    phase: ShutdownPhase
    in_flight: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """What a stop did. ``pending`` is None when it could not be counted; ``forced``: work was cancelled or left."""

    outcome: Outcome
    forced: bool
    duration_s: float
    phases_s: tuple[tuple[ShutdownPhase, float], ...]
    pending: int | None
    left_behind: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The process's exit code for this outcome."""
        return {Outcome.CLEAN: EXIT_CLEAN, Outcome.FORCED: EXIT_FORCED, Outcome.FAILED: EXIT_FAILED}[self.outcome]

    @property
    def pending_sentence(self) -> str:
        """What becomes of the reports that are not sent yet."""
        if self.pending is None:
            return "reports still pending could not be counted; every accepted one will be retried at the next start"
        return f"{self.pending} reports still pending, will be retried at the next start"

    def __str__(self) -> str:
        left = f"; left behind: {', '.join(self.left_behind)}" if self.left_behind else ""
        errors = f"; errors: {'; '.join(self.errors)}" if self.errors else ""
        return f"shutdown {self.outcome} after {self.duration_s:.1f} s: {self.pending_sentence}{left}{errors}"


class Shutdown:
    """The one stop of a service. All methods belong to the service's loop.

    ``on_progress`` tells of every change of phase, every ``poll_s``, and whenever ``note_change`` is called.
    """

    def __init__(self, limits: ShutdownLimits, steps: ShutdownSteps, *, tasks: TaskStarter) -> None:
        self._limits, self._steps, self._tasks = limits, steps, tasks
        self.on_progress: Event[[ShutdownProgress]] = Event("on_progress")
        self._task: asyncio.Task[ShutdownReport] | None = None
        self._phase, self._began_at, self._until = ShutdownPhase.NOT_REQUESTED, 0.0, 0.0
        self._entered: list[tuple[ShutdownPhase, float]] = []
        self._graceful_end: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._escalated = self._forced = False
        self._errors: list[str] = []

    @property
    def is_requested(self) -> bool:
        """Whether ``run`` was called."""
        return self._task is not None

    @property
    def progress(self) -> ShutdownProgress:
        """How far the stop is now."""
        left_s = max(0.0, self._until - asyncio.get_running_loop().time())
        return ShutdownProgress(self._phase, len(self._names("in flight", self._steps.in_flight)), left_s)

    async def run(self) -> ShutdownReport:
        """Stop, and return what came of it, within ``force_s``; intake has ended when this first waits.

        Concurrent and later calls share the one shutdown. Cancelling a caller does not stop it; ``escalate`` hurries.
        """
        if self._task is None:
            self._enter(ShutdownPhase.GRACEFUL, self._limits.graceful_until_s)
            self._read("stopping intake", self._steps.stop_intake)
            self._task = self._tasks.spawn("shutdown", self._run())
        return await asyncio.shield(self._task)

    def limit(self, limits: ShutdownLimits) -> None:
        """Take other windows into force; a stop that was asked for keeps those it began with."""
        if not self.is_requested:
            self._limits = limits

    def escalate(self) -> None:
        """Wait for nothing more: go to the forced phase now, or as soon as the stop is requested."""
        now = asyncio.get_running_loop().time()
        end, first = self._graceful_end, not self._escalated
        self._escalated = True
        if first and end is not None and (end.when() or now + 1) > now:  # An end that has come cannot be moved.
            log.warning("shutdown: asked again, so work in flight is cancelled now")
            end.reschedule(now)

    def note_change(self) -> None:
        """Tell the observers how far the stop is; for whoever knows that something in flight has ended."""
        if self._phase not in (ShutdownPhase.NOT_REQUESTED, ShutdownPhase.DONE):
            self.on_progress.emit(self.progress)

    async def _run(self) -> ShutdownReport:
        self._tick()
        left_behind = () if await self._finish() else await self._cancel()
        self._enter(ShutdownPhase.VERIFY, self._limits.force_s)
        pending = self._read("counting pending reports", self._steps.pending)
        await self._attempt("closing", self._steps.close)
        left_behind = tuple(dict.fromkeys([*left_behind, *self._names("left behind", self._steps.left_behind)]))
        self._stop_ticking()
        self._enter(ShutdownPhase.DONE, 0.0)
        return self._report(pending, left_behind)

    async def _finish(self) -> bool:
        """Wait for what is in flight; return whether nothing is any more."""
        if not self._escalated:
            try:
                async with asyncio.timeout_at(self._until) as self._graceful_end:
                    waiting = self._steps.wait_idle()
                    await self._tasks.within("waiting for work in flight", waiting, self._limits.force_s)
                return True
            except asyncio.CancelledError:  # Only a loop that is being torn down cancels this task: hurry, but finish.
                self._escalated = True
            except Exception as error:
                if self._graceful_end is None or not self._graceful_end.expired():
                    log.exception("shutdown: waiting for work in flight failed; it is cancelled")
                    self._note("waiting for work in flight", error)
                if not self._escalated:
                    return False
            finally:
                self._graceful_end = None
        return not self._names("in flight", self._steps.in_flight)

    async def _cancel(self) -> tuple[str, ...]:
        """Cancel what is in flight; return the names of what ignores that."""
        self._forced = True
        self._enter(ShutdownPhase.FORCED, self._limits.forced_until_s)
        in_flight = self._names("in flight", self._steps.in_flight)
        log.warning("shutdown: cancelling %d in flight: %s", len(in_flight), ", ".join(in_flight) or "nothing by name")
        deaf = await self._attempt("cancelling work", self._steps.cancel_work)
        return tuple(deaf) if deaf is not None else self._names("in flight", self._steps.in_flight)

    async def _attempt(self, name: str, step: Callable[[float], Coroutine[Any, Any, T]]) -> T | None:
        """Give ``step`` the rest of the phase, less a margin to report in; record what it raises."""
        left_s = max(self._until - asyncio.get_running_loop().time(), self._limits.force_s / 100)
        try:
            return await self._tasks.within(name, step(left_s - 2 * min(1.0, left_s / 10)), left_s)
        except asyncio.CancelledError:  # As above: the next step must still run.
            self._note(name, TaskEndedError("shutdown", "was cancelled"))
        except Exception as error:
            log.exception("shutdown: %s failed; the stop goes on", name)
            self._note(name, error)
        return None

    def _read(self, name: str, function: Callable[[], T]) -> T | None:
        try:
            return function()
        except Exception as error:
            log.exception("shutdown: %s failed; the stop goes on", name)
            self._note(name, error)
            return None

    def _names(self, name: str, function: Callable[[], Sequence[str]]) -> tuple[str, ...]:
        return tuple(self._read(name, function) or ())

    def _note(self, name: str, error: Exception) -> None:
        failures = error.failures if isinstance(error, CleanupError) else [(name, error)]
        lines = [f"{step}: {described(cause)}" for step, cause in failures]
        self._errors += [line for line in lines if line not in self._errors]  # Progress may ask a hundred times.

    def _enter(self, phase: ShutdownPhase, until_s: float) -> None:
        now = asyncio.get_running_loop().time()
        self._began_at = now if phase is ShutdownPhase.GRACEFUL else self._began_at
        self._phase, self._until = phase, self._began_at + until_s
        self._entered.append((phase, now))
        self.on_progress.emit(self.progress)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limits.poll_s, self._poll)

    def _poll(self) -> None:
        self._tick()
        self.note_change()

    def _stop_ticking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _report(self, pending: int | None, left_behind: tuple[str, ...]) -> ShutdownReport:
        phases_s = tuple((phase, end - begin) for (phase, begin), (_, end) in pairwise(self._entered))
        forced = self._forced or bool(left_behind)
        outcome = Outcome.FAILED if self._errors else Outcome.FORCED if forced else Outcome.CLEAN
        duration_s = sum(seconds for _, seconds in phases_s)
        report = ShutdownReport(outcome, forced, duration_s, phases_s, pending, left_behind, tuple(self._errors))
        log.log(logging.INFO if outcome is Outcome.CLEAN else logging.ERROR, "%s", report)
        return report

    def __repr__(self) -> str:
        return f"Shutdown({self._phase}, {len(self._errors)} errors{', escalated' if self._escalated else ''})"


@dataclass(frozen=True, slots=True)
class ForcedShutdowns:
    """How many shutdowns in a row were forced, to be kept between runs as bytes (C1.12)."""

    in_a_row: int = 0

    def after(self, report: ShutdownReport) -> ForcedShutdowns:
        """Return the count with one more shutdown."""
        return ForcedShutdowns(self.in_a_row + 1 if report.forced else 0)

    @property
    def sentence(self) -> str | None:
        """What to say at the start, or None while there is nothing to say."""
        if self.in_a_row < FORCED_IN_A_ROW_TOLD:
            return None
        return (
            f"expected shutdowns to end by themselves, found the last {self.in_a_row} forced;"
            " raise graceful_shutdown_seconds, or look at how long the server takes to answer"
        )

    def to_bytes(self) -> bytes:
        """Return the count as JSON."""
        return json.dumps({"forced_shutdowns_in_a_row": self.in_a_row}).encode()

    @staticmethod
    def from_bytes(data: bytes) -> ForcedShutdowns:
        """Return the count that ``to_bytes`` made; anything else counts as none: a memory must not stop a start."""
        try:
            count = json.loads(data)["forced_shutdowns_in_a_row"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return ForcedShutdowns()
        return ForcedShutdowns(count) if type(count) is int and 0 <= count < 1_000_000 else ForcedShutdowns()
