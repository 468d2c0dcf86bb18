"""``latency``: everything arrives later, by a fixed time and a random part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic

Milliseconds = Annotated[float, Field(ge=0, le=86_400_000)]


@dataclass(frozen=True, slots=True)
class Latency(Toxic):
    """Delay each piece by ``latency`` ± ``jitter`` milliseconds; pieces stay in order, and none waits for another."""

    type: ClassVar[str] = "latency"
    latency: Milliseconds = 0
    jitter: Milliseconds = 0

    def stage(self, place: Place) -> Stage:
        """Return the stage that delays."""
        return _Delaying(self, place)


class _Delaying(Stage):
    window_bytes = 16 << 20  # A long way holds much: what is under way must not slow the sender.

    def __init__(self, toxic: Latency, place: Place) -> None:
        self._toxic, self._place = toxic, place
        self._last_due = 0.0

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is StepKind.DATA:
            jitter = self._place.stream.uniform(-1, 1) * self._toxic.jitter
            step.due += max(0.0, self._toxic.latency + jitter) / 1000
            self._place.fire()
        step.due = self._last_due = max(step.due, self._last_due)
        return (step,)
