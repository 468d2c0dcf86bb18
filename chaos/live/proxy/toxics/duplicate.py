"""``duplicate``: some data arrives twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic


@dataclass(frozen=True, slots=True)
class Duplicate(Toxic):
    """Repeat a piece of data right behind itself, each with ``probability``."""

    type: ClassVar[str] = "duplicate"
    probability: Annotated[float, Field(ge=0, le=1)] = 0.1

    def stage(self, place: Place) -> Stage:
        """Return the stage that repeats."""
        return _Repeating(self.probability, place)


class _Repeating(Stage):
    def __init__(self, probability: float, place: Place) -> None:
        self._probability, self._place = probability, place

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is not StepKind.DATA or self._place.stream.random() >= self._probability:
            return (step,)
        self._place.fire()
        return step, Step(step.due, StepKind.DATA, step.data)
