"""What a crash of a run may leave, found out once: for several pasts, and for models of the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaos.crash.machine import Ran
from chaos.crash.story import CrashStory
from chaos.storage import CrashState, CrashStates, Limits, Persistence, contents_key
from chaos.storage.operations import Entry

REMEMBERED_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Leaving:
    """A state, the first of those that neither the story nor the outside can tell apart, and its number in the run.

    ``like`` is the key of its contents after the story's abstraction.
    """

    number: int
    state: CrashState
    like: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """What a crash may leave of a run with this log; ``states`` counts those that are alike, too."""

    log: Sequence[Entry]
    first: Sequence[Leaving]
    states: int
    points: int
    bounds_hit: Sequence[str]


class Leavings:
    """Remembers what was found out, up to ``REMEMBERED_MAX`` states."""

    def __init__(self, story: CrashStory) -> None:
        self._story = story
        self._likes: dict[bytes, bytes] = {}  # From the key of contents to that of their abstraction.
        self._known: dict[tuple[int, Persistence, Limits], Left] = {}
        self._count = 0

    def of(self, ran: Ran, model: Persistence, limits: Limits) -> Left:
        """Return what a crash of a run may leave under a model."""
        key = id(ran.log), replace(model, name=""), limits  # The log is kept with what is known of it, and so its id.
        left = self._known.get(key)
        if left is None:
            left = self._enumerated(ran, model, limits)
            if self._count + len(left.first) <= REMEMBERED_MAX:
                self._count += len(left.first)
                self._known[key] = left
        return left

    def _enumerated(self, ran: Ran, model: Persistence, limits: Limits) -> Left:
        states = CrashStates(ran.log, model, ran.start, limits)
        first: dict[tuple[bytes, int], Leaving] = {}
        for number, state in enumerate(states):
            like = self._likes.get(state.key)
            if like is None:
                like = contents_key(self._story.abstract(state.contents))
                if len(self._likes) < REMEMBERED_MAX:
                    self._likes[state.key] = like
            if (like, state.visible) not in first:
                first[like, state.visible] = Leaving(number, state, like)
        return Left(ran.log, tuple(first.values()), states.count, states.points, tuple(states.bounds_hit))

    def __repr__(self) -> str:
        return f"Leavings({self._story.name}, of {len(self._known)} runs, {self._count} states)"
