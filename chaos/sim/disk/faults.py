"""Faults of a simulated disk: what fails, where, and when; each counts how often it really happened.

A *rule* names calls, a pattern of paths, and either the n-th matching calls or a span of virtual time. Rules are asked
in the order in which they were added; the first that applies decides. What a rule does:

* ``fail(errno.ENOSPC)``: the call fails with that error, without any effect. A sync that fails leaves its data in the
  page cache for good, marked clean: later syncs succeed and do not cover it, as Linux does.
* ``tear(errno.EIO)``: a write leaves its first half and fails.
* ``shorten()``: a write takes its first half and says so.
* ``slow(seconds)``: the call takes that long.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Self

WRITES = ("write", "pwrite")
SYNCS = ("fsync", "fdatasync", "syncfs", "sync")
CHANGES = (
    *(*WRITES, *SYNCS, "open", "truncate", "ftruncate", "rename", "replace", "link", "symlink", "unlink", "remove"),
    *("mkdir", "rmdir", "chmod", "utime", "sendfile"),
)
FOREVER_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens to one call: ``error_number`` 0 lets it succeed."""

    error_number: int = 0
    slow_ns: int = 0
    halves: bool = False

    def __str__(self) -> str:
        words = [errno.errorcode.get(self.error_number, str(self.error_number))] if self.error_number else []
        words += ["half of it written"] if self.halves else []
        words += [f"{self.slow_ns / 1e9:g} s late"] if self.slow_ns else []
        return ", ".join(words)


def fail(error_number: int) -> Effect:
    """Return the effect of failing with that error."""
    return Effect(error_number)


def tear(error_number: int = errno.EIO) -> Effect:
    """Return the effect of writing the first half and failing."""
    return Effect(error_number, halves=True)


def shorten() -> Effect:
    """Return the effect of writing the first half, which the call says."""
    return Effect(halves=True)


def slow(seconds: float) -> Effect:
    """Return the effect of taking that long."""
    return Effect(slow_ns=round(seconds * 1e9))


@dataclass(slots=True, eq=False)
class Rule:
    """One fault: in force inside its ``with``, or until ``remove``.

    ``paths`` are patterns of ``fnmatch`` for whole paths. ``numbers`` are those of the matching calls (the first is 1)
    that fail, all if empty; ``from_ns`` and ``until_ns`` a span of virtual time. ``fired`` counts.
    """

    effect: Effect
    calls: Collection[str] = CHANGES
    paths: Collection[str] = ("*",)
    numbers: Collection[int] = ()
    from_ns: int = 0
    until_ns: int = FOREVER_NS
    fired: int = 0
    matched: int = 0
    _rules: list[Rule] = field(default_factory=list, repr=False)

    def applies(self, call: str, path: str, now_ns: int) -> bool:
        """Count a call, if it matches, and say whether it is hit."""
        if call not in self.calls or not self.from_ns <= now_ns < self.until_ns:
            return False
        if not any(fnmatchcase(path, pattern) for pattern in self.paths):
            return False
        self.matched += 1
        return not self.numbers or self.matched in self.numbers

    def remove(self) -> None:
        """Take it out of force; harmless when it is."""
        if self in self._rules:
            self._rules.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.remove()


class Faults:
    """The rules in force. ``on_fired`` hears of every call that was hit."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.on_fired: list[Callable[[Rule, str, str], object]] = []

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force and return it."""
        rule._rules = self.rules  # noqa: SLF001 - so that it can remove itself
        self.rules.append(rule)
        return rule

    def effect_on(self, call: str, path: str, now_ns: int) -> Effect | None:
        """Return what happens to a call, and count it."""
        for rule in self.rules:
            if rule.applies(call, path, now_ns):
                rule.fired += 1
                for hear in self.on_fired:
                    hear(rule, call, path)
                return rule.effect
        return None

    def __repr__(self) -> str:
        return f"Faults({len(self.rules)} in force, {sum(rule.fired for rule in self.rules)} fired)"
