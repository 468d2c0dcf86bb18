"""The background tasks that only keep time: watchdog, ping and register; each round is a method of its own.

Their rhythm is the loop's, never the wall clock's (H1.12). What the server does to a ping is a fact for the status, no
failure of the task (C2.9).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from pywats_reliability.config import ClientConfig
from pywats_reliability.errors import DiskError, SendError
from pywats_reliability.events import Event
from pywats_reliability.health import Condition
from pywats_reliability.ports import Heartbeat, WallClock
from pywats_reliability.queue_manager import QueueManager
from pywats_reliability.wats_client import WatsClient

WATCHDOG_S = 60.0
PING_S = 300.0
REGISTER_S = 3600.0
REGISTER_FIRST_S = 60.0
log = logging.getLogger(__name__)


class Rhythms:
    """The rounds of watchdog, ping and register."""

    def __init__(
        self,
        config: ClientConfig,
        queue: QueueManager,
        client: WatsClient,
        clock: WallClock,
        condition: Callable[[], Condition],
    ) -> None:
        self._config, self._queue, self._client, self._clock = config, queue, client, clock
        self._condition = condition
        self._last_told: tuple[str, ...] = ()
        self.server_version: str | None = None
        self.ping_failed: Event[[str]] = Event("ping_failed")

    async def watchdog(self, heartbeat: Heartbeat) -> None:
        """Look after the house once a minute, until cancelled."""
        while True:
            heartbeat()
            await self.look_after_the_house()
            await asyncio.sleep(WATCHDOG_S)

    async def look_after_the_house(self) -> None:
        """Prune ``sent/`` (H1.11), and log what is wrong with the service whenever that has changed."""
        try:
            await self._queue.prune_sent(self._clock.now() - timedelta(days=self._config.sent_retention_days))
        except DiskError as error:
            log.warning("sent/ was not pruned: %s", error)
        if (reasons := self._condition().reasons) != self._last_told:
            self._last_told = reasons
            log.warning("the service is degraded: %s", "; ".join(reasons) or "no longer")

    async def ping(self, heartbeat: Heartbeat) -> None:
        """Ask the server for a sign of life at the start and every five minutes, until cancelled."""
        while True:
            heartbeat()
            await self.ask_for_a_sign_of_life()
            await asyncio.sleep(PING_S)

    async def ask_for_a_sign_of_life(self) -> None:
        """Ask once; the client notes what it learns as the API's status."""
        try:
            self.server_version = await self._client.version()
        except SendError as error:
            log.info("ping: %s", error)
            self.ping_failed.emit(str(error))

    async def register(self, heartbeat: Heartbeat) -> None:
        """Say who this station is a minute after the start and then every hour, until cancelled."""
        heartbeat()
        await asyncio.sleep(REGISTER_FIRST_S)
        while True:
            heartbeat()
            self.introduce()
            await asyncio.sleep(REGISTER_S)

    def introduce(self) -> None:
        """Log the station's identity beside the server's version, for whoever reads logs of many stations."""
        config = self._config
        name = config.station_name or config.instance_name
        log.info("station %s (%s) at server version %s", name, config.instance_id, self.server_version or "unknown")

    def __repr__(self) -> str:
        return f"Rhythms(server {self.server_version or 'unknown'}, {len(self._last_told)} reasons told)"
