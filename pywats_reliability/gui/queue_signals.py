"""The queue's events as Qt signals: of a queue in this process, or of the service's, by looking at it.

* ``follow`` passes on what a ``QueueManager`` in this process emits.
* The service pushes nothing over IPC (protocol 2.0): ``QueueWatch`` compares what it sees with what it saw. It never
  tells of a report more than it has been told: one that left ``pending/`` is asked for by its id, up to a limit
  per look; beyond it the counts alone tell.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from pywats_reliability.errors import ReliabilityError
from pywats_reliability.gui.holdings import Holdings
from pywats_reliability.gui.service_answers import Status, part_of, queue_in, status_in
from pywats_reliability.gui.service_link import ServiceClient
from pywats_reliability.ports import Heartbeat
from pywats_reliability.queue_manager import QueueManager

ASKED_MAX = 5
LOOK_S = 30.0
log = logging.getLogger(__name__)


class QueueSignals(QObject):
    """The signals; ``operation_failed`` carries the report's id and the error, ``queue_changed`` the new counts."""

    operation_queued = Signal(str)
    operation_sent = Signal(str)
    operation_failed = Signal(str, str)
    queue_changed = Signal(object)

    def follow(self, queue: QueueManager, holdings: Holdings) -> None:
        """Pass on the events of a queue in this process for as long as ``holdings`` are open."""
        holdings.observe(queue.operation_queued, self.operation_queued.emit)
        holdings.observe(queue.operation_sent, self.operation_sent.emit)
        holdings.observe(queue.operation_failed, self.operation_failed.emit)
        holdings.observe(queue.queue_changed, self.queue_changed.emit)


class QueueWatch:
    """Looks at the queue of the running service every 30 s, and whenever ``look_now`` is called."""

    def __init__(self, signals: QueueSignals, config_path: Path) -> None:
        self._signals, self.client = signals, ServiceClient(config_path)
        self._look_now = asyncio.Event()
        self._status: Status | None = None
        self._pending: frozenset[str] | None = None
        self._failed: frozenset[str] | None = None

    def look_now(self) -> None:
        """Look at once."""
        self._look_now.set()

    async def run(self, beat: Heartbeat) -> None:
        """Look again and again, until cancelled; what keeps it from seeing is the link's to tell."""
        while True:
            beat()
            self._look_now.clear()
            try:
                await self._look()
            except ReliabilityError as error:
                log.debug("the queue cannot be seen: %s", error)
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._look_now.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        status = status_in(await self.client.request("get_status"))
        if status == self._status:
            return
        pending = await self._ids("pending")
        failed = await self._ids("failed")
        before, failed_before = self._pending, self._failed
        self._status, self._pending, self._failed = status, pending, failed
        if before is not None and failed_before is not None:
            for report_id in sorted(pending - before):
                self._signals.operation_queued.emit(report_id)
            for report_id in sorted((before - pending) | (failed - failed_before))[:ASKED_MAX]:
                await self._tell(report_id)
        self._signals.queue_changed.emit(status)

    async def _ids(self, folder: str) -> frozenset[str]:
        return frozenset(r.report_id for r in queue_in(await self.client.request("get_queue", {"folder": folder})))

    async def _tell(self, report_id: str) -> None:
        answer = await self.client.request("show_report", {"id": report_id})
        for place in part_of("show_report", answer, "places", list)[:1]:
            if (folder := part_of("show_report", place, "folder", str)) == "sent":
                self._signals.operation_sent.emit(report_id)
            elif folder in ("failed", "quarantine"):
                why = str(place.get("last_error") or place.get("why") or "no reason is given")
                self._signals.operation_failed.emit(report_id, why)
