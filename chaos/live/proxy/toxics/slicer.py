"""``slicer``: data arrives in small pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic


@dataclass(frozen=True, slots=True)
class Slicer(Toxic):
    """Cut data into pieces of ``average_size`` ± ``size_variation`` bytes, ``delay`` microseconds apart."""

    type: ClassVar[str] = "slicer"
    average_size: Annotated[int, Field(ge=1)] = 64
    size_variation: Annotated[int, Field(ge=0)] = 0
    delay: Annotated[float, Field(ge=0)] = 0

    def stage(self, place: Place) -> Stage:
        """Return the stage that cuts."""
        return _Slicing(self, place)


class _Slicing(Stage):
    window_bytes = 256 << 10

    def __init__(self, toxic: Slicer, place: Place) -> None:
        self._toxic, self._place = toxic, place
        self._free_at = 0.0

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is StepKind.DATA:
            return tuple(self._slices(step))
        step.due = max(step.due, self._free_at)
        return (step,)

    def _slices(self, step: Step) -> Iterator[Step]:
        place, spread = 0, self._toxic.size_variation
        while place < len(step.data):
            size = max(1, self._toxic.average_size + self._place.stream.randint(-spread, spread))
            self._free_at = max(self._free_at, step.due)
            yield Step(self._free_at, StepKind.DATA, step.data[place : place + size])
            self._free_at += self._toxic.delay / 1_000_000
            place += size
            self._place.fire()
