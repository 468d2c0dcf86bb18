"""``http_cut``: the connection breaks at a chosen place of the exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.live.proxy.http_parts import Part, PartKind
from chaos.live.proxy.http_stages import HttpToxic, Victim
from chaos.live.proxy.steps import Place, Step, StepKind


@dataclass(frozen=True, slots=True)
class HttpCut(HttpToxic):
    """Cut the connection (or ``reset`` it) in the middle of the named part, or between request and answer.

    ``after_request``: the server has the whole request; the client is cut off at once. ``before_answer``: the server
    has answered, and the client gets nothing of it.
    """

    type: ClassVar[str] = "http_cut"
    at: Literal[
        "request_headers", "request_body", "after_request", "before_answer", "answer_headers", "answer_body"
    ] = "after_request"
    reset: bool = False

    def on_request(self, part: Part, victim: Victim, step: Step, place: Place) -> Sequence[Step]:
        """Cut in the request, or behind it."""
        if victim.is_over:
            return ()
        if part.kind is PartKind.END and self.at in ("request_body", "after_request"):
            return (step, self._end(victim, step, place))
        if (self.at, part.kind) in (("request_headers", PartKind.HEAD), ("request_body", PartKind.BODY)):
            return self._half(victim, step, place)
        return (step,)

    def on_answer(self, part: Part, victim: Victim, step: Step, place: Place) -> Sequence[Step]:
        """Cut before the answer, or in it."""
        if victim.is_over or part.is_interim:
            return () if victim.is_over else (step,)
        if self.at == "before_answer":
            return (self._end(victim, step, place),)
        if part.kind is PartKind.END and self.at == "answer_body":
            return (step, self._end(victim, step, place))  # It had no body to cut.
        if (self.at, part.kind) in (("answer_headers", PartKind.HEAD), ("answer_body", PartKind.BODY)):
            return self._half(victim, step, place)
        return (step,)

    def _half(self, victim: Victim, step: Step, place: Place) -> Sequence[Step]:
        end = self._end(victim, step, place)
        step.data = step.data[: len(step.data) // 2]
        return (step, end)

    def _end(self, victim: Victim, step: Step, place: Place) -> Step:
        victim.is_over = True
        return Step(step.due, StepKind.RESET if self.reset else StepKind.CLOSE, fire=place.fire)
