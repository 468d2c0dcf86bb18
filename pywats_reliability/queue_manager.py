"""The door to the queue: reports come in here, and who watches hears here what became of them.

* ``submit`` returns an id when the report is durable, or raises (H1.1, H1.8). From ``stop_accepting`` on
  it refuses with ``ServiceStoppingError`` (C1.1), also what was being parsed at that instant. A conversion that was
  under way then has a door of its own, ``submit_converted``, until ``close``: it may end (C1.2).
* When the queue is full, the configured action decides (H5.3): ``reject`` refuses; ``oldest_first`` moves the oldest
  report to ``failed/`` with the reason and takes the new one; ``pause`` refuses too, and tells watchers and converters
  to pause as soon as the queue is full and to go on as soon as there is room. An eviction that has begun goes on when
  its ``submit`` is cut off: it is counted, logged and told all the same, and its place is free for the next report.
* It is the observer of the uploads: what it hears goes on as the events that users know (H3.1, H3.4).
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pywats_reliability.errors import QueueCriticalError, QueueFullError, ServiceStoppingError
from pywats_reliability.events import Event
from pywats_reliability.report import Report, parse_report
from pywats_reliability.store import FolderName, Record, ReportStore, StoreCounts

log = logging.getLogger(__name__)
PARSE_INLINE_BYTES = 64 * 1024
PRIORITY_DEFAULT = 5
Source = bytes | str | Mapping[str, Any] | Report


class FullAction(enum.StrEnum):
    """What happens to a report that finds the queue full."""

    REJECT = "reject"
    OLDEST_FIRST = "oldest_first"
    PAUSE = "pause"


class QueueManager:
    """The queue in front of an open ``store``; the store stays its opener's to close.

    Events: ``operation_queued(report_id)``, ``operation_sent(report_id)``, ``operation_failed(report_id, error)``,
    ``queue_changed(counts)``, ``queue_critical(error)``, ``intake_paused(reason)``, ``intake_resumed()``.
    """

    def __init__(self, store: ReportStore, *, full_action: FullAction | str = FullAction.REJECT) -> None:
        self._full_action = FullAction(full_action)
        self.operation_queued: Event[[str]] = Event("operation_queued")
        self.operation_sent: Event[[str]] = Event("operation_sent")
        self.operation_failed: Event[[str, str]] = Event("operation_failed")
        self.queue_changed: Event[[StoreCounts]] = Event("queue_changed")
        self.queue_critical: Event[[QueueCriticalError]] = Event("queue_critical")
        self.intake_paused: Event[[str]] = Event("intake_paused")
        self.intake_resumed: Event[[]] = Event("intake_resumed")
        self.is_accepting = True
        self._is_closed = False
        self.is_intake_paused = False
        self.submitted = 0
        self._store = store
        self._unsubscribe = store.changed.subscribe(self._store_changed)
        self._unsubscribe_evicted = store.evicted.subscribe(partial(self.failed, final=True))

    @property
    def full_action(self) -> FullAction:
        """What happens when the queue is full; replaced, the new one counts at once."""
        return self._full_action

    @full_action.setter
    def full_action(self, action: FullAction) -> None:
        self._full_action = action
        self._store_changed()

    async def submit(self, source: Source, *, priority: int = PRIORITY_DEFAULT) -> str:
        """Keep the report in ``source`` durably and return its id; 1 is the most urgent ``priority``, 10 the least.

        Raises ``ReportInvalidError``, ``QueueFullError``, ``DiskError`` or ``ServiceStoppingError``: it is not kept
        then. Cancelled, it is not kept either, unless ``may_be_kept`` says at that instant that it may be.
        """
        self._require_accepting("submit")
        report = await self.parsed(source)
        self._require_accepting("submit")
        return await self._submitted(report, priority)

    async def submit_converted(self, source: Report, *, priority: int = PRIORITY_DEFAULT) -> str:
        """Keep the report of a conversion that began before the stop was asked for; as ``submit``, until ``close``."""
        if self._is_closed:
            raise ServiceStoppingError("submit")
        return await self._submitted(source, priority)

    def may_be_kept(self, report_id: str) -> bool:
        """Return whether a report is in the queue, or was cut off so late that it may yet come into it."""
        return self._store.may_be_kept(report_id)

    def is_changing(self, report_id: str) -> bool:
        """Return whether the disk is at a change of that report, which nobody can call back."""
        return self._store.is_changing(report_id)

    def stop_accepting(self) -> None:
        """Refuse everything that would change the queue from outside, from now on."""
        self.is_accepting = False

    def close(self) -> None:
        """Stop accepting and stop listening to the store; harmless to repeat."""
        self.stop_accepting()
        self._is_closed = True
        self._unsubscribe()
        self._unsubscribe_evicted()

    def is_full(self) -> bool:
        """Return whether not even an empty report has room."""
        return self._store.can_accept() is not None

    def can_enqueue(self, size_bytes: int = 0) -> tuple[bool, str]:
        """Return whether a report of that size would be taken, and the reason if not."""
        if not self.is_accepting:
            return False, str(ServiceStoppingError("submit"))
        refusal = self._store.can_accept(size_bytes)
        return (True, "") if refusal is None else (False, str(refusal))

    async def wait_for_room(self, size_bytes: int = 0) -> None:
        """Return as soon as a report of that size has room; another producer may still be faster."""
        await self._store.wait_for_room(size_bytes)

    @property
    def counts(self) -> StoreCounts:
        """The counts of the store at this instant."""
        return self._store.counts

    async def retry_failed(self, report_id: str) -> int:
        """Queue a report from ``failed/`` again; return how many records that were.

        Raises ``ReportNotFoundError``, ``QueueFullError``, ``DiskError`` or ``ServiceStoppingError``.
        """
        self._require_accepting("retry")
        return await self._store.retry_failed(report_id)

    async def discard_failed(self, report_id: str) -> int:
        """Delete a report from ``failed/`` for good; return how many records that were. Raises as ``retry_failed``."""
        self._require_accepting("discard")
        return await self._store.discard_failed(report_id)

    async def prune_sent(self, older_than: datetime) -> int:
        """Delete from ``sent/`` what was sent before ``older_than``; return how many."""
        return await self._store.prune_sent(older_than)

    async def list_records(self, folder: FolderName = "pending") -> list[Record]:
        """Return the records in a folder in the order of their arrival."""
        return await self._store.list_records(folder)

    def sent(self, report_id: str) -> None:
        """Hear from an upload that the server has the report."""
        self.operation_sent.emit(report_id)

    def failed(self, report_id: str, error: str, *, final: bool) -> None:  # noqa: ARG002 - others need it
        """Hear from an upload, which logs it, that it failed; ``final``: the report is in ``failed/``."""
        self.operation_failed.emit(report_id, error)

    def critical(self, error: QueueCriticalError) -> None:
        """Hear from an upload, which logs it, that it failed and that this could not be saved either (H3.4)."""
        self.queue_critical.emit(error)
        self.operation_failed.emit(error.report_id, str(error))

    def _require_accepting(self, operation: str) -> None:
        if not self.is_accepting:
            raise ServiceStoppingError(operation)

    async def parsed(self, source: Source) -> Report:
        """Return the report in ``source``. Raises ``ReportInvalidError``.

        What is small is parsed at once; the rest in a thread, so that encoding a large mapping delays nobody.
        """
        if isinstance(source, Report):
            return source
        if isinstance(source, Mapping) or len(source) > PARSE_INLINE_BYTES:
            return await self._store.workers.run("parsing a report that is handed over", parse_report, source)
        return parse_report(source)

    async def _submitted(self, report: Report, priority: int) -> str:
        record = await self._accepted(report, priority)
        self.submitted += 1
        self.operation_queued.emit(record.report_id)
        return record.report_id

    async def _accepted(self, report: Report, priority: int) -> Record:
        while True:
            try:
                return await self._store.accept(report, priority=priority)
            except QueueFullError as full:
                if self.full_action is not FullAction.OLDEST_FIRST or not await self._evicted_for(report, full):
                    raise

    async def _evicted_for(self, report: Report, full: QueueFullError) -> bool:
        """Make room by giving up the oldest report; false where that cannot help. Each round evicts one for good."""
        if full.unit not in {"reports", "bytes"} or (full.unit == "bytes" and len(report.body) > full.limit):
            return False
        reason = f"evicted to make room for a newer report: {full}"
        return await self._store.evict_oldest(reason) is not None

    def _store_changed(self) -> None:
        self.queue_changed.emit(self._store.counts)
        refusal = self._store.can_accept() if self.full_action is FullAction.PAUSE else None
        if refusal is not None and not self.is_intake_paused:
            self.is_intake_paused = True
            self.intake_paused.emit(str(refusal))
        elif refusal is None and self.is_intake_paused:
            self.is_intake_paused = False
            self.intake_resumed.emit()

    def __repr__(self) -> str:
        state = "accepting" if self.is_accepting else "not accepting"
        return f"QueueManager({state}, {self.submitted} submitted, {self.full_action}, {self._store!r})"
