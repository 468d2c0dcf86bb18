"""Accepting: durable or not at all, each producer for itself, within the limits (H1.1, H1.8, H1.9, H1.15, H5)."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from pywats_reliability.disk import Aside, Disk
from pywats_reliability.errors import DiskError, QueueFullError, ReportInvalidError, ServiceStoppingError
from pywats_reliability.report import Report
from pywats_reliability.store import ReportStore, StoreLimits
from tests.service.store_world import (
    SetClock,
    disk_without_syncfs,
    failing,
    make_report,
    names,
    opened,
    recorded,
    records,
    take_all,
)

pytestmark = pytest.mark.asyncio
FAULTS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES, errno.EDQUOT]


class Usage(NamedTuple):
    """What ``shutil.disk_usage`` returns."""

    total: int
    used: int
    free: int


async def accept_all(store: ReportStore, reports: list[Report]) -> list[BaseException | None]:
    """Hand over all at once; return what each producer got, nothing for success."""
    found = await asyncio.gather(*(store.accept(report) for report in reports), return_exceptions=True)
    return [one if isinstance(one, BaseException) else None for one in found]


@pytest.mark.proves("H1.1")
async def test_the_file_in_pending_is_the_report_byte_for_byte(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        report = make_report(pad="æøå")
        record = await store.accept(report, priority=3)
        assert (tmp_path / "pending" / record.name).read_bytes() == report.body
        assert (record.report_id, record.priority) == (report.id, 3)


@pytest.mark.proves("H1.1")
async def test_nothing_is_acknowledged_before_contents_and_name_are_synced(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with recorded("write", "fsync", "rename") as calls:
            await store.accept(make_report())
        assert calls.order() == ["write", "fsync", "rename", "fsync"]


@pytest.mark.parametrize("disk", [Disk(), disk_without_syncfs()], ids=repr)
async def test_64_producers_share_the_sync_of_the_folder(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path, disk=disk) as store:
        with recorded("fsync", "rename") as calls:
            await accept_all(store, [make_report() for _ in range(64)])
        assert calls.order()[-65:] == ["rename"] * 64 + ["fsync"]
        assert calls.count("fsync") == (1 if disk.can_sync_filesystem else 65)


@pytest.mark.proves("H1.9", "H1.10")
@pytest.mark.parametrize("disk", [Disk(), disk_without_syncfs()], ids=repr)
async def test_100_producers_are_all_accepted_in_their_order(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path, disk=disk) as store:
        reports = [make_report() for _ in range(100)]
        assert await accept_all(store, reports) == [None] * 100
        assert (records(tmp_path / "pending"), take_all(store)) == ([r.body for r in reports], [r.id for r in reports])


@pytest.mark.proves("H1.2")
async def test_a_report_cannot_be_taken_before_it_is_durable(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, asyncio.TaskGroup() as group:
        accepting = group.create_task(store.accept(make_report()))
        seen: list[bool] = []
        unsubscribe = store.changed.subscribe(lambda: seen.append(len(records(tmp_path / "pending")) == 1))
        await asyncio.sleep(0)
        assert store.take() is None
        await accepting
        unsubscribe()
        assert seen == [True]


@pytest.mark.proves("H1.15")
async def test_the_same_report_twice_is_two_records(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        report = make_report()
        other = Report(report.id, make_report(id=report.id, pad="other").body)
        assert await accept_all(store, [report, other]) == [None, None]
        assert records(tmp_path / "pending") == [report.body, other.body]


@pytest.mark.proves("H1.8")
@pytest.mark.parametrize("number", FAULTS)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
@pytest.mark.parametrize("producers", [1, 3, 8])
async def test_a_disk_error_is_raised_and_leaves_nothing(
    tmp_path: Path, call: str, number: int, producers: int
) -> None:
    async with opened(tmp_path, disk=disk_without_syncfs()) as store:
        with failing(call, number) as failed:
            errors = await accept_all(store, [make_report() for _ in range(producers)])
        assert failed
        assert [type(error) for error in errors] == [DiskError] * producers
        assert (names(tmp_path / "pending"), store.counts.pending, store.can_accept()) == ([], 0, None)


@pytest.mark.proves("H1.8")
@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
async def test_when_the_fault_ends_accepting_works_again(tmp_path: Path, call: str) -> None:
    async with opened(tmp_path) as store:
        with failing(call):
            await accept_all(store, [make_report()] * 5)
        report = make_report()
        await store.accept(report)
        assert records(tmp_path / "pending") == [report.body]


async def test_a_failing_syncfs_falls_back_to_syncing_each(tmp_path: Path) -> None:
    def refuses(_: int) -> int:
        raise OSError(errno.EIO, "broken")

    async with opened(tmp_path, disk=Disk(syncfs=refuses)) as store:
        with recorded("fsync") as calls:
            assert await accept_all(store, [make_report() for _ in range(8)]) == [None] * 8
        assert calls.count("fsync") == 9


@pytest.mark.proves("H1.8")
@pytest.mark.parametrize("call", ["open", "rename"])
async def test_one_bad_file_in_a_batch_is_its_own_producers_error(tmp_path: Path, call: str) -> None:
    async with opened(tmp_path) as store:
        reports = [make_report() for _ in range(8)]
        with failing(call, only=lambda path: reports[3].id in path):
            errors = await accept_all(store, reports)
        assert [index for index, error in enumerate(errors) if error] == [3]
        assert records(tmp_path / "pending") == [r.body for r in reports if r is not reports[3]]


@pytest.mark.proves("H1.8")
async def test_a_folder_that_cannot_be_synced_keeps_none_of_the_batch(tmp_path: Path) -> None:
    pending = str(tmp_path / "pending")
    async with opened(tmp_path) as store:
        with failing("open", only=lambda path: path == pending):
            errors = await accept_all(store, [make_report() for _ in range(8)])
        assert all(isinstance(error, DiskError) for error in errors)
        assert (names(tmp_path / "pending"), store.counts.pending) == ([], 0)


async def test_what_could_not_be_removed_again_is_found_by_the_scan(tmp_path: Path) -> None:
    """Not acknowledged, but whole: the folder stays the truth (H5.4)."""
    pending = str(tmp_path / "pending")
    async with opened(tmp_path) as store:
        with failing("open", only=lambda path: path == pending), failing("unlink"):
            assert await accept_all(store, [make_report()]) != [None]
        assert store.counts.pending == 0
        await store.scan()
        assert store.counts.pending == len(records(tmp_path / "pending")) == 1


async def test_a_producer_cancelled_in_mid_commit_leaves_the_count_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def held(descriptor: int) -> None:
        writing.set()
        assert go_on.wait(5), "the test lets it go on"
        fsync(descriptor)

    async with opened(tmp_path) as store:
        monkeypatch.setattr(os, "fsync", held)
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(store.accept(make_report()))
            await asyncio.to_thread(writing.wait, 5)
            accepting.cancel()
        go_on.set()
        await store.accept(make_report())
        assert store.counts.pending == len(records(tmp_path / "pending")) == len(take_all(store)) == 1


@pytest.mark.proves("H6.3")
@pytest.mark.parametrize("count", [1, 3, 10])
async def test_a_producer_that_is_gone_before_its_record_has_its_name_leaves_nothing(
    tmp_path: Path, count: int
) -> None:
    """Its neighbours in the batch are kept; ``count`` chooses among the ways in which a batch is synced."""
    is_held, syncing, go_on = threading.Event(), threading.Event(), threading.Event()

    class HeldDisk(Disk):
        def sync_aside(self, aside: Aside) -> None:
            hold()
            super().sync_aside(aside)

        def sync_filesystem(self, folder: Path | str) -> bool:
            hold()
            return super().sync_filesystem(folder)

    def hold() -> None:
        if is_held.is_set():
            syncing.set()
            assert go_on.wait(5), "the test lets it go on"

    reports = [make_report() for _ in range(count)]
    async with opened(tmp_path, disk=HeldDisk()) as store:
        is_held.set()
        accepting = [asyncio.gather(store.accept(each)) for each in reports]
        await asyncio.to_thread(syncing.wait, 5)
        accepting[0].cancel()
        await asyncio.sleep(0)
        assert not store.may_be_kept(reports[0].id)
        go_on.set()
        await asyncio.gather(*accepting, return_exceptions=True)
        await store.accept(make_report())
        kept = take_all(store)
        assert (len(kept), reports[0].id in kept, store.counts.pending) == (count, False, count)
        assert [name for name in os.listdir(tmp_path / "pending") if name.endswith(".tmp")] == []


async def test_a_producer_cancelled_before_the_commit_gives_its_place_back(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=1)) as store:
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(store.accept(make_report()))
            await asyncio.sleep(0)
            accepting.cancel()
        await store.accept(make_report())
        assert store.counts.pending == 1


@pytest.mark.proves("H5.1")
async def test_64_producers_racing_for_the_last_place_get_one(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=5)) as store:
        await accept_all(store, [make_report() for _ in range(4)])
        errors = await accept_all(store, [make_report() for _ in range(64)])
        assert errors.count(None) == 1
        assert (store.counts.pending, store.counts.highest, store.counts.refused) == (5, 5, 63)


@pytest.mark.proves("H5.2")
async def test_a_refusal_tells_size_and_limit_and_writes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=1)) as store:
        await store.accept(make_report())
        with recorded("open") as calls, pytest.raises(QueueFullError) as refused:
            await store.accept(make_report())
        assert (refused.value.size, refused.value.limit, calls.seen) == (1, 1, [])


@pytest.mark.proves("H5.1")
async def test_what_is_in_flight_or_waits_for_a_retry_counts(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=2)) as store:
        await accept_all(store, [make_report(), make_report()])
        store.take()
        retried = store.take()
        assert retried is not None
        store.defer(retried)
        assert isinstance(store.can_accept(), QueueFullError)


@pytest.mark.proves("H5.4")
async def test_a_place_is_free_as_soon_as_a_report_has_left(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=1)) as store:
        await store.accept(make_report())
        record = store.take()
        assert record is not None
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            waiting = group.create_task(store.wait_for_room())
            await asyncio.sleep(0)
            assert not waiting.done()
            await store.mark_sent(record)
        await store.accept(make_report())


@pytest.mark.proves("H5.1")
async def test_zero_is_without_limit(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=0)) as store:
        assert await accept_all(store, [make_report() for _ in range(3)]) == [None] * 3


@pytest.mark.proves("H5.5")
async def test_a_limit_in_bytes_holds(tmp_path: Path) -> None:
    report = make_report()
    async with opened(tmp_path, StoreLimits(max_bytes=3 * len(report.body))) as store:
        errors = await accept_all(store, [make_report() for _ in range(4)])
        refused = [error for error in errors if error]
        assert [str(error).split(";")[0] for error in refused] == [
            f"queue full: {3 * len(report.body)} bytes, limit {3 * len(report.body)}"
        ]


@pytest.mark.proves("H5.5")
async def test_the_disk_space_to_be_kept_free_is_kept_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = make_report()
    free = 1000 + 2 * len(report.body)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, free))
    async with opened(tmp_path, StoreLimits(min_free_disk_bytes=1000)) as store:
        errors = await accept_all(store, [make_report() for _ in range(3)])
        assert [getattr(error, "unit", None) for error in errors] == [None, None, "bytes of free disk"]
        assert (len(names(tmp_path / "pending")), store.counts.refused) == (2, 1)


@pytest.mark.proves("H5.5")
async def test_a_full_disk_is_seen_and_so_is_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 10))
    async with opened(tmp_path, StoreLimits(min_free_disk_bytes=1000)) as store:
        assert isinstance(store.can_accept(), QueueFullError)
        monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 5000))
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(store.wait_for_room())
            await store.scan()


async def test_a_report_too_large_to_be_read_again_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(record_bytes_max=100)) as store:
        with pytest.raises(ReportInvalidError, match="at most 100 bytes"):
            await store.accept(make_report())


@pytest.mark.parametrize("priority", [0, 11, -1])
async def test_a_priority_outside_its_range_is_refused(tmp_path: Path, priority: int) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(ReportInvalidError, match="a priority from 1"):
            await store.accept(make_report(), priority=priority)


@pytest.mark.proves("H1.10", "H1.12")
async def test_order_survives_a_clock_that_jumps_back(tmp_path: Path) -> None:
    clock = SetClock()
    reports = [make_report() for _ in range(3)]
    async with opened(tmp_path, clock=clock) as store:
        for report, year in zip(reports, (2026, 2016, 2036), strict=True):
            clock.instant = clock.instant.replace(year=year)
            await store.accept(report)
        assert take_all(store) == [report.id for report in reports]


async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        pass
    with pytest.raises(ServiceStoppingError):
        await store.accept(make_report())


async def test_a_closed_store_leaves_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await accept_all(store, [make_report() for _ in range(8)])
    assert not [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]
    assert not [thread for thread in threading.enumerate() if "pywats-store" in thread.name]
