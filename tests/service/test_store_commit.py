"""The group commit: one batch at a time, shared by all who wait; each has its own error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from pywats_reliability.errors import ServiceStoppingError
from pywats_reliability.store.commit import BATCH_MAX, Entry, GroupCommit, Job
from pywats_reliability.workers import Workers

pytestmark = pytest.mark.asyncio


class Plan:
    """A plan whose batches wait for a gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.sizes: list[int] = []
        self.error: Exception | None = None

    def __call__(self, batch: list[Entry]) -> Iterator[list[Job]]:
        self.sizes.append(len(batch))
        self.begun.set()
        yield [self.job]

    def job(self) -> None:
        assert self.gate.wait(5), "the test opens the gate"
        if self.error is not None:
            raise self.error


@pytest_asyncio.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers("test-workers")
    yield made
    await made.close()


@pytest.fixture
def plan() -> Plan:
    return Plan()


async def test_all_who_come_in_one_turn_share_a_batch(workers: Workers, plan: Plan) -> None:
    commit = GroupCommit("test", workers, plan)
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(commit.do(Entry()))
    assert plan.sizes == [10]


async def test_producers_that_come_again_keep_sharing(workers: Workers, plan: Plan) -> None:
    commit = GroupCommit("test", workers, plan)

    async def producer() -> None:
        for _ in range(5):
            await commit.do(Entry())

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(producer())
    assert plan.sizes == [8] * 5


async def test_a_batch_has_a_limit(workers: Workers, plan: Plan) -> None:
    commit = GroupCommit("test", workers, plan)
    async with asyncio.TaskGroup() as group:
        for _ in range(BATCH_MAX + 3):
            group.create_task(commit.do(Entry()))
    assert plan.sizes == [BATCH_MAX, 3]


async def test_who_comes_during_a_batch_waits_for_the_next(workers: Workers, plan: Plan) -> None:
    commit = GroupCommit("test", workers, plan)
    plan.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(commit.do(Entry()))
        await plan.begun.wait()
        group.create_task(commit.do(Entry()))
        group.create_task(commit.do(Entry()))
        await asyncio.sleep(0)
        plan.gate.set()
    assert plan.sizes == [1, 2]


async def test_who_was_just_woken_may_come_again_into_the_next_batch(workers: Workers, plan: Plan) -> None:
    """Else a lone producer and the others would take turns for ever, and share no sync."""
    commit = GroupCommit("test", workers, plan)
    plan.gate.clear()

    async def producer() -> None:
        await commit.do(Entry())
        await commit.do(Entry())

    async with asyncio.TaskGroup() as group:
        group.create_task(producer())
        await plan.begun.wait()
        for _ in range(2):
            group.create_task(producer())
        await asyncio.sleep(0)
        plan.gate.set()
    assert plan.sizes == [1, 3, 2]


async def test_the_bookkeeping_of_a_cancelled_producer_is_done_all_the_same(workers: Workers, plan: Plan) -> None:
    commit = GroupCommit("test", workers, plan)
    plan.gate.clear()
    ended: list[Entry] = []
    entry = Entry(on_end=ended.append)
    async with asyncio.TaskGroup() as group:
        producer = group.create_task(commit.do(entry))
        await plan.begun.wait()
        producer.cancel()
    plan.gate.set()
    await commit.wait_idle()
    assert (ended, entry.error) == ([entry], None)


async def test_who_is_cancelled_before_the_batch_is_not_in_it(workers: Workers, plan: Plan) -> None:
    commit = GroupCommit("test", workers, plan)
    ended: list[Entry] = []
    async with asyncio.TaskGroup() as group:
        producer = group.create_task(commit.do(Entry(on_end=ended.append)))
        group.create_task(commit.do(Entry()))
        asyncio.get_running_loop().call_soon(producer.cancel)
        await asyncio.sleep(0)
        producer.cancel()
    assert [entry.error is not None for entry in ended] == [True]
    assert plan.sizes == [1]


async def test_a_job_that_breaks_fails_its_batch_and_not_the_next(
    workers: Workers, plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    commit = GroupCommit("test", workers, plan)
    plan.error = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        await commit.do(Entry())
    plan.error = None
    await commit.do(Entry())
    assert "a batch of 1 broke" in caplog.text


async def test_closed_workers_refuse_and_leave_no_thread(workers: Workers) -> None:
    await workers.run("a look", threading.get_ident)
    assert await workers.close()
    with pytest.raises(ServiceStoppingError):
        workers.start(threading.get_ident, "a look")
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("test-workers")]


async def test_closing_waits_for_a_job_whose_caller_was_cancelled(workers: Workers, plan: Plan) -> None:
    plan.gate.clear()
    waiter = asyncio.ensure_future(workers.run("waiting for a gate", plan.job))  # noqa: TID251 - a task to cancel
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    asyncio.get_running_loop().call_later(0.01, plan.gate.set)
    assert await workers.close()


async def test_a_job_that_never_ends_does_not_hold_the_close(
    workers: Workers, plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    plan.gate.clear()
    workers.start(plan.job, "waiting for a gate")
    assert not await workers.close(timeout_s=0.01)
    plan.gate.set()
    assert "thread of test-workers: waiting for a gate, for 0.0 s" in caplog.text
