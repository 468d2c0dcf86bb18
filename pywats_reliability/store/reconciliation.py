"""Keeps the index equal to the folder: at the start, and at every scan while the service runs (H5.4, H1.6).

* The start takes everything, also beyond the limits: nothing new is accepted until there is room again (H5.1). A scan
  takes what was dropped in by hand only while there is room; the rest waits in the folder for the next scan.
* A scan compares the folder with the index of *before* it looked, and looks again at each difference before it acts:
  records move while it works.
* A foreign file that is no report yet may still be being written: a scan rejects it only when neither its size nor its
  time has changed since the scan before.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import Counter
from collections.abc import Iterable
from functools import partial

from pywats_reliability.disk import Disk, Entry
from pywats_reliability.errors import DiskError, ReportInvalidError
from pywats_reliability.ports import WallClock
from pywats_reliability.report import parse_report
from pywats_reliability.store.adoption import Adoption, Fate, Judgement
from pywats_reliability.store.folders import Folders
from pywats_reliability.store.index import Index, IndexEntry
from pywats_reliability.store.limits import Places
from pywats_reliability.store.names import Record, Sequence, make_record, parse_name, parse_pending_name
from pywats_reliability.store.quarantine import Quarantine
from pywats_reliability.store.recovery import Oddities, Recovery, note_sequence, remove_stale, stale_names, survey
from pywats_reliability.workers import Workers

log = logging.getLogger(__name__)


class Reconciliation:
    """Compares ``pending/`` with the index, adopts and rejects. Counts what is in ``quarantine/`` and ``failed/``."""

    def __init__(
        self, folders: Folders, disk: Disk, clock: WallClock, workers: Workers, index: Index, places: Places
    ) -> None:
        self.sequence = Sequence()
        self.skipped: dict[str, str] = {}
        self.quarantined = self.failed = 0
        self._folders, self._disk, self._clock, self._workers = folders, disk, clock, workers
        self._index, self._places = index, places
        self._quarantine = Quarantine(folders.quarantine, disk, clock)
        self._adoption = Adoption(folders.pending, self._quarantine, disk, places.limits.record_bytes_max)
        self._unsettled: dict[str, Entry] = {}
        self._one_scan = asyncio.Lock()

    async def recover(self) -> Recovery:
        """Bring everything that the folders hold into the index."""
        leftovers, odd = await self._workers.run("recovering what the folders hold", self._load)
        fates = await self._judge_all(odd.foreign, is_start=True)
        self._places.note_highest()
        return Recovery(
            pending=len(self._index), adopted=fates[Fate.ADOPTED], quarantined=fates[Fate.QUARANTINED],
            skipped=fates[Fate.SKIPPED], leftovers=leftovers, failed=self.failed,
        )  # fmt: skip

    async def scan(self) -> Recovery:
        """Adopt what was put into ``pending/`` by hand, forget what was taken away by hand."""
        async with self._one_scan:
            missing, unknown, foreign = await self._workers.run("scanning pending/", self._compare)
            await self._forget(missing)
            foreign += [name for entry in unknown if (name := make_record(*entry).name) in self.skipped]
            taken = await self._take_back(unknown)
            fates = await self._judge_all(foreign, is_start=False)
        return Recovery(
            pending=len(self._index), adopted=taken + fates[Fate.ADOPTED], quarantined=fates[Fate.QUARANTINED],
            skipped=fates[Fate.SKIPPED], failed=self.failed,
        )  # fmt: skip

    def reject(self, record: Record, why: str) -> Judgement:
        """Put a record that turned out to be none into quarantine. Blocks; ``note`` the judgement in the loop."""
        return self._adoption.reject(self._folders.pending / record.name, why)

    def read(self, record: Record) -> bytes | Judgement:
        """Return a record's bytes, or what was done with it as it is no report. Blocks; raises ``DiskError``."""
        path = self._folders.pending / record.name
        try:
            body = self._disk.read(path, bytes_max=self._places.limits.record_bytes_max)
            found = parse_report(body)
        except ReportInvalidError as error:
            return self.reject(record, str(error))
        except DiskError as error:
            if error.error_number == errno.ENOENT:
                return Judgement(Fate.GONE, why="it was removed by hand")
            if self._disk.is_unreadable(path, error):
                return self.reject(record, str(error))
            raise
        if found.id != record.report_id or found.body != body:
            return self.reject(record, "its contents carry another id than its name")
        return body

    def note(self, name: str, judgement: Judgement) -> None:
        """Count a judgement and say in the log what a person should know."""
        was_skipped = self.skipped.pop(name, None) is not None
        if judgement.fate is Fate.QUARANTINED:
            self.quarantined += 1
            log.warning("%s went to quarantine/: %s", ascii(name), judgement.why)
        elif judgement.fate is Fate.SKIPPED:
            if not was_skipped:
                log.error("%s stays in pending/, tried again by every scan: %s", ascii(name), judgement.why)
            self.skipped[name] = judgement.why
        elif judgement.fate is Fate.ADOPTED and judgement.entry is not None:
            self.sequence.seen(judgement.entry.sequence)
            self._index.add(judgement.entry)
            log.info("%s was adopted as report %s", ascii(name), judgement.entry.report_id)

    def _load(self) -> tuple[int, Oddities]:
        """Fill the index from the names in ``pending/``; nobody else uses it yet.

        A record whose instant another one has is foreign, and gets a name of its own (H1.15).
        """
        folders, disk = self._folders, self._disk
        odd = survey(disk.list_kinds(folders.pending), self._index.add)
        self.sequence.seen(max(self._index.sequences(), default=0))
        orphans = [name for name, owner in odd.histories if not self._holds(owner)]
        leftovers = remove_stale(disk, folders.pending, odd.leftovers + orphans)
        for folder in (folders.failed, folders.sent, folders.quarantine):
            names = disk.list_names(folder)
            note_sequence(names, self.sequence)
            leftovers += remove_stale(disk, folder, stale_names(names))
        self.failed = sum(parse_name(name) is not None for name in disk.list_names(folders.failed))
        self.quarantined = self._quarantine.count()
        return leftovers, odd

    def _holds(self, name: str) -> bool:
        place = parse_pending_name(name)
        return place is not None and self._index.holds(IndexEntry(*place))

    def _compare(self) -> tuple[list[int], list[IndexEntry], list[str]]:
        """Return what the index has and the folder has not, the records it does not know, and what is no record."""
        missing = set(self._index.sequences())
        unknown: list[IndexEntry] = []

        def on_record(entry: IndexEntry) -> bool:
            missing.discard(entry.sequence)
            if entry.sequence in self._index:
                return self._index.holds(entry)
            if not self._places.is_reserved(entry.sequence):
                unknown.append(entry)
            return True

        odd = survey(self._disk.list_kinds(self._folders.pending), on_record)
        foreign = [name for name in odd.foreign if not self._holds(name)]  # What is held is found when it is taken.
        return sorted(missing), unknown, foreign

    async def _forget(self, missing: Iterable[int]) -> None:
        for sequence in missing:
            entry = self._index.entry(sequence)
            if entry is None or self._index.is_in_flight(sequence):
                continue
            there = await self._is_there(entry)
            if not there and not self._index.is_in_flight(sequence) and self._index.remove(sequence):
                log.warning("report %s was removed from pending/ by hand", entry.report_id)

    async def _is_there(self, entry: IndexEntry) -> bool:
        path = self._folders.pending / make_record(*entry).name
        return await self._workers.run(f"looking for report {entry.report_id}", self._disk.exists, path)

    async def _take_back(self, unknown: Iterable[IndexEntry]) -> int:
        taken = 0
        for entry in unknown:
            name = make_record(*entry).name
            if name in self.skipped or self._places.refusal(entry.size) is not None:
                continue
            there = await self._is_there(entry)
            if there and self._places.refusal(entry.size) is None:
                self.sequence.seen(entry.sequence)
                taken += self._index.add(entry)
        self._places.note_highest()
        return taken

    async def _judge_all(self, foreign: list[str], *, is_start: bool) -> Counter[Fate]:
        fates: Counter[Fate] = Counter()
        before, self._unsettled = self._unsettled, {}
        for name in self.skipped.keys() - set(foreign):
            del self.skipped[name]
        for name in foreign:
            entry = await self._workers.run(f"looking at {name!a}", self._look, name)
            if entry is None:
                continue
            if not is_start and self._places.refusal(entry.size) is not None:
                continue  # No room: it stays in the folder until there is some.
            is_settled = before.get(name) == entry or name in self.skipped
            judgement = await self._judge(entry, is_final=is_start or is_settled)
            fates[judgement.fate] += 1
            if judgement.fate is Fate.UNSETTLED:
                self._unsettled[name] = entry
        return fates

    def _look(self, name: str) -> Entry | None:
        try:
            return self._disk.look(self._folders.pending / name)
        except DiskError as error:
            log.info("not looked at: %s", error)  # It has gone, or the next scan looks again.
            return None

    async def _judge(self, entry: Entry, *, is_final: bool) -> Judgement:
        """Judge one file in a thread; the count is kept also when nobody waits for the end any more."""
        sequence = self.sequence.next(self._clock.now())
        self._places.hold(sequence, entry.size)
        job = partial(self._adoption.judge, entry, sequence, is_final=is_final)
        future = self._workers.start(job, f"judging {entry.name!a}")

        def ended(done: asyncio.Future[Judgement]) -> None:
            if not done.cancelled() and done.exception() is None:
                self.note(entry.name, done.result())
            self._places.free(sequence)

        future.add_done_callback(ended)
        return await asyncio.shield(future)

    def __repr__(self) -> str:
        return f"Reconciliation({self._index!r}, {len(self.skipped)} skipped, {len(self._unsettled)} unsettled)"
