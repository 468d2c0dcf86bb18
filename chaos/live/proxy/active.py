"""A toxic at work in a proxy: its settings, how many connections got it, how often it took effect."""

from __future__ import annotations

import asyncio
from typing import Any

from chaos.live.proxy.settings import ToxicSettings, attributes_of
from chaos.live.proxy.steps import Turns


class ActiveToxic:
    """One toxic of a proxy. Raises ``UsageError`` for an unknown type or attribute."""

    def __init__(self, settings: ToxicSettings) -> None:
        self.settings, self.toxic = settings, settings.toxic()
        self.turns = Turns()
        self.reached = self.fired = 0
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"ActiveToxic({self.settings.label}, {self.reached} connections, fired {self.fired})"

    def fire(self) -> None:
        """Count that it took effect, now."""
        self.fired += 1
        self._changed.set()

    async def wait_fired(self, times: int, wait_s: float) -> None:
        """Return once it fired that often, or when the seconds are over; look at ``fired`` for which it was."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while self.fired < times and loop.time() < deadline:
            self._changed.clear()
            await _until(self._changed, deadline)

    def as_data(self) -> dict[str, Any]:
        """Return it with Toxiproxy's field names, and our counts beside them."""
        settings = self.settings
        return {
            "name": settings.label,
            "type": settings.type,
            "stream": str(settings.stream),
            "toxicity": settings.toxicity,
            "attributes": attributes_of(self.toxic),
            "reached": self.reached,
            "fired": self.fired,
        }


async def _until(event: asyncio.Event, deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await event.wait()
    except TimeoutError:
        return  # Whoever waits looks at the count.
