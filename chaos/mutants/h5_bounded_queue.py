"""Mistakes by which the queue outgrows its limits, miscounts, or gives up the wrong report."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.errors import QueueFullError, ReportInvalidError
from pywats_reliability.store.batches import Write, WritePlan
from pywats_reliability.store.index import Index, IndexEntry
from pywats_reliability.store.limits import Places
from pywats_reliability.store.names import make_record

STORE = "pywats_reliability.store"
REFUSAL = f"{STORE}.limits:Places.refusal"
ACCEPT = f"{STORE}.report_store:ReportStore.accept"
EVICT = f"{STORE}.report_store:ReportStore.evict_oldest"
log = logging.getLogger("pywats_reliability.mutant")


@mutant("H5.1", subtle="only when producers race for the last place")
def looks_and_then_writes(service: Replacements) -> None:
    """Looks whether there is room before it writes, and counts a report when it is written."""

    def reserve(self: Places, sequence: int, size_bytes: int) -> None:
        refusal = self.refusal(size_bytes)
        if refusal is not None:
            self.refused += 1
            raise refusal

    service.replace(f"{STORE}.limits:Places.reserve", reserve)


@mutant("H5.1")
def counts_only_what_waits(service: Replacements) -> None:
    """Counts what waits: a report that is on its way to the server is as good as gone."""

    def refusal(original: Any, self: Places, size_bytes: int = 0) -> QueueFullError | None:
        found: QueueFullError | None = original(self, size_bytes)
        count = len(self._index) + len(self._reserved) - self._index.in_flight
        return None if found is not None and found.unit == "reports" and count < found.limit else found

    service.wrap(REFUSAL, refusal)


@mutant("H5.1")
def takes_one_more(service: Replacements) -> None:
    """Refuses when there are more than the limit."""

    def refusal(original: Any, self: Places, size_bytes: int = 0) -> QueueFullError | None:
        found: QueueFullError | None = original(self, size_bytes)
        return None if found is not None and found.unit == "reports" and found.size == found.limit else found

    service.wrap(REFUSAL, refusal)


@mutant("H5.2")
def refuses_as_invalid(service: Replacements) -> None:
    """Refuses what has no room as it refuses anything else."""

    async def accept(original: Any, *given: Any, **more: Any) -> Any:
        try:
            return await original(*given, **more)
        except QueueFullError as error:
            raise ReportInvalidError("room in the queue", "none") from error

    service.wrap(ACCEPT, accept)


@mutant("H5.2")
def keeps_a_copy_of_what_it_refuses(service: Replacements) -> None:
    """Keeps what it refuses in failed/, where somebody can retry it by hand."""

    async def accept(original: Any, self: Any, report: Any, **more: Any) -> Any:
        try:
            return await original(self, report, **more)
        except QueueFullError:
            record = make_record(*IndexEntry(self._next_place(), report.id, 5, len(report.body)))
            await self._commits.write(Write(folder=self._folders.failed, name=record.name, data=report.body))
            raise

    service.wrap(ACCEPT, accept)


@mutant("H5.2", subtle="only when there is more than the limit")
def tells_the_size_for_the_limit(service: Replacements) -> None:
    """Names the size as the limit: when the queue is full, the two are the same."""

    def refusal(original: Any, self: Places, size_bytes: int = 0) -> QueueFullError | None:
        found: QueueFullError | None = original(self, size_bytes)
        return QueueFullError(found.size, found.size, found.unit) if found is not None else None

    service.wrap(REFUSAL, refusal)


@mutant("H5.3", subtle="only when several wait for their retry")
def gives_up_the_newest(service: Replacements) -> None:
    """Gives up what has come last, as what has waited longest should go first."""

    def newest(original: Any, self: Index) -> IndexEntry | None:
        if len(self._deferred) > 1:
            self._deferred = dict.fromkeys(sorted(self._deferred, reverse=True))
            first = next(iter(self._deferred))
            kept = {one: self._deferred.pop(one) for one in list(self._deferred) if one != first}
            found: IndexEntry | None = original(self)
            self._deferred.update(kept)
            return found
        again: IndexEntry | None = original(self)
        return again

    service.wrap(f"{STORE}.index:Index.oldest_evictable", newest)


@mutant("H5.3")
def deletes_what_it_gives_up(service: Replacements) -> None:
    """Deletes what had to make room: nobody has asked for it."""

    async def evict(original: Any, self: Any, reason: str) -> Any:
        record = await original(self, reason)
        if record is not None:
            await self.discard_failed(record.report_id)
        return record

    service.wrap(EVICT, evict)


@mutant("H5.3", subtle="only when the submit that makes room is cut off")
def tells_only_whom_it_made_room_for(service: Replacements) -> None:
    """Counts and logs an eviction when it goes on with the report that needed the room."""

    async def evict(original: Any, self: Any, reason: str) -> Any:
        record = await original(self, reason)
        if record is not None:
            self._evictions += 1
            log.error("report %s is in failed/: %s", record.report_id, reason)
        return record

    def evicted(self: Any, record: Any, _: str, move: Any) -> None:
        self._moved_to_failed(record, move)
        self._end_eviction(record)

    service.wrap(EVICT, evict)
    service.replace(f"{STORE}.report_store:ReportStore._evicted", evicted)


@mutant("H5.3", subtle="only once there is room again")
def stays_paused(service: Replacements) -> None:
    """Leaves the end of a pause to whoever looks after the station."""

    def store_changed(original: Any, self: Any) -> None:
        if not self.is_intake_paused:
            original(self)

    service.wrap("pywats_reliability.queue_manager:QueueManager._store_changed", store_changed)


@mutant("H5.4", subtle="only when files are removed by hand")
def believes_its_own_count(service: Replacements) -> None:
    """Believes its own count: nobody has any business in its folder."""

    async def forget(*_: Any) -> None:
        return

    service.replace(f"{STORE}.reconciliation:Reconciliation._forget", forget)


@mutant("H5.4", subtle="only when files come back by hand")
def looks_for_losses_only(service: Replacements) -> None:
    """Looks in its rounds for what is missing, as what is new comes through the door."""

    async def take_back(*_: Any) -> int:
        return 0

    service.replace(f"{STORE}.reconciliation:Reconciliation._take_back", take_back)


@mutant("H5.4", subtle="only when files are put in by hand while it runs")
def adopts_at_the_start_only(service: Replacements) -> None:
    """Adopts foreign files at the start, when nobody writes them any more."""

    async def judge_all(original: Any, self: Any, foreign: Any, *, is_start: bool) -> Any:
        return await original(self, foreign, is_start=True) if is_start else Counter()

    service.wrap(f"{STORE}.reconciliation:Reconciliation._judge_all", judge_all)


@mutant("H5.5")
def lets_the_last_one_overshoot(service: Replacements) -> None:
    """Looks at what is held already: one report more will not burst the disk."""

    def refusal(original: Any, self: Places, size_bytes: int = 0) -> QueueFullError | None:
        found: QueueFullError | None = original(self, size_bytes)
        return None if found is not None and found.unit == "bytes" and found.size < found.limit else found

    service.wrap(REFUSAL, refusal)


@mutant("H5.5")
def leaves_room_to_the_system(service: Replacements) -> None:
    """Leaves it to the operating system to say when the disk is full."""
    service.replace(f"{STORE}.batches:WritePlan._refuse_without_room", lambda *_: None)


@mutant("H5.5", subtle="only when the report itself passes the limit")
def forgets_the_size_of_what_comes(service: Replacements) -> None:
    """Compares the free space that there is with the least that is wanted."""

    def refuse(self: WritePlan, batch: list[Write]) -> None:
        free, least = self._disk.free_bytes(batch[0].folder), self._places.limits.min_free_disk_bytes
        for write in batch:
            if write.needs_room and free < least:
                write.error = QueueFullError(free, least, "bytes of free disk")

    service.replace(f"{STORE}.batches:WritePlan._refuse_without_room", refuse)


@mutant("H5.6", subtle="only when it has been emptied since")
def tells_the_present_as_the_highest(service: Replacements) -> None:
    """Tells the size of now as the highest, whenever it is noted."""

    def note(self: Places) -> None:
        self.highest = len(self._index)

    def left(original: Any, self: Any, *given: Any) -> None:
        original(self, *given)
        self._places.note_highest()

    service.replace(f"{STORE}.limits:Places.note_highest", note)
    service.wrap(f"{STORE}.report_store:ReportStore._left", left)


@mutant("H5.6")
def counts_no_refusals(service: Replacements) -> None:
    """Counts what it takes: what it does not take is none of its business."""

    def reserve(original: Any, self: Places, sequence: int, size_bytes: int) -> None:
        before = self.refused
        try:
            original(self, sequence, size_bytes)
        finally:
            self.refused = before

    service.wrap(f"{STORE}.limits:Places.reserve", reserve)


@mutant("H5.6")
def counts_evictions_as_failures(service: Replacements) -> None:
    """Counts what had to make room among the failed only."""

    async def evict(original: Any, self: Any, reason: str) -> Any:
        record = await original(self, reason)
        self._evictions = 0
        return record

    service.wrap(EVICT, evict)
