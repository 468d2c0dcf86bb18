"""The language of failpoints, pure: where one sits (a target) and what happens there (terms).

* Target: ``package.module:Class.method#before@3``. ``#before`` (the default) is passed when the function is entered,
  ``#after`` when it has returned; a call that raises is not an after. ``@3`` is the third passing only, ``@3+`` that
  and every later one; without it every passing counts. ``#line("text")`` is passed just before the one line of the
  function whose source has that text. ``[task=upload-*]`` counts only what a task (outside of tasks: a thread) of such
  a name does.
* Terms: ``[chance%][times*]action[(arguments)]``, joined with ``->``, as gofail writes them. At each passing the first
  term acts that has not been used up and whose chance comes up: ``50%3*raise(OSError)->kill``.
* Arguments are JSON, but an exception's name and an ``errno`` name are bare words: ``raise(OSError, ENOSPC)``.
* A chance is drawn from the seed, the number of the passing and the place of the term: the same every time.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chaos.errors import UsageError

GRAMMAR = "terms are [50%][3*]action[(arguments)], joined with ->"
_TARGET = re.compile(
    r"(?P<module>[A-Za-z_]\w*(?:\.\w+)*):(?P<path>[A-Za-z_]\w*(?:\.\w+)*)"
    r'(?:#(?:(?P<moment>before|after)|line\((?P<line>"(?:[^"\\]|\\.)+")\)))?'
    r"(?:@(?P<first>[1-9]\d*)(?P<onwards>\+)?)?(?:\[task=(?P<task>[^\]]+)\])?"
)
_TERM = re.compile(r"\s*(?:(?P<chance>\d+(?:\.\d+)?)%)?\s*(?:(?P<times>\d+)\*)?\s*(?P<action>[a-z]+)")
_NAME = re.compile(r"\s*(?P<name>[A-Za-z_][\w.]*(?::[A-Za-z_]\w*)?)")
_ERRNO = re.compile(r"\s*(?P<name>E[A-Z0-9]+)\b")
_JSON = json.JSONDecoder()
_NUMBER = (int, float)
# What each action takes: the fewest and the most arguments, and the type of each.
_ACTIONS: dict[str, tuple[int, int, tuple[type, ...]]] = {
    "off": (0, 0, ()),
    "raise": (1, 9, ()),
    "return": (1, 1, ()),
    "sleep": (1, 1, _NUMBER),
    "block": (0, 1, _NUMBER),
    "hang": (0, 0, ()),
    "cling": (0, 0, ()),
    "pause": (0, 0, ()),
    "kill": (0, 0, ()),
    "term": (0, 0, ()),
    "exit": (1, 1, (int,)),
    "print": (1, 1, (str,)),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A place in a program, and which of its passings count: from ``first`` to ``last`` (None: to the end).

    With the moment ``line``, ``line`` is what the source line has; ``task`` is a pattern of names (empty: everybody).
    """

    module: str
    path: str
    moment: str = "before"
    first: int = 1
    last: int | None = None
    line: str = ""
    task: str = ""

    def __str__(self) -> str:
        moment = f"line({json.dumps(self.line, ensure_ascii=False)})" if self.line else self.moment
        window = "" if (self.first, self.last) == (1, None) else f"@{self.first}{'' if self.last else '+'}"
        return f"{self.module}:{self.path}#{moment}{window}{f'[task={self.task}]' if self.task else ''}"

    def counts(self, passing: int) -> bool:
        """Return whether the terms apply to the passing of that number."""
        return self.first <= passing and (self.last is None or passing <= self.last)


@dataclass(frozen=True, slots=True)
class Term:
    """One action with its arguments, how likely it is (0 to 1) and how often it may act (None: without limit)."""

    action: str
    arguments: tuple[Any, ...] = ()
    chance: float = 1.0
    times: int | None = None


def parse_target(text: str) -> Target:
    """Return the target that the text names. Raises ``UsageError``."""
    found = _TARGET.fullmatch(text.strip())
    if found is None:
        raise UsageError("a failpoint like package.module:Class.method#before", repr(text), "name it so")
    first = int(found["first"] or 1)
    last = first if found["first"] and not found["onwards"] else None
    line = json.loads(found["line"]) if found["line"] else ""
    moment = "line" if line else found["moment"] or "before"
    return Target(found["module"], found["path"], moment, first, last, line, found["task"] or "")


def parse_terms(text: str) -> tuple[Term, ...]:
    """Return the terms that the text says, at least one. Raises ``UsageError`` with the column of what is wrong."""
    terms, place = _chain(text, 0)
    if place != len(text):
        raise _unexpected("-> or the end", text, place)
    return terms


def parse_list(text: str) -> list[tuple[Target, str]]:
    """Return the failpoints in ``target=terms; target=terms`` with the text of their terms. Raises ``UsageError``."""
    found, place = [], 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        name = _TARGET.match(text, place)
        begin = name.end() if name else place
        if name is None or not text[begin:].lstrip(" ").startswith("="):
            raise _unexpected("target=terms", text, place)
        begin = text.index("=", begin) + 1
        _, place = _chain(text, begin)
        found.append((parse_target(name[0]), text[begin:place]))
        if text[place : place + 1] not in ("", ";", "\n"):
            raise _unexpected("; or the end", text, place)
        place += 1
    return found


def choose(terms: Sequence[Term], used: Sequence[int], seed: int, passing: int) -> int | None:
    """Return the index of the term that acts at this passing, or None; ``used`` tells how often each has acted."""
    for index, term in enumerate(terms):
        if term.times is not None and used[index] >= term.times:
            continue
        if term.chance >= 1 or _draw(seed, passing, index) < term.chance:
            return index
    return None


def _draw(seed: int, passing: int, index: int) -> float:
    """Return a number from 0 up to 1: one step of splitmix64, so that a child needs no ``random``."""
    mask = (1 << 64) - 1
    word = (seed + (passing * 64 + index + 1) * 0x9E3779B97F4A7C15) & mask
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
    return (word ^ (word >> 31)) / (1 << 64)


def _chain(text: str, place: int) -> tuple[tuple[Term, ...], int]:
    terms = []
    while True:
        term, place = _term(text, place)
        terms.append(term)
        place = _skip(text, place)
        if not text.startswith("->", place):
            return tuple(terms), place
        place += 2


def _term(text: str, place: int) -> tuple[Term, int]:
    found = _TERM.match(text, place)
    if found is None or found["action"] not in _ACTIONS:
        raise _unexpected(f"an action ({', '.join(_ACTIONS)})", text, place)
    chance, times, action = float(found["chance"] or 100) / 100, found["times"], found["action"]
    if chance > 1:
        raise _unexpected("a chance of at most 100%", text, place)
    arguments, end = _arguments(text, found.end(), names=action == "raise")
    fewest, most, types = _ACTIONS[action]
    fitting = all(isinstance(value, types) and not isinstance(value, bool) for value in arguments) if types else True
    if not fewest <= len(arguments) <= most or not fitting:
        kinds = f" ({' or '.join(kind.__name__ for kind in types)})" if types else ""
        raise _unexpected(f"{action} with {fewest} to {most} arguments{kinds}", text, place)
    return Term(action, tuple(arguments), chance, None if times is None else int(times)), end


def _arguments(text: str, place: int, *, names: bool) -> tuple[list[Any], int]:
    """Read what stands in parentheses; with ``names`` it begins with the bare name of an exception."""
    arguments: list[Any] = []
    if not text.startswith("(", place):
        return arguments, place
    place = _skip(text, place + 1)
    if names:
        found = _NAME.match(text, place)
        if found is None:
            raise _unexpected("the name of an exception", text, place)
        arguments.append(found["name"])
        place = _skip(text, found.end())
    while not text.startswith(")", place):
        if arguments:
            if not text.startswith(",", place):
                raise _unexpected(", or )", text, place)
            place += 1
        values, place = _value(text, place)
        arguments += values
        place = _skip(text, place)
    return arguments, place + 1


def _value(text: str, place: int) -> tuple[list[Any], int]:
    """Read one JSON value, or an errno name, which stands for its number and its words."""
    found = _ERRNO.match(text, place)
    if found is not None:
        number = getattr(errno, found["name"], None)
        if number is None:
            raise _unexpected("the name of an errno", text, place)
        return [number, os.strerror(number)], found.end()
    try:
        value, end = _JSON.raw_decode(text, _skip(text, place))
    except ValueError as error:
        raise _unexpected("a JSON value", text, place) from error
    return [value], end


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] == " ":
        place += 1
    return place


def _unexpected(expected: str, text: str, place: int) -> UsageError:
    return UsageError(expected, f"{text[place:] or 'the end'!r} at column {place + 1} of {text!r}", GRAMMAR)
