"""What the WATS server saw and did, as a numbered log that others can wait on.

* Numbers go up by one and are never used twice, not even after a reset; times are the loop's monotonic clock, in
  nanoseconds (on Linux the same clock in every process of the machine).
* The log keeps its newest ``kept`` events. Asking for dropped ones is an error, never a silent gap.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from itertools import islice, takewhile
from typing import Any

from chaos.errors import UsageError


class EventKind(StrEnum):
    """What happened. The first six are the phases that a request reaches, in order; ``aborted``: the server cut it."""

    REQUEST_STARTED = "request_started"
    HEADERS_READ = "headers_read"
    BODY_READ = "body_read"
    STORED = "stored"
    ANSWERED = "answered"
    ABORTED = "aborted"
    CONNECTED = "connected"
    CONNECTION_LOST = "connection_lost"
    DISCONNECTED = "disconnected"
    RULE_FIRED = "rule_fired"
    RELEASED = "released"
    RULES_SET = "rules_set"
    LISTENER_OPENED = "listener_opened"
    LISTENER_CLOSED = "listener_closed"


PHASES = (EventKind.REQUEST_STARTED, EventKind.HEADERS_READ, EventKind.BODY_READ, EventKind.STORED, EventKind.ANSWERED)


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One line of the log. ``connection`` and ``request`` are numbers from 1; ``detail`` depends on the kind."""

    seq: int
    time_ns: int
    kind: EventKind
    connection: int | None = None
    request: int | None = None
    report_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ServerEvent:
        """Return the event in JSON data that ``as_data`` gave."""
        return cls(**{**data, "kind": EventKind(data["kind"])})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events somebody asks for: newer than ``after``, and of that kind and report where given."""

    after: int = 0
    kind: EventKind | None = None
    report_id: str | None = None

    def matches(self, event: ServerEvent) -> bool:
        """Return whether it is one of them."""
        return event.seq > self.after and self.kind in (None, event.kind) and self.report_id in (None, event.report_id)


class EventLog:
    """The newest events, in order. Written and read from one thread, waited on by any number of tasks."""

    def __init__(self, kept: int) -> None:
        self._events: deque[ServerEvent] = deque(maxlen=kept)
        self._forgotten_up_to = 0
        self._changed = asyncio.Event()
        self.last = 0

    def __repr__(self) -> str:
        return f"EventLog({len(self._events)} of {self.last} events, at most {self._events.maxlen})"

    def add(
        self,
        kind: EventKind,
        *,
        connection: int | None = None,
        request: int | None = None,
        report_id: str | None = None,
        **detail: Any,
    ) -> ServerEvent:
        """Write the next event, now, wake everybody who waits, and return it."""
        self.last += 1
        event = ServerEvent(self.last, now_ns(), kind, connection, request, report_id, detail)
        self._events.append(event)
        self._changed.set()
        return event

    def forget(self) -> None:
        """Drop every event; the numbers go on. Asking for what was before gives what came after, without complaint."""
        self._events.clear()
        self._forgotten_up_to = self.last

    def find(self, wanted: Wanted, limit: int) -> list[ServerEvent]:
        """Return the first ``limit`` wanted events. Raises ``UsageError`` when some may have been dropped already."""
        oldest = self._events[0].seq if self._events else self.last + 1
        after = max(wanted.after, self._forgotten_up_to)
        if after < oldest - 1:
            expected = f"after={oldest - 1} or more (the log keeps its newest {self._events.maxlen} events)"
            raise UsageError(expected, f"after={wanted.after}", "ask more often, or start the server with a longer log")
        fresh = list(takewhile(lambda event: event.seq > after, reversed(self._events)))
        return list(islice(filter(wanted.matches, reversed(fresh)), limit))

    async def wait(self, wanted: Wanted, limit: int, wait_s: float) -> list[ServerEvent]:
        """Return wanted events as soon as there are any, or none after ``wait_s`` seconds. Raises as ``find`` does."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while not (found := self.find(wanted, limit)):
            wanted = replace(wanted, after=max(wanted.after, self.last))  # Look at each event once, however many come.
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return self.find(wanted, limit)
        return found


def now_ns() -> int:
    """Return the running loop's monotonic time in nanoseconds."""
    return int(asyncio.get_running_loop().time() * 1e9)
