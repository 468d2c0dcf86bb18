"""What passes through a toxic, and what a toxic is: pure decisions, from a step to steps that are due at some time.

* A *step* is a piece of data, or the end of it, with the instant at which it is due. A *stage* is one toxic in one
  direction of one connection: it takes a step at the step's own time and gives the steps that come of it, in order.
* No stage reads a clock, waits or touches a socket: it is given times (seconds of the loop's clock) and returns them,
  so each toxic is tested without a network, and several in a row simply hand their steps on.
* ``begin`` gives what happens whatever comes (a connection that ends after a time); ``leave`` what happens when the
  toxic is taken away.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import ClassVar


class Direction(StrEnum):
    """Which way data flows, by Toxiproxy's names: client to server is upstream."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"


class StepKind(Enum):
    """What a step does when it is due."""

    DATA = "data"
    FIN = "the end of the data"
    CLOSE = "both ends closed"
    RESET = "both ends reset"
    ANSWER = "data back to where the last came from, then both ends closed"


@dataclass(slots=True)
class Step:
    """One thing to do at ``due``. An end that a toxic made has its counter in ``fire``: it counts when it happens."""

    due: float
    kind: StepKind = StepKind.DATA
    data: bytes = b""
    fire: Callable[[], None] | None = None


@dataclass(slots=True)
class Turns:
    """How many requests a toxic has looked at, over all its connections."""

    taken: int = 0

    def take(self, first: int) -> bool:
        """Take the next turn; return whether it is among the first so many (0: all are)."""
        self.taken += 1
        return first == 0 or self.taken <= first


@dataclass(frozen=True, slots=True)
class Place:
    """Where a toxic meets a connection: its random numbers, its counter, and what all its connections share."""

    stream: random.Random
    fire: Callable[[], None]
    turns: Turns = field(default_factory=Turns)
    direction: Direction = Direction.DOWNSTREAM


class Stage:
    """One toxic in one direction of one connection; this one lets everything pass."""

    window_bytes = 1 << 20
    """How much may wait behind this stage before the sender has to wait, too."""

    def begin(self, now: float) -> Sequence[Step]:  # noqa: ARG002 - for those that have something to say
        """Return what happens on its own, whatever data comes."""
        return ()

    def take(self, step: Step) -> Sequence[Step]:
        """Return what becomes of a step."""
        return (step,)

    def leave(self, now: float) -> Sequence[Step]:  # noqa: ARG002 - as above
        """Return what happens when the toxic is taken away."""
        return ()


class Toxic:
    """What a toxic is told by its attributes; subclasses are frozen dataclasses of them, named as on the wire."""

    type: ClassVar[str]

    def stages(self, place: Place) -> Mapping[Direction, Stage]:
        """Return the toxic's stages in a new connection."""
        return {place.direction: self.stage(place)}

    def stage(self, place: Place) -> Stage:
        """Return its one stage, for a toxic that works in its own direction only."""
        raise NotImplementedError(f"{type(self).__name__} has stages of its own")
