"""``black_hole``: data goes in and never comes out; with one direction only, the other one goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic


@dataclass(frozen=True, slots=True)
class BlackHole(Toxic):
    """Let ``after_bytes`` bytes pass and drop all that follows, the end of the data included; nobody is told."""

    type: ClassVar[str] = "black_hole"
    after_bytes: Annotated[int, Field(ge=0)] = 0

    def stage(self, place: Place) -> Stage:
        """Return the stage that swallows."""
        return _Swallowing(self.after_bytes, place)


class _Swallowing(Stage):
    def __init__(self, left_bytes: int, place: Place) -> None:
        self._left_bytes, self._place = left_bytes, place

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is not StepKind.DATA:
            return () if step.kind is StepKind.FIN else (step,)
        passing = step.data[: self._left_bytes]
        self._left_bytes -= len(passing)
        if len(passing) < len(step.data):
            self._place.fire()
        return (Step(step.due, StepKind.DATA, passing),) if passing else ()

    def leave(self, now: float) -> Sequence[Step]:
        return (Step(now, StepKind.CLOSE),)  # Bytes are missing: what came now would be nonsense.
