"""What happened in a run: an append-only list of events, which is all that a checker may see.

* An operation is invoked and then ends as *ok*, *failed* (it certainly had no effect) or *unknown* (it may have had
  one: the answer was lost, the process died). An operation that never ended is unknown.
* A *fault* is written when it fired, not when it was planned. *Observed* is a fact read from the outside: a folder's
  contents, the server's deliveries, the status, what leaked.
* Times are integer nanoseconds since the start of the run, on the world's own monotonic clock (virtual or real).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chaos.errors import HistoryError


class Kind(StrEnum):
    """What an event says."""

    INVOKED = "invoked"
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    FAULT = "fault"
    HEALED = "healed"
    OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a history. ``operation`` ties the end of an operation to its invocation (its index).

    ``time_ns`` is when it was written; ``at_ns`` in ``value`` is when it happened, where that became known later.
    """

    index: int
    time_ns: int
    kind: Kind
    name: str
    value: Mapping[str, Any] = field(default_factory=dict)
    operation: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the event as plain JSON data."""
        fields = {"index": self.index, "time_ns": self.time_ns, "kind": str(self.kind), "name": self.name}
        ended = {} if self.operation is None else {"operation": self.operation}
        return {**fields, **ended, "value": dict(self.value)}


@dataclass(frozen=True, slots=True)
class Operation:
    """An invocation and how it ended; ``end`` is None while nobody knows."""

    start: Event
    end: Event | None

    @property
    def outcome(self) -> Kind:
        """Return ok, failed or unknown."""
        return self.end.kind if self.end else Kind.UNKNOWN

    @property
    def took_s(self) -> float:
        """Return the seconds from invocation to end (infinite when it never ended)."""
        return (self.end.time_ns - self.start.time_ns) / 1e9 if self.end else float("inf")

    @property
    def value(self) -> dict[str, Any]:
        """Return what the invocation and the end said, together."""
        return {**self.start.value, **(self.end.value if self.end else {})}


class History:
    """The events of one run, in the order in which they were written.

    ``now_ns`` is the world's monotonic clock. Written from one thread only.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns, self._start_ns = now_ns, now_ns()
        self._waiting: list[tuple[str, Callable[[], object]]] = []
        self.events: list[Event] = []

    def __getstate__(self) -> dict[str, Any]:
        """Travel between processes as what was written; there it can be read, not written on."""
        return {"_start_ns": self._start_ns, "events": self.events}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._now_ns = _no_clock
        self._start_ns, self.events, self._waiting = state["_start_ns"], state["events"], []

    def __repr__(self) -> str:
        faults = sum(event.kind is Kind.FAULT for event in self.events)
        return f"History({len(self.events)} events, {faults} faults fired)"

    def _write(self, kind: Kind, name: str, value: Mapping[str, Any], operation: int | None = None) -> Event:
        event = Event(len(self.events), self._now_ns() - self._start_ns, kind, name, value, operation)
        self.events.append(event)
        return event

    def close(self) -> None:
        """Let go of the clock, and so of the whole world behind it: from now on it can be read, not written on."""
        self._now_ns, self._waiting = _no_clock, []

    def elapsed_ns(self, clock_ns: int) -> int:
        """Return when a moment of the world's clock was, counted from the start of the run."""
        return clock_ns - self._start_ns

    def invoke(self, name: str, **value: Any) -> Running:
        """Write that an operation begins and return the handle that writes its end."""
        running = Running(self, self._write(Kind.INVOKED, name, value))
        due = [waiting for waiting in self._waiting if waiting[0] == name]
        self._waiting = [waiting for waiting in self._waiting if waiting not in due]
        for _, call in due:
            call()
        return running

    def when_invoked(self, name: str, call: Callable[[], object]) -> Callable[[], None]:
        """Call once, when an operation of that name next begins; return what takes that back, harmless to repeat."""
        waiting = (name, call)
        self._waiting.append(waiting)

        def cancel() -> None:
            self._waiting = [other for other in self._waiting if other is not waiting]

        return cancel

    def fault(self, name: str, **value: Any) -> Event:
        """Write that a fault fired, just now."""
        return self._write(Kind.FAULT, name, value)

    def healed(self, name: str, **value: Any) -> Event:
        """Write that a fault was undone."""
        return self._write(Kind.HEALED, name, value)

    def observe(self, name: str, **value: Any) -> Event:
        """Write a fact that was read from the outside."""
        return self._write(Kind.OBSERVED, name, value)

    def operations(self, name: str) -> Iterator[Operation]:
        """Yield the operations of that name, in the order of their invocation."""
        ends = {event.operation: event for event in self.events if event.operation is not None}
        for event in self.events:
            if event.kind is Kind.INVOKED and event.name == name:
                yield Operation(event, ends.get(event.index))

    def observed(self, name: str) -> list[Event]:
        """Return the observations of that name, oldest first."""
        return [event for event in self.events if event.kind is Kind.OBSERVED and event.name == name]

    def last(self, name: str, **where: Any) -> Event:
        """Return the newest observation of that name whose values are as in ``where``. Raises ``HistoryError``."""
        for event in reversed(self.observed(name)):
            if all(event.value.get(key) == wanted for key, wanted in where.items()):
                return event
        raise HistoryError(f"an observation {name!r}" + (f" with {where}" if where else ""))

    def faults(self, name: str | None = None) -> list[Event]:
        """Return the faults that fired, all or those of one name."""
        return [event for event in self.events if event.kind is Kind.FAULT and name in (None, event.name)]

    def prefix(self, count: int) -> History:
        """Return the history as it was when ``count`` events had been written."""
        earlier = History(lambda: 0)
        earlier.events = self.events[:count]
        return earlier

    def to_lines(self) -> str:
        """Return the history as JSON lines, one event each."""
        return "".join(json.dumps(event.as_dict(), default=repr) + "\n" for event in self.events)

    @classmethod
    def from_lines(cls, text: str) -> History:
        """Return the history that ``to_lines`` wrote; it can be read, not written on. Raises ``ValueError``."""
        found = cls(lambda: 0)
        for line in text.splitlines():
            data = json.loads(line)
            data["kind"] = Kind(data["kind"])
            found.events.append(Event(**data))
        return found


def _no_clock() -> int:
    raise AssertionError("a history that was closed, or came from another process, is read only")


class Running:
    """An operation under way; exactly one of its ends is written."""

    def __init__(self, history: History, start: Event) -> None:
        self._history, self.start = history, start
        self._ended = False

    def __repr__(self) -> str:
        return f"Running({self.start.name}, {'ended' if self._ended else 'open'})"

    def _end(self, kind: Kind, value: Mapping[str, Any]) -> None:
        assert not self._ended, f"{self.start.name} ended twice"
        self._ended = True
        self._history._write(kind, self.start.name, value, self.start.index)  # noqa: SLF001 - the pen is theirs

    def ok(self, **value: Any) -> None:
        """Write that it succeeded."""
        self._end(Kind.OK, value)

    def failed(self, **value: Any) -> None:
        """Write that it failed and certainly had no effect."""
        self._end(Kind.FAILED, value)

    def unknown(self, **value: Any) -> None:
        """Write that nobody knows whether it had an effect."""
        self._end(Kind.UNKNOWN, value)
