"""``limit_data``: so many bytes, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic


@dataclass(frozen=True, slots=True)
class LimitData(Toxic):
    """Close the connection once exactly ``bytes`` bytes have passed."""

    type: ClassVar[str] = "limit_data"
    bytes: Annotated[int, Field(ge=0)] = 0

    def stage(self, place: Place) -> Stage:
        """Return the stage that counts."""
        return _Counting(self.bytes, place)


class _Counting(Stage):
    def __init__(self, left_bytes: int, place: Place) -> None:
        self._left_bytes, self._place, self._is_closed = left_bytes, place, False

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is not StepKind.DATA:
            return (step,)
        if self._is_closed:
            return ()
        passing = step.data[: self._left_bytes]
        self._left_bytes -= len(passing)
        steps = [Step(step.due, StepKind.DATA, passing)] if passing else []
        if not self._left_bytes:
            self._is_closed = True
            steps.append(Step(step.due, StepKind.CLOSE, fire=self._place.fire))
        return steps
