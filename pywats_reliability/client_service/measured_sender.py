"""The way to the server with a watch beside it: how long each upload took and what came of it, for the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pywats_reliability.answers import Decision, PauseForCredentials, Rejected, RetryLater, Sent
from pywats_reliability.ports import ReportSender

OUTCOMES: dict[type[Decision], str] = {
    Sent: "sent",
    RetryLater: "retry",
    Rejected: "rejected",
    PauseForCredentials: "paused",
}


class MeasuredSender:
    """A ``ReportSender`` that hands on to ``sender`` and tells ``ended(outcome, seconds)`` of every upload."""

    def __init__(self, sender: ReportSender, ended: Callable[[str, float], object]) -> None:
        self._sender, self._ended = sender, ended

    async def send(self, report_id: str, body: bytes) -> Decision:
        """Hand the report on; see ``ReportSender.send``."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        decision = await self._sender.send(report_id, body)
        self._ended(OUTCOMES[type(decision)], loop.time() - began)
        return decision

    def __repr__(self) -> str:
        return f"MeasuredSender({self._sender!r})"
