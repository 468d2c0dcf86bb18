"""``bandwidth``: a narrow line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic

SLICE_S = 0.05


@dataclass(frozen=True, slots=True)
class Bandwidth(Toxic):
    """Let at most ``rate`` kilobytes pass per second, in even slices of 50 ms; 0 lets nothing pass."""

    type: ClassVar[str] = "bandwidth"
    rate: Annotated[float, Field(ge=0)] = 0

    def stage(self, place: Place) -> Stage:
        """Return the stage that measures out."""
        return _Narrow(self.rate * 1000, place)


class _Narrow(Stage):
    window_bytes = 64 << 10  # The sender feels a narrow line at once.

    def __init__(self, bytes_per_s: float, place: Place) -> None:
        self._bytes_per_s, self._place = bytes_per_s, place
        self._free_at = 0.0

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is not StepKind.DATA:
            step.due = max(step.due, self._free_at)
            return (step,)
        self._place.fire()
        return tuple(self._slices(step)) if self._bytes_per_s else ()

    def _slices(self, step: Step) -> Iterator[Step]:
        size = max(1, int(self._bytes_per_s * SLICE_S))
        for place in range(0, len(step.data), size):
            piece = step.data[place : place + size]
            self._free_at = max(self._free_at, step.due) + len(piece) / self._bytes_per_s
            yield Step(self._free_at, StepKind.DATA, piece)
