"""``timeout``: nothing gets through, and after a time the connection is closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic
from chaos.live.proxy.toxics.latency import Milliseconds


@dataclass(frozen=True, slots=True)
class Timeout(Toxic):
    """Drop all data and close the connection ``timeout`` milliseconds after the toxic took effect in it.

    With 0 it stays open until the toxic is taken away. As something may be missing by then, it is closed at that time.
    """

    type: ClassVar[str] = "timeout"
    timeout: Milliseconds = 0

    def stage(self, place: Place) -> Stage:
        """Return the stage that drops."""
        return _Dropping(self.timeout / 1000, place)


class _Dropping(Stage):
    def __init__(self, timeout_s: float, place: Place) -> None:
        self._timeout_s, self._place = timeout_s, place

    def begin(self, now: float) -> Sequence[Step]:
        return (Step(now + self._timeout_s, StepKind.CLOSE, fire=self._place.fire),) if self._timeout_s else ()

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is StepKind.DATA:
            self._place.fire()
            return ()
        return (step,)

    def leave(self, now: float) -> Sequence[Step]:
        return (Step(now, StepKind.CLOSE),)
