"""A TOML file as data, with the line of every key in it, so that a complaint can say where."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.errors import ExperimentError, UsageError

BYTES_MAX = 1024 * 1024
Place = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    "|".join([r'"""(?:\\.|[^\\])*?"{3,5}', r"'''.*?'{3,5}", r'"(?:\\.|[^"\\\n])*"', r"'[^'\n]*'"]), re.DOTALL
)
_PLAIN = re.compile(r"[^,\]}#\n]+")
_AT = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says; ``lines`` gives the line (from 1) on which a key, or an element of an array, stands."""

    path: Path
    data: Mapping[str, Any]
    lines: Mapping[Place, int]

    def line(self, place: Sequence[str | int]) -> int:
        """Return the line of that key, or of the nearest thing around it that has one (1 for the whole file)."""
        steps = tuple(place)
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return self.lines.get(steps, 1)

    def complaint(self, place: Sequence[str | int], expected: str, found: str, advice: str) -> ExperimentError:
        """Return the error that says what is wrong at that key."""
        return ExperimentError(f"{self.path}:{self.line(place)}", expected, found, advice)


def read_document(path: Path) -> Document:
    """Return what is in the file. Raises ``ExperimentError`` for what is no TOML, ``UsageError`` without a file."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        text = content.decode()
    except OSError as error:
        raise UsageError(f"an experiment file at {path}", str(error.strerror), "name another") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        found = f"the byte 0x{content[error.start]:02x}"
        raise ExperimentError(f"{path}:{line}", "text in UTF-8", found, "save it as UTF-8") from error
    if len(content) > BYTES_MAX:
        raise UsageError(f"an experiment of at most {BYTES_MAX} bytes", f"more in {path}", "name another file")
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _AT.search(str(error))
        line = int(place.group(1)) if place and place.group(1) else text.count("\n") + 1
        raise ExperimentError(f"{path}:{line}", "TOML", _AT.sub("", str(error)), "mend that line") from error
    return Document(path, data, _Locator(text).lines)


class _Locator:
    """Goes through a text that is TOML for certain, and notes where each key and element begins."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Place, int] = {}
        self._text, self._at = text, 0
        self._arrays: dict[Place, int] = {}
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        table: Place = ()
        while self._skip(_BLANK) < len(text):
            if text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def __repr__(self) -> str:
        return f"_Locator({len(self.lines)} places)"

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _take(self, pattern: re.Pattern[str]) -> str:
        start = self._at
        end = self._skip(pattern)
        assert end > start, f"{pattern.pattern} at {start} of a text that was valid"
        return self._text[start:end]

    def _note(self, place: Place) -> None:
        low, high = 0, len(self._starts)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._starts[middle] <= self._at else (low, middle)
        self.lines.setdefault(place, low)

    def _header(self) -> Place:
        """Read ``[a.b]`` or ``[[a.b]]`` and return the place that what follows belongs to."""
        is_array = self._text.startswith("[[", self._at)
        brackets = 2 if is_array else 1
        self._at += brackets
        keys = self._keys()
        place: Place = ()
        for key in keys[:-1]:
            self._note((*place, key))
            place = self._inside((*place, key))
        place = (*place, keys[-1])
        self._note(place)
        if is_array:
            self._arrays[place] = self._arrays.get(place, -1) + 1
        place = self._inside(place)
        self._note(place)
        self._at += brackets
        return place

    def _inside(self, place: Place) -> Place:
        return (*place, self._arrays[place]) if place in self._arrays else place

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACE)
            is_quoted = self._text[self._at] in "\"'"
            word = self._take(_STRING if is_quoted else _BARE)
            keys.append(str(tomllib.loads(f"k = {word}")["k"]) if is_quoted else word)
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _pair(self, table: Place) -> None:
        start = self._at
        keys = self._keys()
        end, self._at = self._at, start
        for count in range(1, len(keys) + 1):
            self._note((*table, *keys[:count]))
        self._at = end + 1  # Past the equals sign.
        self._value((*table, *keys))

    def _value(self, place: Place) -> None:
        self._skip(_SPACE)
        first = self._text[self._at]
        if first in "{[":
            self._members(place, "}" if first == "{" else "]")
        else:
            self._take(_STRING if first in "\"'" else _PLAIN)

    def _members(self, place: Place, closing: str) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            char = self._text[self._at]
            if char in {closing, ","}:
                self._at += 1
                if char == closing:
                    return
            elif closing == "}":
                self._pair(place)
            else:
                self._note((*place, index))
                self._value((*place, index))
                index += 1
