"""Every error of the toolkit: one tree, drawn here; each class takes data, keeps it, writes its own message."""

from __future__ import annotations


class ChaosError(Exception):
    """The root of everything this package raises on purpose."""


class UsageError(ChaosError):
    """The person asked for something that is not there; exit code 3."""

    def __init__(self, expected: str, found: str, advice: str) -> None:
        self.expected, self.found, self.advice = expected, found, advice
        super().__init__(f"expected {expected}, found {found}; {advice}")


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


class HistoryError(ChaosError):
    """The history has no such event: a checker asked for something that the run never recorded."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"expected {what} in the history, found none; the scenario must observe it")
