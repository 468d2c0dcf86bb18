"""``http_fail``: the first n requests are refused by the proxy itself, as a gateway without its server would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, ClassVar

from pydantic import Field

from chaos.live.proxy.http_parts import Part, PartKind
from chaos.live.proxy.http_stages import HttpToxic, Victim
from chaos.live.proxy.steps import Place, Step, StepKind


@dataclass(frozen=True, slots=True)
class HttpFail(HttpToxic):
    """Answer ``status`` with ``body`` (and ``Retry-After``, where given), then close; the server sees nothing of it."""

    type: ClassVar[str] = "http_fail"
    status: Annotated[int, Field(ge=200, le=599)] = 503
    body: str = ""
    content_type: str = "text/html"
    retry_after: str = ""

    def on_request(self, part: Part, victim: Victim, step: Step, place: Place) -> Sequence[Step]:
        """Swallow the request, and answer at its end."""
        if part.kind is not PartKind.END:
            return ()
        victim.is_over = True
        place.fire()
        return (Step(step.due, StepKind.ANSWER, self._answer()),)

    def _answer(self) -> bytes:
        body = self.body.encode()
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase if self.status in _KNOWN else 'Injected'}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(body)}",
            *([f"Retry-After: {self.retry_after}"] if self.retry_after else []),
            "Connection: close",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body


_KNOWN = frozenset(int(status) for status in HTTPStatus)
