"""``corrupt``: single bits arrive turned over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic


@dataclass(frozen=True, slots=True)
class Corrupt(Toxic):
    """Turn over one bit in every ``every`` bytes, at a random place in each such stretch."""

    type: ClassVar[str] = "corrupt"
    every: Annotated[int, Field(ge=1)] = 1000

    def stage(self, place: Place) -> Stage:
        """Return the stage that turns bits over."""
        return _TurningOver(self.every, place)


class _TurningOver(Stage):
    def __init__(self, every: int, place: Place) -> None:
        self._every, self._place = every, place
        self._next = place.stream.randrange(every)
        self._passed = 0

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is not StepKind.DATA:
            return (step,)
        data, end = bytearray(step.data), self._passed + len(step.data)
        while self._next < end:
            data[self._next - self._passed] ^= 1 << self._place.stream.randrange(8)
            self._next = (self._next // self._every + 1) * self._every + self._place.stream.randrange(self._every)
            self._place.fire()
        self._passed = end
        return (Step(step.due, StepKind.DATA, bytes(data)),)
