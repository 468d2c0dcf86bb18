"""The durable store of reports: one readable JSON file each, in ``pending/``, ``sent/`` or ``failed/``.

* ``pending/`` is the queue and its write-ahead log in one: there is nothing beside it that could disagree with it. A
  report is accepted when its contents and its name are on stable storage (H1.1); until then nobody can take it (H1.2).
* A record is in one folder at a time and moves by renaming; no contents are rewritten, no name overwritten (H1.15).
* In flight is a fact of memory only: after a crash everything in ``pending/`` is due at once (C1.6).
* The bookkeeping belongs to the end of a disk operation, not to its caller: cancelling leaves the counts true.
* What each part does stands in its module: ``names`` (order), ``index`` (who is next), ``limits`` (places), ``commit``
  and ``batches`` (sharing syncs), ``reconciliation`` (start and scan), ``adoption`` and ``quarantine`` (foreign files).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from pywats_reliability.disk import Disk
from pywats_reliability.errors import (
    DiskError,
    QueueCriticalError,
    QueueFullError,
    RecordUnreadableError,
    ReportNotFoundError,
    ServiceStoppingError,
)
from pywats_reliability.events import Event
from pywats_reliability.ports import WallClock
from pywats_reliability.report import Report
from pywats_reliability.store import folders as in_folders
from pywats_reliability.store.adoption import Fate, Judgement
from pywats_reliability.store.batches import Move, Write
from pywats_reliability.store.commit import Entry
from pywats_reliability.store.commits import Commits
from pywats_reliability.store.folders import FolderName, Folders
from pywats_reliability.store.history import History
from pywats_reliability.store.index import Index, IndexEntry
from pywats_reliability.store.limits import Places, StoreCounts, StoreLimits
from pywats_reliability.store.lock import FolderLock
from pywats_reliability.store.names import PRIORITY_DEFAULT, Record, history_name, make_record, sent_name
from pywats_reliability.store.reconciliation import Reconciliation
from pywats_reliability.store.recovery import Recovery
from pywats_reliability.store.stories import Stories
from pywats_reliability.workers import CLOSE_TIMEOUT_S, Workers

log = logging.getLogger(__name__)
NO_LIMITS_GIVEN = StoreLimits()


class ReportStore:
    """The reports in one data folder. ``open`` it before all else; who opened it closes it.

    ``changed`` is emitted, in the loop, when a record becomes available or leaves, and when room may have changed;
    ``evicted(report_id, reason)`` when one was moved to ``failed/`` to make room.
    """

    def __init__(
        self,
        folder: Path,
        *,
        disk: Disk,
        clock: WallClock,
        limits: StoreLimits = NO_LIMITS_GIVEN,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
    ) -> None:
        self.folder = folder
        self.changed: Event[[]] = Event("changed")
        self.evicted: Event[[str, str]] = Event("evicted")
        self.workers = Workers("pywats-store")
        self._close_timeout_s = close_timeout_s
        self._folders = Folders(folder)
        self._disk, self._clock = disk, clock
        self._index = Index()
        self._places = Places(self._index, limits)
        self._lock = FolderLock(folder, disk, clock)
        self._reconciliation = Reconciliation(self._folders, disk, clock, self.workers, self._index, self._places)
        self._commits = Commits(disk, self.workers, self._places)
        self._stories = Stories(disk, clock, self.workers, self._commits, self._require_open)
        self._evicting: dict[int, None] = {}
        self._evictions = 0
        self._discarding: dict[asyncio.Future[int], str] = {}
        self._is_open = False

    async def open(self) -> Recovery:
        """Lock the folder and recover what it holds; everything in ``pending/`` is then due.

        Raises ``StoreLockedError`` naming the holder, or ``DiskError``; nothing stays locked then, nor when cancelled.
        """
        try:
            await self.workers.run("making the folders", self._folders.make, self._disk)
            await self.workers.run("locking the folder", self._lock.acquire)
            recovery = await self._reconciliation.recover()
            await self._ask_free_bytes()
        except BaseException as failure:
            try:
                await self.close()
            except DiskError as error:  # What failed the opening is what its caller hears.
                failure.add_note(str(error))
            raise
        self._is_open = True
        log.info("opened %s: %s", self.folder, recovery)
        return recovery

    async def close(self) -> None:
        """Refuse new work, let the running disk operations end, release the lock. Harmless to repeat.

        An operation that outlives ``close_timeout_s`` is named by ``workers``; the lock ends with the process (C1.4).
        Raises ``DiskError`` when the lock could not be released; the threads have ended all the same.
        """
        self._is_open = False
        ends_at = asyncio.get_running_loop().time() + self._close_timeout_s
        try:
            async with asyncio.timeout_at(ends_at):
                await self._commits.wait_idle()
                await self.workers.wait_idle(self._close_timeout_s)
                if not self.workers.is_closed:
                    await self.workers.run("releasing the lock", self._lock.release)
        except TimeoutError:
            log.error("%r: a disk operation is stuck; closing without it", self)  # noqa: TRY400 - no traceback helps
        except asyncio.CancelledError:
            ends_at = 0.0  # Nobody waits any more, for nothing.
            raise
        finally:
            await self.workers.close(max(0.0, ends_at - asyncio.get_running_loop().time()))

    async def accept(self, report: Report, *, priority: int = PRIORITY_DEFAULT) -> Record:
        """Make ``report`` durable and return its record; 1 is the most urgent ``priority``, 10 the least.

        Raises ``QueueFullError`` (nothing was written) or ``DiskError`` (nothing is kept). Cancelled before the record
        has its name, it will never be kept; later, it may be, counts then and will be sent (``may_be_kept``).
        """
        self._require_open("accept")
        self._places.require_sane(report, priority)
        entry = IndexEntry(self._next_place(), report.id, priority, len(report.body))
        record = make_record(*entry)
        self._places.reserve(entry.sequence, entry.size)
        write = Write(
            folder=self._folders.pending, name=record.name, data=report.body, needs_room=True,
            on_end=partial(self._accepted, entry),
        )  # fmt: skip
        await self._commits.write_unless_cancelled(write)
        return record

    def may_be_kept(self, report_id: str) -> bool:
        """Return whether a record of that report is here, or may yet come: its write cannot be withdrawn any more."""
        return self._commits.is_naming(report_id) or self._index.has_id(report_id)

    def is_changing(self, report_id: str) -> bool:
        """Return whether the disk is at a move or a removal of that report, which nobody can call back."""
        return self._commits.is_moving(report_id) or report_id in self._discarding.values()

    def take(self) -> Record | None:
        """Return the oldest of the most urgent records and mark it in flight; none while its id is in flight (H1.9)."""
        entry = self._index.take()
        return None if entry is None else make_record(*entry)

    async def read(self, record: Record) -> bytes:
        """Return the report's bytes, whole.

        Raises ``RecordUnreadableError`` when the record is no report: it has left the queue then, to quarantine with
        the reason (H1.6). Raises ``DiskError`` for a fault that may pass: the record is still in flight, to release.
        """
        future = self.workers.start(partial(self._reconciliation.read, record), f"reading report {record.report_id}")
        future.add_done_callback(partial(self._read_ended, record))
        body = await asyncio.shield(future)
        if isinstance(body, Judgement):
            place = self._folders.quarantine if body.fate is Fate.QUARANTINED else self._folders.pending
            raise RecordUnreadableError(record.report_id, body.why, str(place))
        return body

    def release(self, record: Record) -> None:
        """Let ``record`` be taken again, at its old place in the order; harmless when it has left or is leaving."""
        if record.sequence not in self._evicting and self._index.release(record.sequence):
            self.changed.emit()

    def defer(self, record: Record) -> None:
        """Mark ``record`` as waiting for its retry: not given out before its release, but no longer in flight.

        A deferred record may be evicted.
        """
        self._index.defer(record.sequence)

    async def record_attempt(self, record: Record, error: str) -> int:
        """Note a failed attempt durably beside the record and return how many there were, restarts included.

        Raises ``QueueCriticalError`` when the note cannot be saved; the record stays as it was (H3.4).
        """
        if record.sequence not in self._index:
            return 0
        try:
            return await self._stories.add_attempt(self._folders.pending, record, error)
        except DiskError as disk_error:
            raise QueueCriticalError(record.report_id, error, str(disk_error)) from disk_error

    async def mark_sent(self, record: Record) -> None:
        """Move ``record`` to ``sent/``. Raises ``DiskError``; the record then stays in flight, to be sent again."""
        self._require_open("mark as sent")
        await self._commits.move(Move(
            source=self._folders.pending / record.name,
            target=self._folders.sent / sent_name(record, self._clock.now()),
            remove=self._folders.pending / history_name(record),
            on_end=partial(self._left, record),
        ))  # fmt: skip

    async def mark_failed(self, record: Record, reason: str) -> None:
        """Move ``record`` to ``failed/`` with its history and ``reason``, durably.

        Raises ``QueueCriticalError`` when that cannot be saved; the record then stays in flight (H3.4).
        """
        try:
            await self._stories.finish(self._folders.pending, self._folders.failed, record, reason)
            await self._move_to_failed(record, partial(self._moved_to_failed, record))
        except DiskError as error:
            raise QueueCriticalError(record.report_id, reason, str(error)) from error

    async def evict_oldest(self, reason: str) -> Record | None:
        """Move the oldest record that is not in flight to ``failed/`` with ``reason`` and return it, if there is one.

        Raises ``DiskError``; the record then waits as before. Cancelled before the move, it does, too; later, the move
        goes on. What has moved is counted and told by ``evicted``, whoever still waits for it.
        """
        self._require_open("evict")
        entry = self._index.oldest_evictable()
        if entry is None:
            return None
        record = make_record(*entry)
        self._evicting[record.sequence] = None
        try:
            await self._stories.finish(self._folders.pending, self._folders.failed, record, reason)
        except BaseException:
            self._end_eviction(record)
            raise
        await self._move_to_failed(record, partial(self._evicted, record, reason))
        return record

    async def retry_failed(self, report_id: str) -> int:
        """Queue the failed records of a report again, behind what waits, attempts at zero; return how many.

        Raises ``ReportNotFoundError``, ``QueueFullError`` (the rest stays in ``failed/``) or ``DiskError``.
        """
        self._require_open("retry")
        found = await self._find_failed(report_id)
        for record in found:
            await self._retry(record)
        return len(found)

    async def discard_failed(self, report_id: str) -> int:
        """Delete the failed records of a report for good; return how many. Raises as ``retry_failed``."""
        self._require_open("discard")
        records = await self._find_failed(report_id)
        remove = partial(in_folders.remove_records, self._disk, self._folders.failed, records)
        removing = self.workers.start(remove, f"discarding report {report_id}")
        self._discarding[removing] = report_id
        removing.add_done_callback(self._discarding.pop)
        removed = await asyncio.shield(removing)
        self._reconciliation.failed -= removed
        self.changed.emit()
        return removed

    async def prune_sent(self, older_than: datetime) -> int:
        """Delete from ``sent/`` what was sent before ``older_than``; return how many; touch nothing else (H1.11)."""
        return await self.workers.run("pruning sent/", in_folders.prune, self._disk, self._folders.sent, older_than)

    async def list_records(self, folder: FolderName = "pending") -> list[Record]:
        """Return the records in a folder in the order of their arrival."""
        return await self.workers.run(f"listing {folder}/", in_folders.list_records, self._disk, self.folder / folder)

    async def history(self, record: Record, folder: FolderName = "pending") -> History:
        """Return the story of a record's failed attempts. Raises ``DiskError`` when the disk does not tell it now."""
        return await self._stories.read(self.folder / folder, record)

    async def scan(self) -> Recovery:
        """Compare ``pending/`` with what is known: adopt what was dropped in, forget what was taken away, by hand.

        To be called every half minute. Raises ``DiskError`` when the folder cannot be listed.
        """
        self._require_open("scan")
        recovery = await self._reconciliation.scan()
        await self._ask_free_bytes()
        self.changed.emit()
        return recovery

    def can_accept(self, size_bytes: int = 0) -> QueueFullError | None:
        """Return why a report of that size would be refused now, or nothing. Free disk space is as of the last look."""
        return self._places.refusal(size_bytes) or self._places.disk_refusal(size_bytes)

    async def wait_for_room(self, size_bytes: int = 0) -> None:
        """Return as soon as a report of that size would be accepted; another producer may still be faster."""
        await self.changed.until(lambda: self.can_accept(size_bytes) is None)

    @property
    def counts(self) -> StoreCounts:
        """The counts at this instant."""
        found = self._reconciliation
        return StoreCounts(
            pending=len(self._index), in_flight=self._index.in_flight, failed=found.failed,
            quarantined=found.quarantined, pending_bytes=self._index.size_bytes, highest=self._places.highest,
            refused=self._places.refused, evicted=self._evictions, skipped=len(found.skipped),
        )  # fmt: skip

    def limit(self, limits: StoreLimits) -> None:
        """Put other limits into force at once; what is kept already stays."""
        self._places.limits = limits
        self.changed.emit()

    def _require_open(self, operation: str) -> None:
        if not self._is_open:
            raise ServiceStoppingError(operation)

    async def _ask_free_bytes(self) -> None:
        if self._places.limits.min_free_disk_bytes:
            ask = partial(self._disk.free_bytes, self._folders.pending)
            self._places.note_free_disk_bytes(await self.workers.run("asking for free disk space", ask))

    def _next_place(self) -> int:
        return self._reconciliation.sequence.next(self._clock.now())

    def _accepted(self, entry: IndexEntry, write: Write) -> None:
        if write.error is None:
            self._index.add(entry)
        elif isinstance(write.error, QueueFullError):
            self._places.refused += 1
        self._places.free(entry.sequence)
        self.changed.emit()

    def _read_ended(self, record: Record, future: asyncio.Future[bytes | Judgement]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        if isinstance(judgement := future.result(), Judgement):
            self._reconciliation.note(record.name, judgement)
            self._index.remove(record.sequence)
            self.changed.emit()

    def _left(self, record: Record, move: Entry) -> None:
        if move.error is None and self._index.remove(record.sequence):
            self.changed.emit()

    def _moved_to_failed(self, record: Record, move: Move) -> None:
        if move.error is None and not move.was_gone:
            self._reconciliation.failed += 1
        self._left(record, move)

    def _evicted(self, record: Record, reason: str, move: Move) -> None:
        self._moved_to_failed(record, move)
        self._end_eviction(record)
        if move.error is None and not move.was_gone:
            self._evictions += 1
            log.error("report %s is in failed/, to be retried or discarded by hand: %s", record.report_id, reason)
            self.evicted.emit(record.report_id, reason)

    def _end_eviction(self, record: Record) -> None:
        del self._evicting[record.sequence]
        self.release(record)  # It waits as before, unless it has left.

    async def _move_to_failed(self, record: Record, on_end: Callable[[Move], None]) -> None:
        await self._commits.move(Move(
            source=self._folders.pending / record.name, target=self._folders.failed / record.name,
            remove=self._folders.pending / history_name(record), must_be_durable=True, on_end=on_end,
        ))  # fmt: skip

    async def _find_failed(self, report_id: str) -> list[Record]:
        find = partial(in_folders.find_records, self._disk, self._folders.failed, report_id)
        found = await self.workers.run("looking into failed/", find)
        if not found:
            raise ReportNotFoundError(report_id, "failed")
        return found

    async def _retry(self, failed: Record) -> None:
        """Move one record back, as one that arrives now; its new sidecar stands before it does."""
        entry = IndexEntry(self._next_place(), failed.report_id, failed.priority, failed.size)
        record = make_record(*entry)
        self._places.reserve(entry.sequence, entry.size)
        move = Move(
            source=self._folders.failed / failed.name, target=self._folders.pending / record.name,
            remove=self._folders.failed / history_name(failed), must_be_durable=True,
            on_end=partial(self._retried, entry),
        )  # fmt: skip
        try:
            history = (await self.history(failed, "failed")).with_retry(self._clock.now())
            await self._stories.save(self._folders.pending, record, history)
        except BaseException:
            self._places.free(entry.sequence)
            raise
        await self._commits.move(move)

    def _retried(self, entry: IndexEntry, move: Move) -> None:
        if move.error is None and not move.was_gone:
            self._reconciliation.failed -= 1
            self._index.add(entry)
        self._places.free(entry.sequence)
        self.changed.emit()

    def __repr__(self) -> str:
        counts = self.counts
        return f"ReportStore({self.folder}, {counts.pending} pending, {counts.in_flight} in flight)"
