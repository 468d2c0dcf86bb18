"""``http_truncate``: an answer that ends before the length it announced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.http_parts import Part, PartKind
from chaos.live.proxy.http_stages import HttpToxic, Victim
from chaos.live.proxy.steps import Place, Step, StepKind


@dataclass(frozen=True, slots=True)
class HttpTruncate(HttpToxic):
    """Leave out the last ``missing`` bytes of the answer's body and close; of a body in chunks, all but its beginning.

    An answer without a body of known length above 0 has nothing to lose: it passes, and nothing has fired.
    """

    type: ClassVar[str] = "http_truncate"
    missing: Annotated[int, Field(ge=1)] = 1

    def on_answer(self, part: Part, victim: Victim, step: Step, place: Place) -> Sequence[Step]:
        """Count the body down to where it is to end."""
        if victim.is_over:
            return ()
        if part.kind is PartKind.HEAD and not part.is_interim:
            victim.memory = max(0, part.length - self.missing) if part.length else 0
        if part.kind is not PartKind.BODY:
            return (step,)
        passing = step.data[: victim.memory]
        victim.memory -= len(passing)
        if len(passing) == len(step.data):
            return (step,)
        victim.is_over = True
        step.data = passing
        return (step, Step(step.due, StepKind.CLOSE, fire=place.fire))
