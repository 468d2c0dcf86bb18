"""What a check says about a property: five answers, of which only one is good.

* ``unknown`` never counts as held: a checker that crashed, a run that ended before its end, an answer that never came.
* ``not exercised`` is not held: the fault never fired, or nothing was there to be checked.
* ``not available`` is this machine's limit (no ptrace, no Qt), reported with its reason, and never held.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The answer of a check, a run or a property."""

    HELD = "held"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    NOT_EXERCISED = "not exercised"
    NOT_AVAILABLE = "not available"


WORST_FIRST = (Verdict.BROKEN, Verdict.UNKNOWN, Verdict.NOT_EXERCISED, Verdict.HELD, Verdict.NOT_AVAILABLE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer for one property: what was expected, what was found, and (when broken) a hint at the cause.

    ``at_ns``: the moment in the history from which on the promise is seen broken, where that is known. ``checker``: the
    name of the one that found it; empty where no checker was asked. ``is_idle``: it had nothing to judge in this run,
    which another run of the same scenario makes good.
    """

    property_id: str
    verdict: Verdict
    expected: str
    found: str
    hint: str = ""
    at_ns: int | None = None
    checker: str = ""
    is_idle: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Return what findings of several runs have in common: the property, and who judged it."""
        return self.property_id, self.checker or self.expected


def combined(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of several; one that could not be had here does not spoil a held one; none: not exercised."""
    seen = set(verdicts)
    return next((verdict for verdict in WORST_FIRST if verdict in seen), Verdict.NOT_EXERCISED)
