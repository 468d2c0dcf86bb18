"""The disk refuses, or there is a bug: no report is lost, none holds back another, somebody hears of it (H3.4, C2)."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pywats_reliability.answers import Decision, Rejected, RetryLater, Sent
from pywats_reliability.errors import QueueCriticalError, RecordUnreadableError, ServiceStoppingError
from tests.service.queue_world import DISK_ERROR, MemoryStore, deliver, make_world, running, taking
from tests.service.virtual_clock import in_virtual_time, now


class UnprintableError(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise ValueError("no words")


async def refuse(_report_id: str, _attempt: int) -> Decision:
    return Rejected("refused")


async def put_off(_report_id: str, _attempt: int) -> Decision:
    return RetryLater("busy")


@pytest.mark.parametrize("error", [DISK_ERROR, QueueCriticalError("a", "busy", str(DISK_ERROR))])
@in_virtual_time
async def test_an_attempt_that_cannot_be_saved_is_critical_with_both_causes(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(MemoryStore("a"), put_off) as world:
        with world.store.failing("record_attempt", error):
            await world.until(lambda: bool(world.told.criticals))
    told = world.told.criticals[0]
    assert (told.report_id, told.send_error, told.save_error) == ("a", "busy", str(DISK_ERROR))
    assert str(told) in [record.message for record in caplog.records if record.levelname == "CRITICAL"]


@in_virtual_time
async def test_while_attempts_cannot_be_saved_the_backoff_grows_all_the_same() -> None:
    store = MemoryStore("a")
    with store.failing("record_attempt"):
        async with running(store, put_off, retry_cap_s=300) as world:
            started = now()
            await asyncio.sleep(1000)
            await world.end()
    assert [at - started for at in world.sender.times("a")] == [0, 30, 90, 210, 450, 750]


@in_virtual_time
async def test_a_delivered_report_that_cannot_be_moved_is_not_sent_again_but_moved_later() -> None:
    async with running(MemoryStore("a")) as world:
        with world.store.failing("mark_sent"):
            await asyncio.sleep(100)
            assert len(world.told.criticals) == 3
            assert not world.told.sents
        await world.until(lambda: world.store.in_state("sent") == ["a"])
    assert len(world.sender.begun) == 1
    assert world.told.sents == ["a"]


@pytest.mark.proves("H1.5")
@in_virtual_time
async def test_a_delivered_report_that_cannot_be_moved_is_sent_again_after_a_restart() -> None:
    store = MemoryStore("a")
    async with running(store) as before:
        with store.failing("mark_sent"):
            await before.until(lambda: bool(before.told.criticals))
            await before.end()
    async with running(store) as after:
        await after.until(lambda: store.in_state("sent") == ["a"])
    assert len(after.sender.begun) == 1


@in_virtual_time
async def test_a_refused_report_that_cannot_be_moved_stays_and_is_moved_later() -> None:
    async with running(MemoryStore("a"), refuse) as world:
        with world.store.failing("mark_failed"):
            await asyncio.sleep(50)
            assert world.store.counts.pending == 1
        await world.until(lambda: world.store.in_state("failed") == ["a"])
    assert [final for _, _, final in world.told.failures] == [False, False, True]


@pytest.mark.parametrize("method", ["read", "record_attempt", "mark_sent", "mark_failed", "scan"])
@in_virtual_time
async def test_a_disk_that_refuses_for_a_while_loses_nothing_and_spins_nowhere(method: str) -> None:
    async def script(report_id: str, attempt: int) -> Decision:
        await asyncio.sleep(0.1)
        return {"b": Rejected("no"), "c": RetryLater("busy") if attempt == 1 else Sent()}.get(report_id, Sent())

    async with running(MemoryStore(*"abc"), script) as world:
        with world.store.failing(method):
            await asyncio.sleep(600)
        assert len(world.beats) < 200
        await world.until(lambda: world.store.counts.pending == 0)
    assert (sorted(world.store.in_state("sent")), world.store.in_state("failed")) == (["a", "c"], ["b"])


@in_virtual_time
async def test_a_report_that_cannot_be_read_just_now_loses_no_attempt_and_holds_back_nobody() -> None:
    store = MemoryStore("a")
    async with running(store) as world:
        with store.failing("read"):
            await asyncio.sleep(1)
        store.add("b")
        await world.until(lambda: world.told.sents == ["b", "a"])
    assert not store.attempts
    assert world.told.failures == [("a", str(DISK_ERROR), False)]


@in_virtual_time
async def test_a_report_that_is_none_is_told_as_final_and_not_tried_again() -> None:
    store = MemoryStore("a")
    unreadable = RecordUnreadableError("a", "it is torn", "quarantine")
    async with running(store) as world:
        with store.failing("read", unreadable):
            await asyncio.sleep(3600)
        assert world.told.failures == [("a", str(unreadable), True)]
        store.state.clear()


@in_virtual_time
async def test_a_store_that_is_closing_makes_nothing_spin() -> None:
    store = MemoryStore("a")
    with store.failing("read", ServiceStoppingError("read")):
        async with running(store) as world:
            await asyncio.sleep(100)
            await world.end()
    assert len(world.beats) < 20


@pytest.mark.parametrize(
    "bug",
    [ValueError("SN-0042"), MemoryError(), RecursionError(), UnprintableError(), SystemExit(3),
     ExceptionGroup("x", [OSError()])],
)  # fmt: skip
@in_virtual_time
async def test_a_bug_met_by_one_upload_costs_an_attempt_of_that_report_and_nothing_else(
    bug: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(report_id: str, attempt: int) -> Decision:
        await asyncio.sleep(0.1 if report_id == "poison" else 5.0)
        if report_id == "poison" and attempt == 1:
            raise bug
        return Sent()

    async with running(MemoryStore("poison", *"abc"), script) as world:
        await world.until(lambda: world.store.counts.pending == 0)
    assert not world.sender.cancelled
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [bug]
    reason, = world.store.attempts["poison"]
    assert type(bug).__name__ in reason
    assert "SN-0042" not in reason


@in_virtual_time
async def test_a_poisoned_report_ends_in_failed_while_the_others_are_delivered() -> None:
    async def script(report_id: str, _attempt: int) -> Decision:
        if report_id == "poison":
            raise ValueError(report_id)
        return Sent()

    store = MemoryStore("poison")
    async with running(store, script, retry_cap_s=100) as world:
        for number in range(100):
            store.add(f"r{number}")
            await asyncio.sleep(10)
    assert store.in_state("failed") == ["poison"]
    assert len(store.attempts["poison"]) == 10
    assert len(world.told.sents) == 100


@in_virtual_time
async def test_a_bug_that_every_upload_meets_comes_out_of_run_once_the_rest_has_ended() -> None:
    async def script(report_id: str, _attempt: int) -> Decision:
        await asyncio.sleep(50.0 if report_id == "a" else 1.0)
        if report_id == "a":
            return Sent()
        raise ValueError(report_id)

    world = make_world(store := MemoryStore(*"abcdef"), script, max_concurrent=5, retry_interval_s=3600)
    started = now()
    with pytest.raises(ValueError, match=r"[b-e]"):
        await world.queue.run(lambda: world.beats.append(now()))
    assert now() - started == 50
    assert (world.told.sents, world.sender.cancelled) == (["a"], [])
    assert len(world.sender.begun) == 5
    assert store.in_state("waiting") == ["f"]
    assert max(later - earlier for earlier, later in zip(world.beats, world.beats[1:], strict=False)) <= 30


@in_virtual_time
async def test_after_a_bug_the_queue_runs_again_and_keeps_the_backoffs() -> None:
    async def script(_report_id: str, _attempt: int) -> Decision:
        raise ValueError

    world = make_world(store := MemoryStore(*"abc"), script)
    started = now()
    with pytest.raises(ValueError):  # noqa: PT011 - the very one above
        await world.queue.run(lambda: None)
    assert len(store.in_state("deferred")) == 3
    world.sender.script = deliver
    world.run = asyncio.get_running_loop().create_task(world.queue.run(lambda: None))
    await world.until(lambda: store.counts.pending == 0)
    await world.end()
    assert [at - started for at, _ in world.sender.begun] == [0, 0, 0, 30, 30, 30]


@pytest.mark.parametrize("method", ["read", "mark_sent", "record_attempt", "mark_failed", "scan"])
@in_virtual_time
async def test_a_bug_of_the_store_is_not_swallowed_and_loses_no_report(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(report_id: str, attempt: int) -> Decision:
        await asyncio.sleep(0.1)
        return {"b": Rejected("no"), "c": RetryLater("busy") if attempt == 1 else Sent()}.get(report_id, Sent())

    bug = ValueError("of the store")
    world = make_world(store := MemoryStore(*"abc"), script)
    with store.failing(method, bug):
        world.run = asyncio.get_running_loop().create_task(world.queue.run(lambda: None))
        await asyncio.wait([world.run], timeout=31)
    raised = world.run.done() and world.run.exception()
    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert bug in (raised, *logged)
    if world.run.done():
        world.run = asyncio.get_running_loop().create_task(world.queue.run(lambda: None))
    await world.until(lambda: store.counts.pending == 0)
    await world.end()


@in_virtual_time
async def test_a_bug_before_a_cancellation_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bug = ValueError("of the scan")
    store = MemoryStore("a")
    with store.failing("scan", bug):
        async with running(store, taking(1e9)) as world:
            await asyncio.sleep(40)
            await world.end()
    assert bug in [record.exc_info[1] for record in caplog.records if record.exc_info]


@in_virtual_time
async def test_a_store_that_breaks_at_taking_comes_out_of_run() -> None:
    world = make_world(store := MemoryStore("a"))
    with store.failing("take", ValueError("of the store")), pytest.raises(ExceptionGroup) as caught:
        await world.queue.run(lambda: None)
    assert caught.group_contains(ValueError)


@in_virtual_time
async def test_an_observer_that_fails_changes_nothing_for_the_report(caplog: pytest.LogCaptureFixture) -> None:
    async with running(MemoryStore()) as world:
        world.told.sents = None  # type: ignore[assignment]  # Its append fails.
        world.store.add("a")
        await world.until(lambda: world.store.in_state("sent") == ["a"])
    assert not world.store.attempts
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
