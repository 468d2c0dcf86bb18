"""What the service needs from the world, as protocols: the world enters through constructors, never through globals.

Monotonic time and sleeping come from the running event loop, so that a simulated loop rules them too; only the wall
clock, randomness and the way to a server are ports.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from pywats_reliability.answers import Decision


class WallClock(Protocol):
    """The time of day, for names and records. It may jump: nothing waits for it."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        ...


class SystemClock:
    """The wall clock of this computer."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        return datetime.now(UTC)

    def __repr__(self) -> str:
        return "SystemClock()"


class Randomness(Protocol):
    """A source of jitter; ``random.Random`` is one."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between ``a`` and ``b``."""
        ...


def system_randomness() -> Randomness:
    """Return a source of jitter seeded by the operating system."""
    return random.Random()  # noqa: S311 - jitter, nothing secret


class ReportSender(Protocol):
    """The way to the server."""

    async def send(self, report_id: str, body: bytes) -> Decision:
        """Hand the report's bytes to the server and return what its answer (or its silence) means for the report.

        Everything that the network or the server can do becomes a decision; only a bug raises. Cancellation passes
        through and leaves the outcome unknown: the report must be sent again, with the same id.
        """
        ...


Heartbeat = Callable[[], None]
"""Called by a background task once per round, so that its supervisor can tell stuck from idle."""
