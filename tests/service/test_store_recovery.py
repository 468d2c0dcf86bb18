"""The start and the scan: everything is found again, at once, and counts agree with folders (C1.6, H1.9, H5.4)."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError, QueueFullError, StoreLockedError
from pywats_reliability.store import Recovery, ReportStore, StoreLimits
from tests.service.store_world import SetClock, failing, make_report, names, opened, recorded, records, take_all

pytestmark = pytest.mark.asyncio

HOLDER = """
import asyncio, sys
from pathlib import Path
from pywats_reliability.disk import Disk
from pywats_reliability.ports import SystemClock
from pywats_reliability.store import ReportStore

async def main():
    store = ReportStore(Path(sys.argv[1]), disk=Disk(), clock=SystemClock())
    await store.open()
    print("held", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


async def fill(folder: Path, count: int) -> list[str]:
    """Keep some reports in ``folder`` and close it; return their ids in the order of arrival."""
    async with opened(folder) as store:
        return [(await store.accept(make_report())).report_id for _ in range(count)]


async def test_what_was_in_flight_is_due_at_once_in_its_old_order(tmp_path: Path) -> None:
    ids = await fill(tmp_path, 3)
    async with opened(tmp_path) as store:
        store.take()
        store.take()
    async with opened(tmp_path) as store:
        assert take_all(store) == ids


@pytest.mark.proves("H1.10", "H1.12")
async def test_order_survives_a_restart_with_the_clock_set_back(tmp_path: Path) -> None:
    ids = await fill(tmp_path, 2)
    clock = SetClock()
    clock.instant -= timedelta(days=3650)
    async with opened(tmp_path, clock=clock) as store:
        last = await store.accept(make_report())
        assert take_all(store) == [*ids, last.report_id]


@pytest.mark.parametrize("folder", ["sent", "failed"])
async def test_names_go_on_behind_the_last_one_in_any_folder(tmp_path: Path, folder: str) -> None:
    """The same report again after the clock was set back gets no name that is in use (H1.15)."""
    report = make_report()
    async with opened(tmp_path) as store:
        await store.accept(report)
        record = store.take()
        assert record is not None
        await (store.mark_sent(record) if folder == "sent" else store.mark_failed(record, "refused"))
    async with opened(tmp_path) as store:
        again = await store.accept(report)
        assert again.accepted_at > record.accepted_at


async def test_a_start_opens_no_record(tmp_path: Path) -> None:
    await fill(tmp_path, 5)
    with recorded("open") as calls:
        async with opened(tmp_path) as store:
            assert store.counts.pending == 5
    assert not [path for _, path in calls.seen if path.endswith(".json")]


async def test_what_a_crash_left_half_written_is_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        await store.record_attempt(record, "refused")
    for name in names(tmp_path / "pending"):
        (tmp_path / "pending" / f".{name}.tmp").write_bytes(b'{"half')
    store = ReportStore(tmp_path, disk=Disk(), clock=SetClock())
    recovery = await store.open()
    await store.close()
    assert (recovery, len(names(tmp_path / "pending"))) == (Recovery(pending=1, leftovers=2), 2)


async def test_a_crash_between_the_steps_of_giving_up_leaves_the_record_in_one_folder(tmp_path: Path) -> None:
    """The story stands in failed/ before the record does; after a crash the record is still pending, and once."""
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        await store.record_attempt(record, "refused")
    story = record.name.replace(".json", ".history.json")
    (tmp_path / "failed" / story).write_bytes((tmp_path / "pending" / story).read_bytes())
    async with opened(tmp_path) as store:
        assert (store.counts.pending, store.counts.failed, names(tmp_path / "failed")) == (1, 0, [])
        assert await store.record_attempt(record, "refused") == 2


async def test_a_sidecar_whose_record_has_moved_on_is_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        await store.record_attempt(record, "refused")
    os.link(tmp_path / "pending" / record.name, tmp_path / "failed" / record.name)
    (tmp_path / "pending" / record.name).unlink()
    async with opened(tmp_path) as store:
        assert (names(tmp_path / "pending"), store.counts.pending, store.counts.failed) == ([], 0, 1)


@pytest.mark.proves("H5.1")
async def test_a_folder_over_its_limit_keeps_everything_and_refuses_new_reports(tmp_path: Path) -> None:
    await fill(tmp_path, 3)
    async with opened(tmp_path, StoreLimits(max_reports=2)) as store:
        assert (store.counts.pending, store.counts.highest) == (3, 3)
        with pytest.raises(QueueFullError, match="3 reports, limit 2"):
            await store.accept(make_report())
        for _ in range(2):
            record = store.take()
            assert record is not None
            await store.mark_sent(record)
        await store.accept(make_report())


@pytest.mark.proves("H1.15")
async def test_two_records_of_the_same_instant_are_two(tmp_path: Path) -> None:
    """A copy by hand may carry an instant that is taken: it gets a name of its own."""
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
    other = make_report()
    (tmp_path / "pending" / record.name.replace(record.report_id, other.id)).write_bytes(other.body)
    async with opened(tmp_path) as store:
        assert sorted(take_all(store)) == sorted([record.report_id, other.id])


@pytest.mark.proves("H5.4")
async def test_the_counts_are_those_of_the_folders(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.accept(make_report())
        await store.accept(make_report())
        await store.evict_oldest("no room")
        (tmp_path / "pending" / "torn").write_bytes(b"{")
    async with opened(tmp_path) as store:
        counts = store.counts
        assert (counts.pending, counts.failed, counts.quarantined, counts.in_flight) == (1, 1, 1, 0)
        assert counts.pending_bytes == len(records(tmp_path / "pending")[0])


async def test_the_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    async with opened(tmp_path / "data"):
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir() if path.is_dir()} == {0o700}


@pytest.mark.proves("H1.9")
async def test_a_second_store_is_refused_and_hears_who_holds_the_folder(tmp_path: Path) -> None:
    async with opened(tmp_path):
        second = ReportStore(tmp_path, disk=Disk(), clock=SetClock())
        with pytest.raises(StoreLockedError, match=f"in use by process {os.getpid()} on .* since 2026-11-23T14:30"):
            await second.open()
        assert (tmp_path / ".lock.holder").exists()


async def test_a_closed_store_can_be_opened_by_another(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    assert len(await fill(tmp_path, 1)) == 1
    assert not (tmp_path / ".lock.holder").exists()


@pytest.mark.proves("H1.9")
async def test_the_lock_of_another_process_ends_with_its_kill(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(tmp_path),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"held\n"
        with pytest.raises(StoreLockedError, match=f"process {process.pid}"):
            await ReportStore(tmp_path, disk=Disk(), clock=SetClock()).open()
    finally:
        process.send_signal(signal.SIGKILL)
        await process.communicate()
    assert len(await fill(tmp_path, 1)) == 1


@pytest.mark.parametrize("holder", [b"", b"[]", b"{}", b"\xff"])
async def test_a_holder_that_does_not_introduce_itself_is_another_process(tmp_path: Path, holder: bytes) -> None:
    async with opened(tmp_path):
        (tmp_path / ".lock.holder").write_bytes(holder)
        with pytest.raises(StoreLockedError, match="in use by another process"):
            await ReportStore(tmp_path, disk=Disk(), clock=SetClock()).open()


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename", "scandir", "listdir"])
async def test_a_start_that_fails_leaves_the_folder_unlocked(tmp_path: Path, call: str) -> None:
    await fill(tmp_path, 1)
    store = ReportStore(tmp_path, disk=Disk(), clock=SetClock())
    with failing(call) as failed, pytest.raises(DiskError):
        await store.open()
    assert failed
    assert len(await fill(tmp_path, 1)) == 1


async def test_a_start_that_is_cancelled_leaves_the_folder_unlocked(tmp_path: Path) -> None:
    for turns in range(8):
        async with asyncio.TaskGroup() as group:
            store = ReportStore(tmp_path, disk=Disk(), clock=SetClock())
            opening = group.create_task(store.open())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
        await store.close()
    assert len(await fill(tmp_path, 1)) == 1


@pytest.mark.proves("H5.4")
async def test_a_scan_adopts_records_put_back_by_hand(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        await store.evict_oldest("no room")
        os.link(tmp_path / "failed" / record.name, tmp_path / "pending" / record.name)
        recovery = await store.scan()
        assert (recovery.adopted, store.counts.pending, store.take()) == (1, 1, record)


@pytest.mark.proves("H5.4")
async def test_a_scan_forgets_what_was_removed_by_hand(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=2)) as store:
        record, other = await store.accept(make_report()), await store.accept(make_report())
        (tmp_path / "pending" / record.name).unlink()
        await store.scan()
        assert (store.counts.pending, store.can_accept(), take_all(store)) == (1, None, [other.report_id])


async def test_a_scan_leaves_alone_what_is_in_flight(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        assert store.take() == record
        (tmp_path / "pending" / record.name).unlink()
        await store.scan()
        assert store.counts.in_flight == 1


async def test_a_scan_adopts_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=2)) as store:
        for number in range(3):
            (tmp_path / "pending" / f"dropped-{number}.json").write_bytes(make_report().body)
        await store.scan()
        assert store.counts.pending == 2
        record = store.take()
        assert record is not None
        await store.mark_sent(record)
        await store.scan()
        assert (store.counts.pending, store.counts.highest) == (2, 2)


async def test_scans_among_traffic_lose_and_invent_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        reports = [make_report() for _ in range(60)]
        sent: list[str] = []

        async def send_all() -> None:
            while len(sent) < len(reports):
                record = store.take()
                if record is None:
                    await asyncio.sleep(0)
                    continue
                await store.mark_sent(record)
                sent.append(record.report_id)

        async def scan_all() -> None:
            while len(sent) < len(reports):
                await store.scan()

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(send_all())
            group.create_task(scan_all())
            for report in reports:
                group.create_task(store.accept(report))
        assert sorted(sent) == sorted(report.id for report in reports)
        assert (store.counts.pending, names(tmp_path / "pending")) == (0, [])


async def test_the_holder_is_written_for_people(tmp_path: Path) -> None:
    async with opened(tmp_path):
        found = json.loads((tmp_path / ".lock.holder").read_text())
        assert (found["pid"], found["since"]) == (os.getpid(), "2026-11-23T14:30:00+00:00")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_keeps_no_start_from_sending_what_fills_it(
    tmp_path: Path, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    report = make_report()
    async with opened(tmp_path) as store:
        await store.accept(report)
    with failing("write", number):
        async with opened(tmp_path) as store:
            record = store.take()
            assert record is not None
            assert await store.read(record) == report.body
            await store.mark_sent(record)
    assert records(tmp_path / "sent") == [report.body]
    assert "a second service will not be told who holds the folder" in caplog.text


async def test_on_a_full_disk_nobody_is_told_that_a_killed_service_holds_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".lock.holder").write_text('{"pid": 17, "host": "bench", "since": "2026-11-01T00:00:00+00:00"}')
    with failing("write", errno.ENOSPC):
        async with opened(tmp_path):
            with pytest.raises(StoreLockedError, match="in use by another process"):
                await ReportStore(tmp_path, disk=Disk(), clock=SetClock()).open()
