"""``http_slow_headers``: a head that arrives byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.http_parts import Part, PartKind
from chaos.live.proxy.http_stages import HttpToxic, Victim
from chaos.live.proxy.steps import Direction, Place, Step, StepKind


@dataclass(frozen=True, slots=True)
class HttpSlowHeaders(HttpToxic):
    """Send the head of the answer (with stream ``upstream``: of the request) a byte every ``interval`` milliseconds."""

    type: ClassVar[str] = "http_slow_headers"
    interval: Annotated[float, Field(gt=0, le=86_400_000)] = 100

    def on_request(self, part: Part, victim: Victim, step: Step, place: Place) -> Sequence[Step]:  # noqa: ARG002
        """Slow down the request's head."""
        return self._slowed(part, step, place) if place.direction is Direction.UPSTREAM else (step,)

    def on_answer(self, part: Part, victim: Victim, step: Step, place: Place) -> Sequence[Step]:  # noqa: ARG002
        """Slow down the answer's head."""
        return self._slowed(part, step, place) if place.direction is Direction.DOWNSTREAM else (step,)

    def _slowed(self, part: Part, step: Step, place: Place) -> Sequence[Step]:
        if part.kind is not PartKind.HEAD:
            return (step,)
        place.fire()
        interval_s = self.interval / 1000
        return [
            Step(step.due + number * interval_s, StepKind.DATA, step.data[number : number + 1])
            for number in range(len(step.data))
        ]
