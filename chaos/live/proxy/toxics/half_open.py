"""``half_open``: one side has gone, and the other is not told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic


@dataclass(frozen=True, slots=True)
class HalfOpen(Toxic):
    """Let data pass, but neither its end nor a reset: the receiver believes in a connection that is gone."""

    type: ClassVar[str] = "half_open"

    def stage(self, place: Place) -> Stage:
        """Return the stage that keeps silent."""
        return _Silent(place)


class _Silent(Stage):
    def __init__(self, place: Place) -> None:
        self._place = place
        self._swallowed: StepKind | None = None

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is StepKind.DATA or step.fire is not None:
            return (step,)
        self._swallowed = step.kind
        self._place.fire()
        return ()

    def leave(self, now: float) -> Sequence[Step]:
        """Tell now what was kept silent."""
        return () if self._swallowed is None else (Step(now, self._swallowed),)
