"""The trace of strace as calls that begin and end, in the order in which they did.

* A call that another one interrupted stands on two lines, ``<unfinished ...>`` and ``<... resumed>``, joined here by
  process. It is told when it begins, with the arguments known by then, and told again when it ends.
* Calls without an end (the process was killed in the middle) are told as having begun only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from chaos.crash.recorder.arguments import number_of, split_arguments
from chaos.crash.recorder.calls import Call

_LINE = re.compile(r"(\d+) +(\d+)\.(\d{9}) (.*)", re.DOTALL)
_SUPERSEDED = re.compile(r"\+\+\+ superseded by execve in pid (\d+) \+\+\+")
_ENDED = re.compile(r"\+\+\+ (?:exited with (\d+)|killed by (\w+).*) \+\+\+")
_UNFINISHED = "<unfinished ...>"


class Phase(Enum):
    """What a step tells of a call, or of its process."""

    BEGUN = auto()
    ENDED = auto()
    PROCESS_GONE = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened in the trace. Of a process that is gone, the call's ``result`` is its exit code."""

    phase: Phase
    call: Call


class TraceReader:
    """Reads a trace once, from its first line to its last."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self._under_way: dict[int, tuple[Call, str]] = {}
        self._cut_off: list[Call] = []

    def __repr__(self) -> str:
        return f"TraceReader({len(self._under_way)} calls under way)"

    @property
    def unanswered(self) -> list[Call]:
        """Return the calls that have begun and not ended so far, or were cut off by the end of their process."""
        return [*self._cut_off, *(call for call, _ in self._under_way.values())]

    def steps(self) -> Iterator[Step]:
        """Yield what happened; lines that tell of no call (signals) are passed over."""
        for number, line in enumerate(self._lines, 1):
            if (found := _LINE.match(line.rstrip("\n"))) is not None:
                pid, seconds, fraction, text = found.groups()
                yield from self._step(number, int(pid), int(seconds) * 10**9 + int(fraction), text)

    def _step(self, line: int, pid: int, time_ns: int, text: str) -> Iterator[Step]:
        if text.startswith("+++"):
            yield from self._process_step(line, pid, time_ns, text)
        elif text.startswith("<... "):
            if (under_way := self._under_way.pop(pid, None)) is not None:
                call, begun = under_way
                rest = text[text.index(" resumed>") + len(" resumed>") :]
                yield from self._whole(call, f"{begun} {rest.lstrip()}", time_ns)
        elif not text.startswith("---") and "(" in text:
            name, rest = text.split("(", 1)
            call = Call(line, time_ns, pid, name, [])
            if rest.endswith(_UNFINISHED) and not rest.startswith("<... "):
                begun = rest.removesuffix(_UNFINISHED).rstrip()
                call.arguments = split_arguments(begun.rstrip(","))
                self._under_way[pid] = call, begun
                yield Step(Phase.BEGUN, call)
            else:
                yield from self._whole(call, rest, time_ns, begins=True)

    def _whole(self, call: Call, rest: str, time_ns: int, *, begins: bool = False) -> Iterator[Step]:
        arguments, _, outcome = rest.rpartition(") = ")
        call.arguments = split_arguments(arguments)
        if begins:
            yield Step(Phase.BEGUN, call)
        word, _, call.note = outcome.partition(" ")
        if word == "?":  # Cut off, or to be restarted, which begins anew on a line of its own.
            if not call.note.startswith("ERESTART"):
                self._cut_off.append(call)
            return
        call.result, call.time_ns, call.ended = number_of(word), time_ns, True
        if "<" in word:
            call.note = outcome
        yield Step(Phase.ENDED, call)

    def _process_step(self, line: int, pid: int, time_ns: int, text: str) -> Iterator[Step]:
        if (superseded := _SUPERSEDED.match(text)) is not None:
            # A thread that is not the first of its process executes a program and takes over the first one's number.
            if (under_way := self._under_way.pop(int(superseded.group(1)), None)) is not None:
                under_way[0].pid = pid
                self._under_way[pid] = under_way
        elif (ended := _ENDED.match(text)) is not None:
            code = int(ended.group(1)) if ended.group(1) else None
            yield Step(Phase.PROCESS_GONE, Call(line, time_ns, pid, "exit", [], code, ended.group(2) or ""))
