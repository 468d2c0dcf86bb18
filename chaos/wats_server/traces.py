"""One line per request: which way it went, when it reached each phase, and which rule it met."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from chaos.wats_server.events import PHASES, EventKind

REQUESTS_KEPT = 10_000


@dataclass(slots=True)
class RequestTrace:
    """A request, complete or not. ``times_ns`` has an entry for each phase that it reached, and for how it ended."""

    number: int
    connection: int
    method: str | None = None
    path: str | None = None
    report_id: str | None = None
    body_bytes: int = 0
    rule: str | None = None
    status: int | None = None
    times_ns: dict[str, int] = field(default_factory=dict)

    @property
    def phase(self) -> EventKind | None:
        """Return the last phase that it reached."""
        return next((phase for phase in reversed(PHASES) if phase in self.times_ns), None)

    @property
    def is_aborted(self) -> bool:
        """Return whether the server ended it on purpose."""
        return EventKind.ABORTED in self.times_ns

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON data, with its phase."""
        return {**asdict(self), "phase": self.phase}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> RequestTrace:
        """Return the trace in JSON data that ``as_data`` gave."""
        return cls(**{name: value for name, value in data.items() if name != "phase"})


class Traces:
    """The newest requests, in the order in which they began."""

    def __init__(self) -> None:
        self._newest: deque[RequestTrace] = deque(maxlen=REQUESTS_KEPT)
        self.begun = 0

    def __repr__(self) -> str:
        return f"Traces({self.begun} requests begun, {len(self._newest)} kept)"

    def begin(self, connection: int) -> RequestTrace:
        """Open the line of the next request."""
        self.begun += 1
        trace = RequestTrace(self.begun, connection)
        self._newest.append(trace)
        return trace

    def forget(self) -> None:
        """Drop every line; the numbers go on."""
        self._newest.clear()

    def all(self) -> list[RequestTrace]:
        """Return the kept lines, oldest first."""
        return list(self._newest)
