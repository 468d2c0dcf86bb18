"""Every error of the toolkit: one tree, drawn here; each class takes data, keeps it, writes its own message."""

from __future__ import annotations

from collections.abc import Callable


class ChaosError(Exception):
    """The root of everything this package raises on purpose; it travels between processes as it is."""

    def __reduce__(self) -> tuple[Callable[..., ChaosError], tuple[object, ...]]:
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[ChaosError], args: tuple[object, ...], state: dict[str, object]) -> ChaosError:
    """Return an error with the same data, without its own way of being made."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class UsageError(ChaosError):
    """The person asked for something that is not there; exit code 3."""

    def __init__(self, expected: str, found: str, advice: str) -> None:
        self.expected, self.found, self.advice = expected, found, advice
        super().__init__(f"expected {expected}, found {found}; {advice}")


class ExperimentError(UsageError):
    """An experiment file says something that cannot be, at a line that is named; exit code 3."""

    def __init__(self, place: str, expected: str, found: str, advice: str) -> None:
        self.place = place
        super().__init__(expected, found, advice)
        self.args = (f"{place}: {self}",)


class NotAvailableError(ChaosError):
    """This machine cannot do what a scenario needs: the verdict is *not available here*, never *held*."""

    def __init__(self, need: str, reason: str, advice: str) -> None:
        self.need, self.reason, self.advice = need, reason, advice
        super().__init__(f"{need} is not available here: {reason}; {advice}")


class DeadlineError(ChaosError):
    """Something awaited did not happen in time. ``seen`` tells what happened instead."""

    def __init__(self, what: str, limit_s: float, seen: str) -> None:
        self.what, self.limit_s, self.seen = what, limit_s, seen
        super().__init__(f"expected {what} within {limit_s:g} s, saw {seen}")


class OverdueError(DeadlineError):
    """The subject did not do in time what it promised to do: of a run, this says *broken*, not *unknown*."""


class HistoryError(ChaosError):
    """The history has no such event: a checker asked for something that the run never recorded."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"expected {what} in the history, found none; the scenario must observe it")


class RefusedError(ChaosError):
    """The toolkit was asked to touch something that is not the run's own; nothing was touched."""

    def __init__(self, asked: str, reason: str) -> None:
        self.asked, self.reason = asked, reason
        super().__init__(f"{asked} refused: {reason}; the toolkit touches only what its own run has made")


class WatchdogError(ChaosError):
    """The process that undoes everything when the runner dies is not there or does not answer: stop the run."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"expected an answer of the watchdog, found {found}; stop the run, its undo list is not kept")


class ProcessEndedError(ChaosError):
    """A process ended before what was awaited from it, or before what was to be done to it."""

    def __init__(self, expected: str, seen: str) -> None:
        self.expected, self.seen = expected, seen
        super().__init__(f"expected {expected}, but the process ended first: {seen}; read its log")


class CommandRefusedError(ChaosError):
    """The subject answered a command with an error: it certainly had no effect.

    ``typed``: the subject's own client raised a class of its own for this ``code``; ``kind`` is that class's name.
    """

    def __init__(self, code: str, message: str, request_id: str, kind: str, *, typed: bool) -> None:
        self.code, self.message, self.request_id, self.kind, self.typed = code, message, request_id, kind, typed
        super().__init__(f"{kind} [{code}]: {message}")


class CommandUnansweredError(ChaosError):
    """Nobody knows what became of a command: no connection, no answer in time, or one that makes no sense."""

    def __init__(self, command: str, found: str) -> None:
        self.command, self.found = command, found
        super().__init__(f"expected an answer to {command}, found {found}; its effect is unknown")


class OperationLogError(ChaosError):
    """An operation log contradicts itself: it speaks of a name or node that is not there, or makes one twice."""

    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(f"expected {expected}, found {found}; the log is incomplete, and nothing follows from it")
