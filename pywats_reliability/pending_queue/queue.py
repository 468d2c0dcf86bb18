"""The sending itself: up to ``max_concurrent`` uploads at a time, until the server has every report.

* Woken, not polling: by a new report, a free slot, a due retry, ``resume``; and every 30 s, to scan the folder (H1.3).
* A slot is taken while the report is on its way, and free again while the outcome is being saved: one hung upload costs
  one slot for its own limit and nothing else (H1.14). Each report has its own backoff and waits outside the slots, so a
  failing one holds back nobody (H1.10). What is on its way is never taken a second time (H1.9).
* Refused credentials pause everything and cost no attempt (H1.7); one probe a minute notices when they were mended at
  the server, ``resume`` tells that they were mended here.
* Cancelling ``run`` cancels the uploads: each counts as an attempt and its record goes back (C1.3). ``stop_taking``
  lets them end instead, and ``wait_idle`` returns the instant the last one has (C1.2).
* A bug met by one upload is logged with its traceback and counts as a failed attempt, so that one poisoned report can
  neither stop the others nor be lost (H1.10, H1.14). Three in a row, with no upload between them that worked, are no
  report's fault: ``run`` lets the rest end and raises, for the supervisor to count and to restart (C2).
* Time is the loop's, never the wall clock's (H1.12).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import Generic

from pywats_reliability.answers import Decision, PauseForCredentials, RetryLater, Sent
from pywats_reliability.errors import RecordUnreadableError, ReliabilityError
from pywats_reliability.events import Event
from pywats_reliability.pending_queue.outcomes import Outcomes, UploadSettings
from pywats_reliability.pending_queue.protocols import PendingStore, R, UploadObserver
from pywats_reliability.pending_queue.waiting import Waiting
from pywats_reliability.ports import Heartbeat, Randomness, ReportSender

SCAN_INTERVAL_S = 30.0
PROBE_INTERVAL_S = 60.0
BUGS_IN_A_ROW_MAX = 3
UNSAVED_FACTOR = 3  # With so many uploads per slot under way, saved or not, a slow disk holds up the sending.
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadStats:
    """What happened so far: uploads begun, delivered, failed, put off to be tried again; and how many are under way."""

    total_submitted: int
    successful: int
    errors: int
    retries: int
    active_uploads: int


@dataclass(slots=True, eq=False)
class _Upload(Generic[R]):
    """One record under way. ``is_settled``: moved, or waiting for its retry; otherwise it goes back when this ends."""

    record: R
    is_probe: bool
    holds_slot: bool = True
    is_on_its_way: bool = False
    is_settled: bool = False


class AsyncPendingQueue(Generic[R]):
    """The worker that sends. ``pause_changed`` tells observers the reason of a pause, and ``None`` when it ends."""

    def __init__(
        self,
        store: PendingStore[R],
        sender: ReportSender,
        *,
        settings: UploadSettings,
        observer: UploadObserver,
        randomness: Randomness,
    ) -> None:
        self.paused_reason: str | None = None
        self.pause_changed: Event[[str | None]] = Event("pause_changed")
        self._store, self._sender = store, sender
        self._outcomes: Outcomes[R] = Outcomes(store, observer, settings, randomness)
        self._uploads: dict[str, _Upload[R]] = {}
        self._waiting: Waiting[R] = Waiting()
        self._slots_taken = self._begun = 0
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._probe_at: float | None = None
        self._is_taking = True
        self._bugs_in_a_row = 0
        self._bug: BaseException | None = None

    @property
    def settings(self) -> UploadSettings:
        """The limits; they may be replaced at any time, and what begins later follows the new ones."""
        return self._outcomes.settings

    @settings.setter
    def settings(self, settings: UploadSettings) -> None:
        self._outcomes.settings = settings
        self._wake.set()

    @property
    def stats(self) -> UploadStats:
        """The counts of this instant, under the names that ``get_status`` gives them."""
        told = self._outcomes
        return UploadStats(self._begun, told.successful, told.errors, told.retries, self.get_active_count())

    async def run(self, heartbeat: Heartbeat) -> None:
        """Send until cancelled; also after ``stop_taking``, when there is nothing left to do.

        Raises what a bug raised that is no single report's fault; everything waiting keeps its backoff, and ``run`` may
        be called again. Cancelled, it cancels the uploads, notes each as an attempt (within 5 s), gives all records
        back, and passes the cancellation on.
        """
        self._bug, self._bugs_in_a_row = None, 0
        unsubscribe = self._store.changed.subscribe(self._on_change)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._dispatch(tasks, heartbeat)
        except asyncio.CancelledError:
            self._release(self._waiting.pop_all())
            self._log_bug()
            raise
        finally:
            unsubscribe()
            for upload in list(self._uploads.values()):
                self._end(upload)  # Its task is done; the callback that says so may not have run yet.
        if self._bug is not None:
            raise self._bug

    def stop_taking(self) -> None:
        """Begin no further upload, ever; what is on its way goes on."""
        self._is_taking = False

    async def wait_idle(self) -> None:
        """Return the instant no upload is under way and every outcome is saved."""
        await self._idle.wait()

    def pause(self, reason: str) -> None:
        """Begin no further upload until ``resume``; what is on its way goes on."""
        self._set_pause(reason, probe_at=None)

    def resume(self) -> None:
        """End any pause: one by ``pause``, and one because of refused credentials (they may have been mended)."""
        self._set_pause(None, probe_at=None)

    def sync_now(self, *, by_hand: bool = True) -> int:
        """Let every report that waits for its retry be tried at once; return how many did.

        Not ``by_hand``: but for those that the server itself asked to wait (Retry-After), until then.
        """
        waiting = self._waiting.pop_all() if by_hand else self._waiting.pop_unasked(asyncio.get_running_loop().time())
        self._release(waiting)
        if self._probe_at is not None:
            self._probe_at = 0.0
        self._wake.set()
        return len(waiting)

    def get_active_count(self) -> int:
        """Return how many uploads are under way, those whose outcome is being saved included."""
        return len(self._uploads)

    def in_flight(self) -> tuple[str, ...]:
        """Return what is under way, a name for each, for those who must say what a stop waits for."""
        return tuple(f"upload {upload.record.report_id}" for upload in self._uploads.values())

    def get_pending_count(self) -> int:
        """Return how many reports are kept for sending: waiting, under way, or between two attempts."""
        return self._store.counts.pending

    def is_full(self) -> bool:
        """Return whether the queue is at one of its limits."""
        return self._store.can_accept() is not None

    def can_enqueue(self) -> tuple[bool, str]:
        """Return whether a report would be taken, and why not."""
        refusal = self._store.can_accept()
        return (refusal is None, str(refusal or ""))

    async def _dispatch(self, tasks: asyncio.TaskGroup, heartbeat: Heartbeat) -> None:
        """Start uploads whenever there is a reason to, until a bug ended the sending and the last upload has ended."""
        loop = asyncio.get_running_loop()
        scan_at, scan = loop.time() + SCAN_INTERVAL_S, None
        while self._bug is None or self._uploads:
            self._wake.clear()
            heartbeat()
            if (now := loop.time()) >= scan_at:
                scan_at = now + SCAN_INTERVAL_S
                if self._is_taking and (scan is None or scan.done()):
                    scan = tasks.create_task(self._scan(), name="scan of pending/")
            self._release(self._waiting.pop_due(now))
            self._start_uploads(tasks, self._free_slots(now))
            instants = (scan_at, self._waiting.next_due, self._probe_at)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(instant for instant in instants if instant is not None)):
                    await self._wake.wait()
        if scan is not None:
            scan.cancel()

    def _free_slots(self, now: float) -> int:
        """Return how many uploads may begin; a probe that is due counts as made, be there work for it or not."""
        is_probe_due = self._probe_at is not None and now >= self._probe_at
        if is_probe_due:
            self._probe_at = now + PROBE_INTERVAL_S
        if not self._is_taking or self._bug is not None:
            return 0
        if self.paused_reason is not None:
            return int(is_probe_due)
        limit = self.settings.max_concurrent
        return min(limit - self._slots_taken, UNSAVED_FACTOR * limit - len(self._uploads))

    def _start_uploads(self, tasks: asyncio.TaskGroup, slots: int) -> None:
        for _ in range(slots):
            record = self._store.take()
            if record is None:
                return
            assert record.name not in self._uploads, "the store gave a record out twice"
            upload = _Upload(record, is_probe=self.paused_reason is not None)
            self._uploads[record.name] = upload
            self._slots_taken += 1
            self._idle.clear()
            task = tasks.create_task(self._upload(upload), name=f"upload {record.report_id}")
            task.add_done_callback(partial(self._end, upload))  # Runs also when the task is cancelled before it began.

    async def _upload(self, upload: _Upload[R]) -> None:
        try:
            decision = await self._decision(upload)
            self._free_slot(upload)
            self._bugs_in_a_row = 0
            await self._settle(upload, decision)
        except asyncio.CancelledError:
            if upload.is_on_its_way:
                await self._outcomes.note_cancelled(upload.record)
            raise
        except RecordUnreadableError as error:
            self._outcomes.note_unreadable(upload.record, str(error))
            self._wait(upload, None)
        except ReliabilityError as error:  # Of the store: the disk would not read the record, or it is closing.
            self._wait(upload, self._outcomes.put_off(upload.record, str(error)))
        except (Exception, SystemExit) as bug:  # noqa: BLE001 - a task ends here; the bug is logged, or raised by run()
            await self._met_bug(upload, bug)

    async def _decision(self, upload: _Upload[R]) -> Decision:
        if self._outcomes.is_delivered(upload.record):
            return Sent()
        body = await self._store.read(upload.record)
        self._begun += 1
        upload.is_on_its_way = True
        decision = await self._sender.send(upload.record.report_id, body)
        upload.is_on_its_way = False
        return decision

    async def _settle(self, upload: _Upload[R], decision: Decision) -> None:
        if isinstance(decision, PauseForCredentials):
            self._pause_for_credentials(decision.reason)
            return
        if upload.is_probe and self._probe_at is not None:
            self.resume()
        wish_s = decision.not_before_s if isinstance(decision, RetryLater) else None
        self._wait(upload, await self._outcomes.settle(upload.record, decision), wish_s or 0.0)

    async def _met_bug(self, upload: _Upload[R], bug: BaseException) -> None:
        """Log the bug (or keep it for ``run`` to raise), and let it cost its report an attempt."""
        self._bugs_in_a_row += 1
        if self._bugs_in_a_row >= BUGS_IN_A_ROW_MAX and self._bug is None:
            self._bug = bug
        else:
            log.error("upload of report %s met a bug", upload.record.report_id, exc_info=bug)
        reason = f"expected a decision about the report, found a bug ({type(bug).__name__}); see the service's log"
        if not upload.is_on_its_way:
            self._wait(upload, self._outcomes.put_off(upload.record, reason))
            return
        try:
            self._wait(upload, await self._outcomes.settle(upload.record, RetryLater(reason)))
        except Exception:  # The store is the next to fail; the report stays, and comes up again.
            log.exception("report %s: the failed attempt was not kept", upload.record.report_id)
            self._wait(upload, self._outcomes.put_off(upload.record, reason))

    def _wait(self, upload: _Upload[R], wait_s: float | None, wish_s: float = 0.0) -> None:
        """Let the record wait for its next attempt, outside the slots; ``None``: it has left ``pending/``.

        ``wish_s``: the part of the wait that the server asked for.
        """
        upload.is_settled = True
        if wait_s is not None:
            self._store.defer(upload.record)
            now = asyncio.get_running_loop().time()
            self._waiting.add(now + wait_s, upload.record, now + wish_s)
        self._end(upload)  # Now, not when the task's callback runs: the record may be due, and given out, before that.

    def _log_bug(self) -> None:
        if self._bug is not None:
            log.error("the sending was cancelled after it had met a bug", exc_info=self._bug)

    async def _scan(self) -> None:
        try:
            await self._store.scan()
        except ReliabilityError as error:
            log.error("pending/ was not scanned, next try in %g s: %s", SCAN_INTERVAL_S, error)  # noqa: TRY400 - foreseen
        except (Exception, SystemExit) as bug:  # noqa: BLE001 - raised by run(), once the uploads under way have ended
            self._bug = self._bug or bug
        self._wake.set()

    def _end(self, upload: _Upload[R], _task: asyncio.Task[None] | None = None) -> None:
        if self._uploads.get(upload.record.name) is not upload:
            return  # It has ended before; by now the record may even be under way again.
        del self._uploads[upload.record.name]
        self._free_slot(upload)
        if not upload.is_settled:
            self._store.release(upload.record)
        if not self._uploads:
            self._idle.set()
        self._wake.set()

    def _free_slot(self, upload: _Upload[R]) -> None:
        if upload.holds_slot:
            upload.holds_slot = False
            self._slots_taken -= 1
            self._wake.set()

    def _release(self, records: list[R]) -> None:
        for record in records:
            self._store.release(record)

    def _pause_for_credentials(self, reason: str) -> None:
        if self.paused_reason is None:
            log.error("sending is paused, one probe every %g s: %s", PROBE_INTERVAL_S, reason)
            self._set_pause(reason, probe_at=asyncio.get_running_loop().time() + PROBE_INTERVAL_S)

    def _set_pause(self, reason: str | None, *, probe_at: float | None) -> None:
        is_changed, self.paused_reason, self._probe_at = reason != self.paused_reason, reason, probe_at
        self._wake.set()
        if is_changed:
            self.pause_changed.emit(reason)

    def _on_change(self, *_: object) -> None:
        self._wake.set()

    def __repr__(self) -> str:
        state = f"paused: {self.paused_reason}" if self.paused_reason else "sending" if self._is_taking else "stopping"
        saving = len(self._uploads) - self._slots_taken
        return f"AsyncPendingQueue({state}, {self._slots_taken} on their way, {saving} being saved, {self._waiting!r})"
