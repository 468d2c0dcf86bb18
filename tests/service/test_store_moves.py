"""Leaving pending/: to sent/ or failed/ with its story, back by hand, and never over another file."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from pywats_reliability.errors import DiskError, QueueCriticalError, QueueFullError, ReportNotFoundError
from pywats_reliability.store import Record, ReportStore, StoreLimits
from tests.service.store_world import SetClock, failing, make_report, names, opened, recorded, records, take_all

pytestmark = pytest.mark.asyncio


async def taken(store: ReportStore, **more: str) -> Record:
    """Accept a report and take it."""
    await store.accept(make_report(**more))
    record = store.take()
    assert record is not None
    return record


async def failed(store: ReportStore, reason: str = "HTTP 400: no such process") -> Record:
    """Accept a report and give it up after one attempt."""
    record = await taken(store)
    await store.record_attempt(record, "refused")
    await store.mark_failed(record, reason)
    return record


async def test_a_sent_record_is_in_sent_byte_for_byte(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        report = make_report()
        await store.accept(report)
        record = store.take()
        assert record is not None
        await store.mark_sent(record)
        assert (records(tmp_path / "sent"), names(tmp_path / "pending")) == ([report.body], [])
        assert (store.counts.pending, store.counts.pending_bytes) == (0, 0)


async def test_a_sent_record_takes_its_sidecar_out_of_pending(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        await store.record_attempt(record, "refused")
        await store.mark_sent(record)
        assert names(tmp_path / "pending") == []


async def test_the_next_upload_need_not_wait_for_the_sync_of_the_move(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        with failing("fsync") as syncs:
            await store.mark_sent(record)
            assert len(records(tmp_path / "sent")) == 1
            await store.close()
        assert syncs


async def test_a_failing_move_keeps_the_record(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        with failing("rename"), pytest.raises(DiskError):
            await store.mark_sent(record)
        store.release(record)
        assert (store.counts.pending, take_all(store)) == (1, [record.report_id])


@pytest.mark.proves("H1.15")
async def test_nothing_is_overwritten_in_failed(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        (tmp_path / "failed" / record.name).write_bytes(b"another's")
        with pytest.raises(QueueCriticalError, match="nothing is ever overwritten"):
            await store.mark_failed(record, "refused")
        assert (tmp_path / "failed" / record.name).read_bytes() == b"another's"


async def test_a_record_removed_by_hand_while_it_was_sent_has_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        (tmp_path / "pending" / record.name).unlink()
        await store.mark_sent(record)
        assert store.counts.pending == 0


async def test_attempts_are_counted_beside_the_record_which_stays_as_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        before = (tmp_path / "pending" / record.name).stat()
        assert [await store.record_attempt(record, f"refused {n}") for n in range(3)] == [1, 2, 3]
        after = (tmp_path / "pending" / record.name).stat()
        assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


@pytest.mark.proves("H1.3")
async def test_attempts_survive_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        await store.record_attempt(record, "refused")
    async with opened(tmp_path) as store:
        assert store.take() == record
        assert await store.record_attempt(record, "refused") == 2


async def test_an_attempt_is_synced_and_replaced_whole(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        with recorded("write", "fsync", "rename") as calls:
            await store.record_attempt(record, "refused")
        assert calls.order() == ["write", "fsync", "rename", "fsync"]


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"attempts": "many", "events": []}', b"\xff", b"[" * 100_000])
async def test_a_torn_sidecar_costs_the_story_and_not_the_report(tmp_path: Path, torn: bytes) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        await store.record_attempt(record, "refused")
        next((tmp_path / "pending").glob("*.history.json")).write_bytes(torn)
        assert await store.record_attempt(record, "refused") == 1
        assert (await store.read(record)).startswith(b"{")


@pytest.mark.proves("H1.4")
async def test_a_failed_record_has_its_whole_story_beside_it(tmp_path: Path) -> None:
    clock = SetClock()
    async with opened(tmp_path, clock=clock) as store:
        record = await taken(store)
        await store.record_attempt(record, "connection refused")
        clock.instant += timedelta(minutes=1)
        await store.mark_failed(record, "HTTP 422: unknown process")
        history = await store.history(record, "failed")
        assert [(event.what, event.words) for event in history.events] == [
            ("attempt", "connection refused"), ("failed", "HTTP 422: unknown process"),
        ]  # fmt: skip
        assert (history.last_error, history.events[1].at) == ("HTTP 422: unknown process", "2026-11-23T14:31:00+00:00")
        assert (names(tmp_path / "pending"), store.counts.failed, store.counts.pending) == ([], 1, 0)


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
async def test_an_attempt_that_cannot_be_saved_is_critical(tmp_path: Path, call: str) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        with failing(call), pytest.raises(QueueCriticalError) as raised:
            await store.record_attempt(record, "the server hung up")
        assert raised.value.send_error == "the server hung up"
        assert "Input/output error" in raised.value.save_error
        store.release(record)
        assert (store.take(), store.counts.pending) == (record, 1)


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
async def test_a_failure_that_cannot_be_saved_is_critical_and_keeps_the_record(tmp_path: Path, call: str) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        with failing(call), pytest.raises(QueueCriticalError) as raised:
            await store.mark_failed(record, "HTTP 400")
        assert raised.value.send_error == "HTTP 400"
        assert (store.counts.pending, store.counts.failed, store.counts.in_flight) == (1, 0, 1)
        await store.mark_failed(record, "HTTP 400")
        assert (store.counts.pending, store.counts.failed) == (0, 1)


@pytest.mark.proves("H1.4")
async def test_a_retry_by_hand_goes_behind_the_others_with_its_attempts_at_zero(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await failed(store)
        waiting = await store.accept(make_report())
        assert await store.retry_failed(record.report_id) == 1
        assert take_all(store) == [waiting.report_id, record.report_id]
        (again,) = [one for one in await store.list_records() if one.report_id == record.report_id]
        assert await store.record_attempt(again, "refused") == 1
        assert [event.what for event in (await store.history(again)).events] == [
            "attempt", "failed", "retry", "attempt",
        ]  # fmt: skip
        assert (names(tmp_path / "failed"), store.counts.failed) == ([], 0)


async def test_a_retry_by_hand_respects_the_limit(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=1)) as store:
        record = await failed(store)
        await store.accept(make_report())
        with pytest.raises(QueueFullError):
            await store.retry_failed(record.report_id)
        assert (store.counts.failed, store.counts.pending) == (1, 1)


async def test_a_retry_by_hand_that_the_disk_refuses_gives_the_place_back(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=1)) as store:
        record = await failed(store)
        with failing("rename"), pytest.raises(DiskError):
            await store.retry_failed(record.report_id)
        assert (store.counts.failed, store.can_accept()) == (1, None)


@pytest.mark.proves("H1.4")
async def test_a_discard_by_hand_removes_record_and_story_for_good(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record, other = await failed(store), await failed(store)
        assert await store.discard_failed(record.report_id.upper()) == 1
        assert [one.report_id for one in await store.list_records("failed")] == [other.report_id]
        assert (len(names(tmp_path / "failed")), store.counts.failed) == (2, 1)


@pytest.mark.parametrize("action", ["retry_failed", "discard_failed"])
async def test_an_unknown_id_is_named(tmp_path: Path, action: str) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(ReportNotFoundError, match="expected report 0815 in failed/"):
            await getattr(store, action)("0815")


@pytest.mark.proves("H1.11")
async def test_pruning_removes_what_was_sent_before_and_nothing_else(tmp_path: Path) -> None:
    clock = SetClock()
    async with opened(tmp_path, clock=clock) as store:
        await failed(store)
        old = await taken(store)
        clock.instant += timedelta(days=7)
        await store.mark_sent(old)
        clock.instant += timedelta(days=1)
        new = await taken(store)
        await store.mark_sent(new)
        (tmp_path / "sent" / "foreign.txt").write_text("kept")
        await store.accept(make_report())
        before = clock.instant - timedelta(hours=12)
        assert await store.prune_sent(before) == 1
        assert [one.report_id for one in await store.list_records("sent")] == [new.report_id]
        assert "foreign.txt" in names(tmp_path / "sent")
        assert (len(await store.list_records()), len(await store.list_records("failed"))) == (1, 1)


@pytest.mark.proves("H1.11")
@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=-3650)])
async def test_a_clock_that_jumped_back_prunes_nothing(tmp_path: Path, jump: timedelta) -> None:
    clock = SetClock()
    async with opened(tmp_path, clock=clock) as store:
        await store.mark_sent(await taken(store))
        assert await store.prune_sent(clock.instant + jump) == 0


@pytest.mark.proves("H5.3")
async def test_eviction_moves_the_oldest_to_failed_with_the_reason(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        oldest = await store.accept(make_report(), priority=1)
        await store.accept(make_report(), priority=9)
        assert await store.evict_oldest("no room") == oldest
        assert (await store.history(oldest, "failed")).last_error == "no room"
        assert (store.counts.evicted, store.counts.failed, store.counts.pending) == (1, 1, 1)


async def test_nothing_is_evicted_while_all_are_in_flight(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await taken(store)
        assert await store.evict_oldest("no room") is None


async def test_a_record_that_is_being_evicted_cannot_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its retry may fall due while it moves."""
    moving, go_on = threading.Event(), threading.Event()
    rename = os.rename  # noqa: TID251 - the call is held up, not made

    def held(source: str, target: str) -> None:
        moving.set()
        assert go_on.wait(5), "the test lets it go on"
        rename(source, target)

    async with opened(tmp_path) as store:
        record = await taken(store)
        store.defer(record)
        monkeypatch.setattr(os, "rename", held)
        async with asyncio.TaskGroup() as group:
            evicting = group.create_task(store.evict_oldest("no room"))
            await asyncio.to_thread(moving.wait, 5)
            store.release(record)
            assert store.take() is None
            go_on.set()
        assert (evicting.result(), store.counts.pending) == (record, 0)


@pytest.mark.proves("H5.3")
async def test_an_eviction_whose_caller_is_cut_off_is_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moving, go_on = threading.Event(), threading.Event()
    rename = os.rename  # noqa: TID251 - the call is held up, not made

    def held(source: str, target: str) -> None:
        if str(target).endswith(record.name) and "failed" in str(target):
            moving.set()
            assert go_on.wait(5), "the test lets it go on"
        rename(source, target)

    async with opened(tmp_path) as store:
        told: list[tuple[str, str]] = []
        store.evicted.subscribe(lambda *words: told.append(words))
        record = await store.accept(make_report())
        monkeypatch.setattr(os, "rename", held)
        evicting = asyncio.ensure_future(store.evict_oldest("no room"))  # noqa: TID251 - a task to cancel
        await asyncio.to_thread(moving.wait, 5)
        evicting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await evicting
        assert store.take() is None  # It is moving still: an upload would find nothing to read.
        go_on.set()
        await store.changed.until(lambda: store.counts.evicted == 1)
        assert (told, store.counts.failed, store.counts.pending) == ([(record.report_id, "no room")], 1, 0)
        assert f"report {record.report_id} is in failed/" in caplog.text


@pytest.mark.proves("H5.3")
async def test_an_eviction_that_is_cut_off_before_the_move_leaves_the_record_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        reached = asyncio.Event()

        async def never(*_: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(store._stories, "finish", never)
        evicting = asyncio.ensure_future(store.evict_oldest("no room"))  # noqa: TID251 - a task to cancel
        await reached.wait()
        evicting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await evicting
        assert (store.counts.evicted, store.counts.failed, store.take()) == (0, 0, record)


async def test_an_eviction_that_fails_leaves_the_record_waiting(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        with failing("rename", errno.ENOSPC), pytest.raises(DiskError):
            await store.evict_oldest("no room")
        assert (store.counts.evicted, store.counts.in_flight, store.take()) == (0, 0, record)


async def test_a_history_is_for_people(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await taken(store)
        await store.record_attempt(record, "refused")
        found = json.loads(next((tmp_path / "pending").glob("*.history.json")).read_text())
        event = {"at": "2026-11-23T14:30:00+00:00", "what": "attempt", "words": "refused"}
        assert found == {"attempts": 1, "events": [event]}
