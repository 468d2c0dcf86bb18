"""What becomes of a report once there is a decision about it: saved first, then told (H1.3, H1.4, H1.7, H3.1, H3.4).

* Sent: moved to ``sent/``. Refused for good, or failed ``max_attempts`` times: moved to ``failed/`` with its story.
* Failed: the attempt is kept with the record, and the wait until the next one is told to the queue.
* An outcome that cannot be saved is CRITICAL and told with both causes. The record stays in ``pending/`` and comes up
  again after a backoff that grows in memory instead. Of one that the server has, only the moving is repeated, until a
  restart sends it again with the same id (H1.5).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from pywats_reliability.answers import Rejected, RetryLater, Sent
from pywats_reliability.errors import DiskError, QueueCriticalError, ReliabilityError
from pywats_reliability.events import Event
from pywats_reliability.pending_queue.protocols import PendingStore, R, UploadObserver
from pywats_reliability.ports import Randomness
from pywats_reliability.retry import Backoff

SAVE_ON_CANCEL_S = 5.0
CANCELLED = "the upload was cancelled before its answer; whether the server has the report is unknown"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """The limits of sending. A report is tried ``max_attempts`` times, and at least once."""

    max_concurrent: int = 5
    max_attempts: int = 10
    retry_interval_s: float = 30.0
    retry_cap_s: float = 3600.0


class Outcomes(Generic[R]):
    """Saves and tells outcomes. Methods that return a number of seconds say when the record is to be tried again."""

    def __init__(
        self, store: PendingStore[R], observer: UploadObserver, settings: UploadSettings, randomness: Randomness
    ) -> None:
        self.settings = settings
        self.successful = self.errors = self.retries = 0
        self._store, self._randomness = store, randomness
        self._sent: Event[...] = _told("operation_sent", observer.sent)
        self._failed: Event[...] = _told("operation_failed", observer.failed)
        self._critical: Event[...] = _told("queue_critical", observer.critical)
        self._unsaved: dict[str, int] = {}  # Failures that the disk did not keep.
        self._delivered: dict[str, None] = {}  # Records that the server has and that the disk would not move.

    def is_delivered(self, record: R) -> bool:
        """Return whether the server is known to have the report, so that only the moving is left to do."""
        return record.name in self._delivered

    async def settle(self, record: R, decision: Sent | Rejected | RetryLater) -> float | None:
        """Save and tell what ``decision`` means; return the wait until the next attempt, or ``None``: it has left."""
        match decision:
            case Sent():
                return await self._mark_sent(record)
            case Rejected(reason):
                self.errors += 1
                return await self._give_up(record, reason)
            case RetryLater(reason, not_before_s):
                return await self._note_failure(record, reason, not_before_s)

    async def note_cancelled(self, record: R) -> None:
        """Keep the attempt although this task is cancelled: the first cancellation is spent, and the wait is short."""
        self.errors += 1
        try:
            async with asyncio.timeout(SAVE_ON_CANCEL_S):
                await self._store.record_attempt(record, CANCELLED)
        except (TimeoutError, asyncio.CancelledError, ReliabilityError) as error:
            self._tell_critical(record, CANCELLED, error)
        self._failed.emit(record.report_id, CANCELLED, final=False)

    def put_off(self, record: R, reason: str) -> float:
        """Tell of a failure that is no attempt (nothing went out), and return the wait: longer each time."""
        self.errors += 1
        log.error("report %s is put off: %s", record.report_id, reason)
        self._failed.emit(record.report_id, reason, final=False)
        return self._wait_s(self._count_unsaved(record))

    def note_unreadable(self, record: R, reason: str) -> None:
        """Tell of a record that is no report: the store has put it aside, and it is not tried again (H1.6)."""
        self.errors += 1
        self._forget(record)
        log.error("report %s is not sent: %s", record.report_id, reason)
        self._failed.emit(record.report_id, reason, final=True)

    async def _mark_sent(self, record: R) -> float | None:
        self._delivered[record.name] = None
        try:
            await self._store.mark_sent(record)
        except DiskError as error:
            self._tell_critical(record, "no, the server has it", error)
            return self._wait_s(self._count_unsaved(record))
        self._forget(record)
        self.successful += 1
        self._sent.emit(record.report_id)
        return None

    async def _give_up(self, record: R, reason: str) -> float | None:
        try:
            await self._store.mark_failed(record, reason)
        except (DiskError, QueueCriticalError) as error:
            self._tell_critical(record, reason, error)
            self._failed.emit(record.report_id, reason, final=False)
            return self._wait_s(self._count_unsaved(record))
        self._forget(record)
        log.error("report %s is in failed/, to be retried or discarded by hand: %s", record.report_id, reason)
        self._failed.emit(record.report_id, reason, final=True)
        return None

    async def _note_failure(self, record: R, reason: str, not_before_s: float | None) -> float | None:
        self.errors += 1
        try:
            attempts = await self._store.record_attempt(record, reason)
        except (DiskError, QueueCriticalError) as error:
            attempts = self._count_unsaved(record)
            self._tell_critical(record, reason, error)
        else:
            if attempts >= self.settings.max_attempts:
                return await self._give_up(record, reason)
            self._unsaved.pop(record.name, None)
        log.warning("report %s, attempt %d failed: %s", record.report_id, attempts, reason)
        self._failed.emit(record.report_id, reason, final=False)
        return self._wait_s(attempts, not_before_s)

    def _wait_s(self, attempts: int, not_before_s: float | None = None) -> float:
        self.retries += 1
        backoff = Backoff(self.settings.retry_interval_s, self.settings.retry_cap_s)
        return backoff.delay_s(attempts, self._randomness, not_before_s)

    def _count_unsaved(self, record: R) -> int:
        self._unsaved[record.name] = self._unsaved.get(record.name, 0) + 1
        return self._unsaved[record.name]

    def _forget(self, record: R) -> None:
        self._unsaved.pop(record.name, None)
        self._delivered.pop(record.name, None)

    def _tell_critical(self, record: R, send_error: str, save_error: BaseException) -> None:
        error = save_error if isinstance(save_error, QueueCriticalError) else QueueCriticalError(
            record.report_id, send_error, str(save_error) or type(save_error).__name__
        )  # fmt: skip
        log.critical("%s", error)
        self._critical.emit(error)

    def __repr__(self) -> str:
        return (
            f"Outcomes({self.successful} sent, {self.errors} errors, {self.retries} retries,"
            f" {len(self._delivered)} delivered and not moved)"
        )


def _told(name: str, observer: Callable[..., object]) -> Event[...]:
    """Return an event with one observer, whose exceptions then cannot touch the report."""
    event: Event[...] = Event(name)
    event.subscribe(observer)
    return event
