"""The sending with the real store, the real client and real sockets (H1.3, H1.4, C1.2, C1.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pywats_reliability.disk import Disk
from pywats_reliability.pending_queue import AsyncPendingQueue, PendingStore, UploadSettings
from pywats_reliability.pending_queue.outcomes import CANCELLED
from pywats_reliability.ports import SystemClock, system_randomness
from pywats_reliability.store import Record, ReportStore
from pywats_reliability.wats_client import WatsClient
from tests.service.loopback_server import Behaviour, Exchange, LoopbackServer, serving
from tests.service.queue_world import Listener
from tests.service.store_world import make_report

pytestmark = pytest.mark.asyncio
DEADLINE_S = 20.0


async def deliver(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.answer(204)


async def hang(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.hang()


async def fail(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.answer(500, b'{"message":"out of order"}')


@asynccontextmanager
async def sending(
    store: ReportStore, behaviour: Behaviour, **settings: float
) -> AsyncIterator[tuple[AsyncPendingQueue[Record], Listener, LoopbackServer]]:
    """Run the queue against a server until the block ends; then cancel it."""
    typed: PendingStore[Record] = store
    told = Listener()
    async with serving(behaviour) as server:
        client = WatsClient(server.url, "dG9rZW46dG9rZW4=", clock=SystemClock())
        limits = UploadSettings(**settings)  # type: ignore[arg-type]
        queue = AsyncPendingQueue(typed, client, settings=limits, observer=told, randomness=system_randomness())
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            run = tasks.create_task(queue.run(lambda: None))
            yield queue, told, server
            run.cancel()
        await client.aclose()


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[ReportStore]:
    store = ReportStore(folder, disk=Disk(), clock=SystemClock())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def settled(store: ReportStore, left: int = 0) -> None:
    """Return once no more than ``left`` reports are pending."""
    changed = asyncio.Event()
    unsubscribe = store.changed.subscribe(changed.set)
    while store.counts.pending > left:
        changed.clear()
        await changed.wait()
    unsubscribe()


async def test_every_report_arrives_byte_for_byte_and_ends_in_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        reports = [make_report(comment=f"№ {number}" * number) for number in range(50)]
        async with sending(store, deliver) as (queue, told, server):
            await asyncio.gather(*(store.accept(report) for report in reports))
            await settled(store)
            await queue.wait_idle()
        assert sorted(body for body in server.bodies if body) == sorted(report.body for report in reports)
        assert len(told.sents) == len(await store.list_records("sent")) == 50


async def test_an_upload_cut_off_is_intact_and_delivered_by_the_next_start(tmp_path: Path) -> None:
    report = make_report()
    async with opened(tmp_path) as store:
        record = await store.accept(report)
        async with sending(store, hang) as (_, _, server):
            await server.arrived.wait()
    assert (tmp_path / "pending" / record.name).read_bytes() == report.body
    async with opened(tmp_path) as store:
        async with sending(store, deliver) as (queue, _, server):
            await settled(store)
            await queue.wait_idle()
        assert [body for body in server.bodies if body] == [report.body]


async def test_an_attempt_cut_off_is_in_the_history(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        read = asyncio.Event()

        async def hang_once_read(exchange: Exchange) -> None:
            await exchange.read_all()
            read.set()
            await exchange.hang()

        async with sending(store, hang_once_read):
            await read.wait()
        history = await store.history(record)
        assert (history.attempts, history.last_error) == (1, CANCELLED)
        assert store.counts.in_flight == 0


@pytest.mark.proves("H1.4")
async def test_a_server_that_always_fails_leaves_the_report_in_failed_with_its_story(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        async with sending(store, fail, max_attempts=3, retry_interval_s=0.001) as (queue, told, server):
            await settled(store)
            await queue.wait_idle()
        history = await store.history(record, "failed")
        assert history.attempts == 3
        assert history.last_error == "the server answered 500 Internal Server Error: out of order"
        assert len([body for body in server.bodies if body]) == 3
        assert [final for _, _, final in told.failures] == [False, False, True]


@pytest.mark.proves("H1.6")
async def test_what_the_store_cannot_read_is_quarantined_and_holds_back_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        torn, whole = await store.accept(make_report()), await store.accept(make_report())
        (tmp_path / "pending" / torn.name).write_bytes(b'{"id":')
        async with sending(store, deliver) as (queue, told, _):
            await settled(store)
            await queue.wait_idle()
        assert told.sents == [whole.report_id]
        assert [(failed, final) for failed, _, final in told.failures] == [(torn.report_id, True)]
        assert store.counts.quarantined == 1
