"""``slow_close``: the end of the data arrives late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic
from chaos.live.proxy.toxics.latency import Milliseconds


@dataclass(frozen=True, slots=True)
class SlowClose(Toxic):
    """Tell of the end of the data ``delay`` milliseconds after it came."""

    type: ClassVar[str] = "slow_close"
    delay: Milliseconds = 0

    def stage(self, place: Place) -> Stage:
        """Return the stage that holds the end back."""
        return _HoldingTheEnd(self.delay / 1000, place)


class _HoldingTheEnd(Stage):
    def __init__(self, delay_s: float, place: Place) -> None:
        self._delay_s, self._place = delay_s, place

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is not StepKind.DATA:
            step.due += self._delay_s
            self._place.fire()
        return (step,)
