"""The door to the queue: what is taken, what is refused, and what watchers hear (C1.1, H3.1, H3.4, H5.2, H5.3)."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from pywats_reliability.errors import (
    DiskError,
    QueueCriticalError,
    QueueFullError,
    ReportInvalidError,
    ReportNotFoundError,
    ServiceStoppingError,
)
from pywats_reliability.queue_manager import PARSE_INLINE_BYTES, FullAction, QueueManager, Source
from pywats_reliability.store import Record, ReportStore, StoreLimits
from tests.service.store_world import contents, failing, make_report, names, opened, records, take_all

pytestmark = pytest.mark.asyncio
FIELDS = json.loads(contents())
BODY = contents()
TWO = StoreLimits(max_reports=2)


async def send(store: ReportStore) -> Record:
    """Let the oldest report leave the queue as sent."""
    record = store.take()
    assert record is not None
    await store.mark_sent(record)
    return record


@pytest.mark.parametrize("source", [BODY, BODY.decode(), json.loads(BODY), make_report(id=json.loads(BODY)["id"])])
async def test_every_form_of_a_report_is_taken(tmp_path: Path, source: Source) -> None:
    async with opened(tmp_path) as store:
        report_id = await QueueManager(store).submit(source)
        assert (report_id, len(records(tmp_path / "pending"))) == (json.loads(BODY)["id"], 1)


async def test_bytes_are_kept_as_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        large = contents(pad="x" * PARSE_INLINE_BYTES)
        await QueueManager(store).submit(large)
        assert records(tmp_path / "pending") == [large]


async def test_what_is_no_report_is_refused_at_the_door(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(ReportInvalidError):
            await QueueManager(store).submit(b"{}")
        assert names(tmp_path / "pending") == []


async def test_an_accepted_report_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        manager = QueueManager(store)
        queued: list[str] = []
        counts: list[int] = []
        manager.operation_queued.subscribe(queued.append)
        manager.queue_changed.subscribe(lambda found: counts.append(found.pending))
        report_id = await manager.submit(BODY)
        assert (queued, counts, manager.submitted) == ([report_id], [1], 1)


async def test_the_more_urgent_is_taken_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        manager = QueueManager(store)
        calm = await manager.submit(contents(), priority=9)
        urgent = await manager.submit(contents(), priority=1)
        assert take_all(store) == [urgent, calm]


async def test_a_disk_error_reaches_the_caller(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with failing("write"), pytest.raises(DiskError):
            await QueueManager(store).submit(BODY)


async def test_after_stop_accepting_everything_that_changes_the_queue_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        manager = QueueManager(store)
        manager.stop_accepting()
        for refused in (manager.submit(BODY), manager.retry_failed("x"), manager.discard_failed("x")):
            with pytest.raises(ServiceStoppingError):
                await refused
        assert manager.can_enqueue() == (False, "submit refused: the service is stopping; submit again once it runs")


async def test_a_report_being_parsed_when_the_stop_comes_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, asyncio.TaskGroup() as group:
        manager = QueueManager(store)
        submitting = group.create_task(refusal_of(manager, FIELDS))
        await asyncio.sleep(0)
        manager.stop_accepting()
        assert await submitting == "service_stopping"
        assert names(tmp_path / "pending") == []


async def refusal_of(manager: QueueManager, source: Source) -> str:
    """Return the code with which a report is refused."""
    try:
        await manager.submit(source)
    except (ServiceStoppingError, QueueFullError) as error:
        return error.code
    return "taken"


@pytest.mark.proves("H5.2")
async def test_a_full_queue_says_so_and_refuses(tmp_path: Path) -> None:
    async with opened(tmp_path, TWO) as store:
        manager = QueueManager(store)
        await manager.submit(contents())
        assert (manager.is_full(), manager.can_enqueue()) == (False, (True, ""))
        await manager.submit(contents())
        reason = "queue full: 2 reports, limit 2; restore the connection to the server, or raise the limit"
        assert (manager.is_full(), manager.can_enqueue()) == (True, (False, reason))
        with pytest.raises(QueueFullError, match="2 reports, limit 2"):
            await manager.submit(contents())


@pytest.mark.proves("H5.3")
async def test_oldest_first_gives_up_the_oldest_and_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path, TWO) as store:
        manager = QueueManager(store, full_action=FullAction.OLDEST_FIRST)
        heard: list[str] = []
        manager.operation_failed.subscribe(lambda report_id, _: heard.append(report_id))
        first, second, third = [await manager.submit(contents()) for _ in range(3)]
        assert (heard, take_all(store)) == ([first], [second, third])
        (record,) = await manager.list_records("failed")
        assert "evicted to make room" in ((await store.history(record, "failed")).last_error or "")


@pytest.mark.proves("H5.1", "H5.3")
async def test_oldest_first_under_a_stampede_keeps_the_limit_and_loses_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, TWO) as store:
        manager = QueueManager(store, full_action="oldest_first")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(refusal_of(manager, contents())) for _ in range(30)]
        taken = sum(task.result() == "taken" for task in tasks)
        assert (store.counts.pending, store.counts.highest) == (2, 2)
        assert (len(records(tmp_path / "failed")), store.counts.evicted) == (taken - 2, taken - 2)


async def test_oldest_first_refuses_when_all_are_in_flight(tmp_path: Path) -> None:
    async with opened(tmp_path, TWO) as store:
        manager = QueueManager(store, full_action="oldest_first")
        await manager.submit(contents())
        await manager.submit(contents())
        take_all(store)
        assert await refusal_of(manager, contents()) == "queue_full"


async def test_a_report_larger_than_the_queue_evicts_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_bytes=500)) as store:
        manager = QueueManager(store, full_action="oldest_first")
        await manager.submit(contents())
        assert await refusal_of(manager, contents(pad="x" * 500)) == "queue_full"
        assert store.counts.evicted == 0


@pytest.mark.proves("H5.3")
async def test_pause_tells_watchers_when_it_is_full_and_when_there_is_room(tmp_path: Path) -> None:
    async with opened(tmp_path, TWO) as store:
        manager = QueueManager(store, full_action="pause")
        heard: list[str] = []
        manager.intake_paused.subscribe(lambda reason: heard.append(reason.split(";")[0]))
        manager.intake_resumed.subscribe(lambda: heard.append("resumed"))
        for _ in range(2):  # Fill, drain, fill again.
            while not manager.is_full():
                await manager.submit(contents())
            assert (manager.is_intake_paused, await refusal_of(manager, contents())) == (True, "queue_full")
            await send(store)
        assert heard == ["queue full: 2 reports, limit 2", "resumed"] * 2


async def test_who_waits_for_room_gets_it(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=1)) as store:
        manager = QueueManager(store)
        await manager.submit(contents())
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(manager.wait_for_room())
            await send(store)
        assert not manager.is_full()


async def test_what_uploads_tell_goes_on_to_the_watchers_and_is_logged_by_them_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        manager = QueueManager(store)
        heard: list[tuple[str, ...]] = []
        manager.operation_sent.subscribe(lambda report_id: heard.append(("sent", report_id)))
        manager.operation_failed.subscribe(lambda report_id, error: heard.append((report_id, error)))
        manager.sent("a")
        manager.failed("b", "refused", final=False)
        manager.failed("c", "HTTP 400", final=True)
        assert heard == [("sent", "a"), ("b", "refused"), ("c", "HTTP 400")]
        criticals: list[QueueCriticalError] = []
        manager.queue_critical.subscribe(criticals.append)
        error = QueueCriticalError("a", "refused", "no space")
        manager.critical(error)
        assert (criticals, heard[-1]) == ([error], ("a", str(error)))
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.proves("H1.4")
async def test_failed_reports_are_retried_and_discarded_by_hand(tmp_path: Path) -> None:
    async with opened(tmp_path, StoreLimits(max_reports=1)) as store:
        manager = QueueManager(store, full_action="oldest_first")
        first = await manager.submit(contents())
        second = await manager.submit(contents())
        await send(store)
        assert (await manager.retry_failed(first), take_all(store)) == (1, [first])
        with pytest.raises(ReportNotFoundError):
            await manager.discard_failed(second)


async def test_a_closed_manager_hears_nothing_more_of_the_store(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        manager = QueueManager(store)
        heard: list[object] = []
        manager.queue_changed.subscribe(heard.append)
        manager.close()
        await store.accept(make_report())
        assert heard == []


async def test_an_unknown_action_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(ValueError, match="newest_first"):
            QueueManager(store, full_action="newest_first")
