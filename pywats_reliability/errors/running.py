"""What can go wrong while the service starts, runs and stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pywats_reliability.errors.root import ReliabilityError


class StartError(ReliabilityError):
    """A step of the start failed; everything started before it was released again."""

    code = "start_failed"

    def __init__(self, step: str, cause: BaseException) -> None:
        self.step, self.cause = step, cause
        super().__init__(f"start failed at {step}: {cause}")


class ListenError(ReliabilityError):
    """A server of ours could not open its port."""

    code = "listen_failed"

    def __init__(self, server: str, host: str, port: int, cause: OSError) -> None:
        self.server, self.host, self.port, self.cause = server, host, port, cause
        words = cause.strerror or type(cause).__name__
        super().__init__(
            f"{server}: expected to listen on {host}:{port}, found {words}; free the port or configure another"
        )


class TaskEndedError(ReliabilityError):
    """A background task that should run until it is stopped, ended in a way that is no ordinary exception."""

    code = "task_ended"

    def __init__(self, task: str, found: str) -> None:
        self.task, self.found = task, found
        super().__init__(f"task {task}: expected it to run until stopped, found that it {found}; mend the task")


class TaskNotFoundError(ReliabilityError):
    """An action by hand named a background task that the service does not have."""

    code = "task_not_found"

    def __init__(self, task: str, known: Sequence[str]) -> None:
        self.task, self.known = task, tuple(known)
        names = ", ".join(known) or "none"
        super().__init__(f"expected the name of a background task, found {task!r}; the service has: {names}")


class StepTimeoutError(ReliabilityError):
    """A step of a stop took longer than its limit; ``left_behind`` when it ignored its cancellation too."""

    code = "step_timeout"

    def __init__(self, step: str, limit_s: float, *, left_behind: bool = False) -> None:
        self.step, self.limit_s, self.left_behind = step, limit_s, left_behind
        found = "it still running, deaf to its cancellation" if left_behind else "it still running; it was cancelled"
        super().__init__(f"{step}: expected it to end within {limit_s:g} s, found {found}; look at what it waits for")


class OutcomeUnknownError(ReliabilityError):
    """A command was cut off while the disk was at it: it may take effect later, or not at all."""

    code = "outcome_unknown"

    def __init__(self, operation: str, advice: str) -> None:
        self.operation, self.advice = operation, advice
        super().__init__(
            f"{operation}: expected the disk to be done in time, found it still at it, so that this may take effect"
            f" later; {advice} before you try again"
        )


class ScopeClosedError(ReliabilityError):
    """Something was handed to a scope that has closed already; who opened it must close it."""

    code = "scope_closed"

    def __init__(self, scope: str, step: str) -> None:
        self.scope, self.step = scope, step
        super().__init__(f"{scope}: expected to own {step}, found that closed already; close {step} where it opened")


class CleanupError(ReliabilityError, ExceptionGroup[Exception]):
    """Some steps of a cleanup failed; all the others ran. ``failures`` pairs each step's name with its exception."""

    code = "cleanup_failed"

    def __new__(cls, owner: str, failures: Sequence[tuple[str, Exception]]) -> Self:
        """Make the group that the exceptions form, so that ``except*`` and tracebacks see each of them."""
        found = ", ".join(f"{step} ({type(error).__name__})" for step, error in failures)
        words = f"{owner}: expected every step to close, found {len(failures)} failed: {found}; the log tells why"
        return super().__new__(cls, words, [error for _, error in failures])

    def __init__(self, owner: str, failures: Sequence[tuple[str, Exception]]) -> None:
        self.owner, self.failures = owner, tuple(failures)

    def derive(self, excs: Sequence[Exception]) -> ExceptionGroup[Exception]:  # type: ignore[override]
        """Return a plain group of some of the exceptions, for ``except*`` and ``split``."""
        return ExceptionGroup(self.owner, excs)
