"""``packet_loss``: what loses packets costs time, because TCP sends them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.steps import Place, Stage, Step, StepKind, Toxic
from chaos.live.proxy.toxics.latency import Milliseconds

TRIES_MAX = 6
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class PacketLoss(Toxic):
    """Lose each piece with ``loss_rate``, after a lost one with ``loss_rate + correlation``: it comes again later.

    Losing bytes of a stream for good would be no packet loss but damage: a lost piece, and what follows it, is held up
    by ``retransmission`` milliseconds, twice as long if it is lost again, as the kernel would do it (at most 6 times).
    """

    type: ClassVar[str] = "packet_loss"
    loss_rate: Probability = 0.1
    correlation: Probability = 0.0
    retransmission: Milliseconds = 200

    def stage(self, place: Place) -> Stage:
        """Return the stage that loses."""
        return _Losing(self, place)


class _Losing(Stage):
    def __init__(self, toxic: PacketLoss, place: Place) -> None:
        self._toxic, self._place = toxic, place
        self._last_due, self._was_lost = 0.0, False

    def take(self, step: Step) -> Sequence[Step]:
        if step.kind is StepKind.DATA:
            wait_s = self._toxic.retransmission / 1000
            for _ in range(TRIES_MAX):
                if not self._loses():
                    break
                step.due += wait_s
                wait_s *= 2
                self._place.fire()
        step.due = self._last_due = max(step.due, self._last_due)  # What comes after a hole waits for it.
        return (step,)

    def _loses(self) -> bool:
        chance = self._toxic.loss_rate + (self._toxic.correlation if self._was_lost else 0)
        self._was_lost = self._place.stream.random() < chance
        return self._was_lost
