"""Stopping: what is on its way ends, or is cut off with its attempt counted; nothing is lost (C1.2, C1.3, C1.11)."""

from __future__ import annotations

import asyncio

import pytest

from pywats_reliability.answers import Decision, RetryLater, Sent
from pywats_reliability.pending_queue.outcomes import CANCELLED, SAVE_ON_CANCEL_S
from tests.service.queue_world import DISK_ERROR, MemoryStore, make_world, running, taking
from tests.service.virtual_clock import in_virtual_time, now


@pytest.mark.parametrize("longest_s", [1.0, 59.9])
@in_virtual_time
async def test_a_stop_waits_for_what_is_on_its_way_and_not_a_moment_longer(longest_s: float) -> None:
    async def script(report_id: str, _attempt: int) -> Decision:
        await asyncio.sleep(longest_s if report_id == "c" else 0.5)
        return Sent()

    async with running(MemoryStore(*"abcde"), script, max_concurrent=3) as world:
        started = now()
        await asyncio.sleep(0.1)
        world.queue.stop_taking()
        await world.queue.wait_idle()
        assert now() - started == pytest.approx(longest_s, abs=1e-6)
        assert sorted(world.told.sents) == ["a", "b", "c"]
    assert world.store.in_state("waiting") == ["d", "e"]


@in_virtual_time
async def test_a_stop_waits_until_the_last_outcome_is_saved() -> None:
    store = MemoryStore("a")
    store.duration_s["mark_sent"] = 7.0
    async with running(store, taking(1.0)) as world:
        started = now()
        await asyncio.sleep(0.5)
        world.queue.stop_taking()
        await world.queue.wait_idle()
        assert now() - started == 8.0
        assert store.in_state("sent") == ["a"]


@in_virtual_time
async def test_an_idle_queue_stops_at_once() -> None:
    async with running(MemoryStore()) as world:
        await asyncio.sleep(1)
        started = now()
        world.queue.stop_taking()
        await world.queue.wait_idle()
        assert now() == started


@in_virtual_time
async def test_after_stop_taking_nothing_begins_any_more() -> None:
    async def script(_report_id: str, attempt: int) -> Decision:
        return RetryLater("no") if attempt == 1 else Sent()

    async with running(MemoryStore("a"), script) as world:
        await asyncio.sleep(1)
        world.queue.stop_taking()
        world.store.add("b")
        world.queue.resume()
        await asyncio.sleep(3600)
        assert len(world.sender.begun) == 1
        assert "stopping" in repr(world.queue)


@in_virtual_time
async def test_a_stopping_queue_goes_on_beating() -> None:
    """It runs until it is cancelled: whoever supervises it must not take the stop for an early end."""
    async with running(MemoryStore()) as world:
        world.queue.stop_taking()
        stopped = now()
        await asyncio.sleep(100)
        assert sum(at >= stopped for at in world.beats) >= 3


@in_virtual_time
async def test_a_network_lost_during_the_stop_neither_loses_nor_lengthens() -> None:
    async def script(_report_id: str, _attempt: int) -> Decision:
        await asyncio.sleep(30.0)
        return RetryLater("the network is gone")

    async with running(MemoryStore(*"abc"), script) as world:
        started = now()
        await asyncio.sleep(1)
        world.queue.stop_taking()
        await world.queue.wait_idle()
        assert now() - started == 30
    assert world.store.attempts == {report_id: ["the network is gone"] for report_id in "abc"}
    assert world.store.in_state("waiting") == ["a", "b", "c"]


@in_virtual_time
async def test_cancelling_cuts_off_the_uploads_and_counts_their_attempts() -> None:
    async with running(MemoryStore(*"abcd"), taking(1e9), max_concurrent=3) as world:
        await asyncio.sleep(1)
        await world.end()
    assert sorted(world.sender.cancelled) == ["a", "b", "c"]
    assert world.store.attempts == {report_id: [CANCELLED] for report_id in "abc"}
    assert world.store.in_state("waiting") == ["a", "b", "c", "d"]
    assert sorted(world.told.failures) == [(report_id, CANCELLED, False) for report_id in "abc"]


@in_virtual_time
async def test_cancelling_gives_back_what_waits_for_its_retry() -> None:
    async def script(_report_id: str, _attempt: int) -> Decision:
        return RetryLater("no")

    async with running(MemoryStore(*"ab"), script) as world:
        await world.until(lambda: len(world.store.in_state("deferred")) == 2)
    assert world.store.in_state("waiting") == ["a", "b"]


@in_virtual_time
async def test_an_upload_cancelled_before_anything_went_out_counts_no_attempt() -> None:
    store = MemoryStore("a")
    store.duration_s["read"] = 10.0
    async with running(store) as world:
        await asyncio.sleep(1)
        await world.end()
    assert not store.attempts
    assert store.in_state("waiting") == ["a"]


@in_virtual_time
async def test_an_upload_cancelled_before_it_began_is_given_back() -> None:
    world = make_world(store := MemoryStore("a"))
    unsubscribe = store.changed.subscribe(lambda: None)

    def cancel_once_taken() -> None:
        if store.in_state("in flight"):
            assert world.run is not None
            world.run.cancel()
        else:
            asyncio.get_running_loop().call_soon(cancel_once_taken)

    world.run = asyncio.get_running_loop().create_task(world.queue.run(lambda: None))
    asyncio.get_running_loop().call_soon(cancel_once_taken)
    with pytest.raises(asyncio.CancelledError):
        await world.run
    unsubscribe()
    assert (world.sender.begun, store.in_state("waiting"), world.queue.get_active_count()) == ([], ["a"], 0)


@in_virtual_time
async def test_a_disk_that_hangs_cannot_hold_a_cancelled_queue() -> None:
    store = MemoryStore("a")
    store.duration_s["record_attempt"] = 1e9
    async with running(store, taking(1e9)) as world:
        await asyncio.sleep(1)
        started = now()
        await world.end()
        assert now() - started == SAVE_ON_CANCEL_S
    assert [error.report_id for error in world.told.criticals] == ["a"]
    assert store.in_state("waiting") == ["a"]


@in_virtual_time
async def test_a_cancelled_attempt_that_cannot_be_saved_is_told() -> None:
    store = MemoryStore("a")
    async with running(store, taking(1e9)) as world:
        await asyncio.sleep(1)
        with store.failing("record_attempt"):
            await world.end()
    error, = world.told.criticals
    assert (error.send_error, error.save_error) == (CANCELLED, str(DISK_ERROR))


@in_virtual_time
async def test_a_report_whose_outcome_is_being_saved_counts_no_attempt_when_cancelled() -> None:
    store = MemoryStore("a")
    store.duration_s["mark_sent"] = 1e9
    async with running(store) as world:
        await asyncio.sleep(1)
        await world.end()
    assert not store.attempts
    assert store.in_state("waiting") == ["a"]


@in_virtual_time
async def test_what_was_cut_off_is_delivered_by_the_next_run() -> None:
    store = MemoryStore(*"abc")
    async with running(store, taking(1e9)) as before:
        await asyncio.sleep(60)
        await before.end()
    async with running(store) as after:
        await after.until(lambda: store.counts.pending == 0)
    assert after.told.sents == ["a", "b", "c"]
