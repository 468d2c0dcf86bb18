"""Mistakes in what is kept where, in what order it leaves, and what one report's trouble costs another."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
from datetime import timedelta
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.errors import DiskError
from pywats_reliability.store.adoption import Fate, Judgement
from pywats_reliability.store.names import parse_name

DISK = "pywats_reliability.disk:Disk"
PENDING = "pywats_reliability.pending_queue"
RETRY = "pywats_reliability.retry"
STORE = "pywats_reliability.store"
POWER = "only the power loss shows it"


@mutant("H1.2", subtle=POWER)
def sent_before_it_is_synced(service: Replacements) -> None:
    """Wakes whoever waits for a report's name as soon as it has one, and syncs while the upload is on its way."""

    def commit(plan: Any, batch: list[Any]) -> Any:
        yield [lambda: plan._write(batch)]
        yield [lambda: [plan._disk.publish(write.aside, replace=write.replace) for write in batch if write.aside]]
        for write in batch:
            write.settle()
        yield [os.sync]

    service.replace(f"{STORE}.batches:WritePlan.__call__", commit)


@mutant("H1.2", subtle=POWER)
def the_name_is_not_synced(service: Replacements) -> None:
    """Syncs a report's contents and not its folder: "the name is there, I can see it"."""
    service.replace(f"{DISK}.sync_folder", lambda _disk, _path: None)
    service.replace(f"{DISK}.sync_filesystem", lambda _disk, _folder: False)


@mutant("H1.2", subtle=POWER)
def the_contents_are_not_synced(service: Replacements) -> None:
    """Syncs the folder and not the contents: "the file system writes them before the name"."""
    service.replace(f"{DISK}.sync_aside", lambda _disk, _aside: None)
    service.replace(f"{DISK}.sync_filesystem", lambda _disk, _folder: False)


@mutant("H1.5", subtle="only when it is sent again")
def numbers_its_attempts(service: Replacements) -> None:
    """Writes the number of the attempt into the report, for whoever looks at the server."""
    tries: dict[str, int] = {}

    async def send(honest: Any, client: Any, report_id: str, body: bytes) -> Any:
        tries[report_id] = tries.get(report_id, 0) + 1
        if tries[report_id] > 1:
            body = json.dumps({**json.loads(body), "attempt": tries[report_id]}).encode()
        return await honest(client, report_id, body)

    service.wrap("pywats_reliability.wats_client.client:WatsClient.send", send)


@mutant("H1.5", subtle="only when the answer is lost")
def lost_answers_count(service: Replacements) -> None:
    """Moves a report to sent/ when its request went out whole: "the server has it, only the answer was lost"."""

    async def settle(honest: Any, outcomes: Any, record: Any, decision: Any) -> Any:
        if "breaks off" in str(decision) or "before its answer" in str(decision):
            return await outcomes._mark_sent(record)
        return await honest(outcomes, record, decision)

    service.wrap(f"{PENDING}.outcomes:Outcomes.settle", settle)


@mutant("H1.5", subtle="only when it is sent again")
def a_new_id_for_each_attempt(service: Replacements) -> None:
    """Gives a report that is sent again an id of its own, so that the server takes it for sure."""
    tries: dict[str, int] = {}

    async def send(honest: Any, client: Any, report_id: str, body: bytes) -> Any:
        tries[report_id] = tries.get(report_id, 0) + 1
        sent_id = report_id if tries[report_id] == 1 else f"{tries[report_id]:08x}{report_id[8:]}"
        return await honest(client, sent_id, body.replace(report_id.encode(), sent_id.encode()))

    service.wrap("pywats_reliability.wats_client.client:WatsClient.send", send)


@mutant("H1.6")
def what_is_torn_is_deleted(service: Replacements) -> None:
    """Deletes what cannot be a report: "nobody can use half a file"."""

    def reject(adoption: Any, path: Any, why: str) -> Judgement:
        with contextlib.suppress(OSError):
            os.unlink(path)
        return Judgement(Fate.QUARANTINED, why=why)

    service.replace(f"{STORE}.adoption:Adoption.reject", reject)


@mutant("H1.6")
def no_reason_beside_it(service: Replacements) -> None:
    """Moves foreign files to quarantine/ and leaves the reason to the log."""

    def put(quarantine: Any, path: Any, _why: str) -> Any:
        target = quarantine._free_place(path.name)
        quarantine._disk.move(path, target)
        return target

    service.replace(f"{STORE}.quarantine:Quarantine.put", put)


@mutant("H1.6", subtle="only while the disk refuses to be read")
def takes_a_denial_for_good(service: Replacements) -> None:
    """Puts into quarantine what it may not read: permissions do not change by themselves."""

    def unreadable(original: Any, disk: Any, path: Any, error: Any) -> bool:
        return error.error_number in (errno.EACCES, errno.EPERM) or bool(original(disk, path, error))

    service.wrap("pywats_reliability.disk:Disk.is_unreadable", unreadable)


@mutant("H1.6", subtle="only links")
def links_are_followed(service: Replacements) -> None:
    """Copies what a link leads to into quarantine/, so that it can be looked at there."""

    def put(honest: Any, quarantine: Any, path: Any, why: str) -> Any:
        target = honest(quarantine, path, why)
        if target.is_symlink():
            contents = target.read_bytes()
            target.unlink()
            target.write_bytes(contents)
        return target

    service.wrap(f"{STORE}.quarantine:Quarantine.put", put)


@mutant("H1.6", subtle="only what appears while the service runs")
def what_is_torn_may_grow(service: Replacements) -> None:
    """Leaves a file that is no report yet where it is, at every scan: "somebody may still be writing it"."""

    def judge(honest: Any, adoption: Any, found: Any, sequence: int, *, is_final: bool) -> Any:
        del is_final
        return honest(adoption, found, sequence, is_final=False)

    service.wrap(f"{STORE}.adoption:Adoption.judge", judge)


@mutant("H1.8", subtle="only an error of the sync")
def a_failed_sync_is_a_warning(service: Replacements) -> None:
    """Goes on when a sync fails, and leaves a note: "the data is in the file, after all"."""
    for name in ("sync_aside", "sync_folder"):
        service.wrap(f"{DISK}.{name}", _forgiving)


@mutant("H1.8", subtle="only when the disk fails after the file was opened")
def leaves_what_it_wrote(service: Replacements) -> None:
    """Leaves the half-written file where it is: "the next start removes it"."""
    service.replace(
        f"{DISK}.discard", lambda _disk, aside: os.close(aside.descriptor) if aside.descriptor > 0 else None
    )


@mutant("H1.8", subtle="only the second report after the error")
def never_trusts_the_disk_again(service: Replacements) -> None:
    """Remembers that the disk has failed and refuses everything until somebody starts the service again."""
    failed: dict[str, DiskError] = {}

    def write_aside(honest: Any, disk: Any, path: Any, data: bytes, **more: Any) -> Any:
        if "disk" in failed:
            raise failed["disk"]
        try:
            return honest(disk, path, data, **more)
        except DiskError as error:
            failed["disk"] = error
            raise

    service.wrap(f"{DISK}.write_aside", write_aside)


@mutant("H1.9")
def busy_ids_are_given_out(service: Replacements) -> None:
    """Asks for the next record and not whether its report is on its way already: "ids are unique"."""

    def take(honest: Any, index: Any) -> Any:
        busy, index._busy = index._busy, {}
        entry = honest(index)
        index._busy = {**busy, **index._busy}
        return entry

    service.wrap(f"{STORE}.index:Index.take", take)


@mutant("H1.9")
def the_second_service_waits(service: Replacements) -> None:
    """Goes on without the folder's lock when another process has it: "it will be gone in a moment"."""

    def acquire(lock: Any) -> None:
        with contextlib.suppress(Exception):
            lock._lock.acquire(blocking=False)

    service.replace(f"{STORE}.lock:FolderLock.acquire", acquire)


@mutant("H1.9", subtle="only the words tell")
def the_holder_is_not_named(service: Replacements) -> None:
    """Refuses a second service without saying who holds the folder: "there is only one who could"."""
    service.replace(f"{STORE}.lock:FolderLock._holder", lambda _lock: "another process")


@mutant("H1.10")
def last_in_first_out(service: Replacements) -> None:
    """Takes the newest first: "it is the one that people wait for"."""

    def take(honest: Any, index: Any) -> Any:
        newest = [sorted(heap)[-1:] for heap in index._waiting]
        rest = [sorted(heap)[:-1] for heap in index._waiting]
        index._waiting = newest
        entry = honest(index)
        for heap, others in zip(index._waiting, rest, strict=True):
            heap[:] = sorted([*heap, *others])
        return entry

    service.wrap(f"{STORE}.index:Index.take", take)


@mutant("H1.10", subtle="only behind a failing report")
def waits_for_its_retry_in_the_slot(service: Replacements) -> None:
    """Sleeps until the next attempt where the upload is: "it keeps the order"."""

    async def upload(queue: Any, upload: Any) -> None:
        decision = await queue._decision(upload)
        if type(decision).__name__ == "RetryLater":
            await asyncio.sleep(queue.settings.retry_interval_s)
        queue._free_slot(upload)
        await queue._settle(upload, decision)

    service.replace(f"{PENDING}.queue:AsyncPendingQueue._upload", upload)


@mutant("H1.10", subtle="only a few reports of different sizes")
def the_smallest_first(service: Replacements) -> None:
    """Takes the smallest report first, so that as many as possible are gone soon."""

    def take(honest: Any, index: Any) -> Any:
        for heap in index._waiting:
            sizes = {s: entry.size for s in heap if (entry := index.entry(s)) is not None}
            if len(sizes) > 1:
                smallest = min(sizes, key=sizes.__getitem__)
                held, heap[:] = [s for s in heap if s != smallest], [smallest]
                found = honest(index)
                heap.extend(held)
                heap.sort()
                return found
        return honest(index)

    service.wrap(f"{STORE}.index:Index.take", take)


@mutant("H1.11", subtle="only a report that waited for days")
def counts_from_its_arrival(service: Replacements) -> None:
    """Prunes by the day on which a report was accepted, which is what its name begins with."""

    def prune(disk: Any, folder: Any, older_than: Any) -> int:
        names = [name for name in disk.list_names(folder) if (record := parse_name(name)) and record.sent_at
                 and record.accepted_at < older_than]  # fmt: skip
        return sum(disk.remove(folder / name) for name in names)

    service.replace(f"{STORE}.folders:prune", prune)


@mutant("H1.11", subtle="only after years")
def prunes_whatever_is_old(service: Replacements) -> None:
    """Prunes every old file in sent/, by its time of change: "what else should be there?"."""

    def prune(disk: Any, folder: Any, older_than: Any) -> int:
        old = [name for name in disk.list_names(folder) if os.lstat(folder / name).st_mtime < older_than.timestamp()]
        return sum(disk.remove(folder / name) for name in old)

    service.replace(f"{STORE}.folders:prune", prune)


@mutant("H1.11", subtle="only when the clock jumps back by more than a week")
def what_is_from_the_future_is_old(service: Replacements) -> None:
    """Prunes also what was sent in the future, because such a clock cannot be trusted."""

    def prune(disk: Any, folder: Any, older_than: Any) -> int:
        later = older_than + timedelta(days=14)
        names = [name for name in disk.list_names(folder) if (record := parse_name(name)) and record.sent_at
                 and not older_than <= record.sent_at <= later]  # fmt: skip
        return sum(disk.remove(folder / name) for name in names)

    service.replace(f"{STORE}.folders:prune", prune)


@mutant("H1.11")
def nothing_is_ever_pruned(service: Replacements) -> None:
    """Leaves sent/ to the administrator."""
    service.replace(f"{STORE}.folders:prune", lambda _disk, _folder, _older_than: 0)


@mutant("H1.13", subtle="only when the answer is cut short")
def half_an_answer_is_enough(service: Replacements) -> None:
    """Looks at the status alone when an answer breaks off: "it began with 200"."""
    service.wrap(
        f"{RETRY}:_missing_proof",
        lambda honest, answer, request: None if not answer.complete else honest(answer, request),
    )


@mutant("H1.13", subtle="only when another report is named")
def any_id_is_ours(service: Replacements) -> None:
    """Takes every id in an answer for that of this report: "what else should it be about?"."""
    service.replace(f"{RETRY}:_same_id", lambda found, _report_id: isinstance(found, str) and len(found) == 36)


@mutant("H1.13", subtle="only a login page")
def a_page_is_an_answer(service: Replacements) -> None:
    """Counts a page under 200 as an answer of a server that does not speak JSON."""
    service.wrap(
        f"{RETRY}:_missing_proof",
        lambda honest, answer, request: None if "html" in str(answer.headers) else honest(answer, request),
    )


@mutant("H1.14")
def one_after_the_other(service: Replacements) -> None:
    """Sends through a lock, because the server might not like parallel uploads."""
    lock: list[asyncio.Lock] = []

    async def send(honest: Any, client: Any, report_id: str, body: bytes) -> Any:
        lock[:] = lock or [asyncio.Lock()]
        async with lock[0]:
            return await honest(client, report_id, body)

    service.wrap("pywats_reliability.wats_client.client:WatsClient.send", send)


@mutant("H1.14")
def the_next_batch_waits_for_the_last(service: Replacements) -> None:
    """Starts new uploads only when all earlier ones have ended: batches are simple."""
    service.wrap(
        f"{PENDING}.queue:AsyncPendingQueue._free_slots",
        lambda honest, queue, now: 0 if queue._uploads else honest(queue, now),
    )


@mutant("H1.14", subtle="only new reports that come while one hangs")
def new_reports_wait_for_the_scan(service: Replacements) -> None:
    """Looks for new reports when an upload ends or at the next scan, for an event too many costs power."""
    service.replace(f"{PENDING}.queue:AsyncPendingQueue._on_change", lambda _queue, *_: None)


@mutant("H1.15", subtle="only in the same microsecond")
def two_in_one_instant(service: Replacements) -> None:
    """Names records by the clock, and replaces what has the name: "it can only be the same report"."""
    service.replace(f"{STORE}.names:Sequence.next", lambda _sequence, now: int(now.timestamp() * 1e6))
    service.replace(f"{DISK[: -len(':Disk')]}:_refuse_existing", lambda _path: None)


@mutant("H1.15", subtle="only in sent/")
def one_name_for_each_id_in_sent(service: Replacements) -> None:
    """Keeps the last version of a report in sent/, under its id: nobody needs the others."""
    service.replace(
        f"{STORE}.names:sent_name", lambda record, _at: f"20260101T000000.000000Z_05_{record.report_id}_1.json"
    )
    service.replace(f"{DISK[: -len(':Disk')]}:_refuse_existing", lambda _path: None)


@mutant("H1.15", subtle="only reports of one id")
def an_id_that_waits_is_done(service: Replacements) -> None:
    """Answers a report whose id waits already with yes, and keeps the first: a retry of the caller, no doubt."""

    async def accept(honest: Any, store: Any, report: Any, **more: Any) -> Any:
        known = [entry for s in store._index.sequences() if (entry := store._index.entry(s)).report_id == report.id]
        if known:
            return type("Known", (), {"report_id": report.id, "name": "known"})()
        return await honest(store, report, **more)

    service.wrap(f"{STORE}.report_store:ReportStore.accept", accept)


def _forgiving(honest: Any, disk: Any, what: Any) -> None:
    with contextlib.suppress(DiskError):
        honest(disk, what)
