"""``http_overlong``: an answer that goes on after its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.http_parts import Part, PartKind
from chaos.live.proxy.http_stages import HttpToxic, Victim
from chaos.live.proxy.steps import Place, Step


@dataclass(frozen=True, slots=True)
class HttpOverlong(HttpToxic):
    """Send ``extra`` bytes that nobody announced behind the answer's last byte."""

    type: ClassVar[str] = "http_overlong"
    extra: Annotated[int, Field(ge=1, le=1 << 20)] = 16

    def on_answer(self, part: Part, victim: Victim, step: Step, place: Place) -> Sequence[Step]:  # noqa: ARG002
        """Add the bytes at the end."""
        if part.kind is PartKind.END:
            step.data = b"x" * self.extra
            place.fire()
        return (step,)
