"""``reset_peer``: a TCP reset in the middle of the conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic
from chaos.live.proxy.toxics.latency import Milliseconds


@dataclass(frozen=True, slots=True)
class ResetPeer(Toxic):
    """Drop the data that comes (after the first ``after_bytes``), and reset both ends ``timeout`` milliseconds later.

    A unix socket knows no reset: there both ends are closed.
    """

    type: ClassVar[str] = "reset_peer"
    timeout: Milliseconds = 0
    after_bytes: Annotated[int, Field(ge=0)] = 0

    def stage(self, place: Place) -> Stage:
        """Return the stage that resets."""
        return _Resetting(self.timeout / 1000, self.after_bytes, place)


class _Resetting(Stage):
    def __init__(self, timeout_s: float, left_bytes: int, place: Place) -> None:
        self._timeout_s, self._left_bytes, self._place, self._has_begun = timeout_s, left_bytes, place, False

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is not StepKind.DATA:
            return (step,)
        if self._has_begun:
            return ()
        passing = step.data[: self._left_bytes]
        self._left_bytes -= len(passing)
        if len(passing) == len(step.data):
            return (step,)
        self._has_begun = True
        reset = Step(step.due + self._timeout_s, StepKind.RESET, fire=self._place.fire)
        return (Step(step.due, StepKind.DATA, passing), reset) if passing else (reset,)
