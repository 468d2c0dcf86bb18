"""What a scenario draws from its seed: times, counts and choices, each from the stream of its name; 0 is harmless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from chaos.sim.ports import Choices

T = TypeVar("T")
MS_PER_S = 1_000


class Draw:
    """Drawn values, the same for the same seed. ``workload`` limits every ``count``, as a smaller trial asks for."""

    def __init__(self, choices: Choices, workload: int | None = None) -> None:
        self._choices, self._workload = choices, workload

    def seconds(self, low_s: float, high_s: float, *, stream: str = "times") -> float:
        """Return a time between both, both included, in whole milliseconds."""
        return self._choices.between(stream, round(low_s * MS_PER_S), round(high_s * MS_PER_S)) / MS_PER_S

    def count(self, low: int, high: int, *, stream: str = "counts") -> int:
        """Return a whole number between both, both included; never more than the trial's workload, if it has one."""
        drawn = self._choices.between(stream, low, high)
        return drawn if self._workload is None else max(min(drawn, self._workload), min(low, self._workload), 1)

    def one_of(self, things: Sequence[T], *, stream: str = "choices") -> T:
        """Return one of several; the first is the harmless one."""
        return things[self._choices.below(stream, len(things))]

    def some_of(self, things: Sequence[T], *, stream: str = "choices") -> list[T]:
        """Return a part of them, in their order, each as likely in it as not; the harmless part is none."""
        return [thing for thing in things if self._choices.below(stream, 2)]

    def chance(self, probability: float, *, stream: str = "choices") -> bool:
        """Return true with that probability (0 to 1)."""
        return self._choices.chance(stream, probability)

    def __repr__(self) -> str:
        return f"Draw({self._choices!r})"
