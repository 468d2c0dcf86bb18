"""Sending while all goes well: order, slots, wake-ups, counts (H1.9, H1.10, H1.14)."""

from __future__ import annotations

import asyncio

import pytest

from pywats_reliability.answers import Decision, RetryLater, Sent
from pywats_reliability.errors import QueueFullError
from pywats_reliability.pending_queue import UploadSettings, UploadStats
from tests.service.queue_world import MemoryStore, make_world, running, taking
from tests.service.virtual_clock import in_virtual_time, now


def ids(count: int) -> list[str]:
    return [f"r{number:03d}" for number in range(count)]


@pytest.mark.proves("H1.10")
@in_virtual_time
async def test_every_report_is_sent_once_in_the_order_of_arrival() -> None:
    async with running(MemoryStore(*ids(20)), taking(1.0), max_concurrent=1) as world:
        await world.until(lambda: world.store.counts.pending == 0)
    assert [report_id for _, report_id in world.sender.begun] == ids(20)
    assert world.told.sents == ids(20)


@in_virtual_time
async def test_as_many_uploads_as_allowed_run_at_a_time_and_no_more() -> None:
    async with running(MemoryStore(*ids(100)), taking(1.0), max_concurrent=7) as world:
        await world.until(lambda: world.store.counts.pending == 0)
    assert world.sender.most == 7


@in_virtual_time
async def test_a_free_slot_is_used_at_the_same_instant() -> None:
    async with running(MemoryStore(*ids(10)), taking(1.0), max_concurrent=2) as world:
        started = now()
        await world.until(lambda: world.store.counts.pending == 0)
    assert [at - started for at, _ in world.sender.begun] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.proves("H1.14")
@in_virtual_time
async def test_a_new_report_is_sent_at_the_instant_it_arrives() -> None:
    async with running(MemoryStore()) as world:
        await asyncio.sleep(17.3)
        arrived = now()
        world.store.add("r000")
        await world.until(lambda: bool(world.told.sents))
    assert world.sender.times("r000") == [arrived]


@pytest.mark.proves("H1.14")
@pytest.mark.parametrize("hung", [1, 2, 3, 4])
@in_virtual_time
async def test_hung_uploads_cost_their_own_slots_only(hung: int) -> None:
    async def script(report_id: str, _attempt: int) -> Decision:
        await asyncio.sleep(1e9 if int(report_id[1:]) < hung else 1.0)
        return Sent()

    async with running(MemoryStore(*ids(20 + hung)), script, max_concurrent=5) as world:
        await asyncio.sleep(20 / (5 - hung) + 0.1)
        world.store.add("r999")
        await asyncio.sleep(1.1)
        assert sorted(world.told.sents) == [*ids(20 + hung)[hung:], "r999"]


@in_virtual_time
async def test_a_slot_is_free_while_the_outcome_is_being_saved() -> None:
    store = MemoryStore(*ids(5))
    store.duration_s["mark_sent"] = 10.0
    async with running(store, taking(1.0), max_concurrent=2) as world:
        started = now()
        await world.until(lambda: len(world.sender.begun) == 5)
    assert [at - started for at, _ in world.sender.begun] == [0, 0, 1, 1, 2]


@in_virtual_time
async def test_a_disk_that_hangs_stops_the_sending_after_a_few_more() -> None:
    """What is sent and cannot be saved must not pile up without a limit."""
    store = MemoryStore(*ids(100))
    store.duration_s["mark_sent"] = 1e9
    async with running(store, taking(1.0), max_concurrent=2) as world:
        await asyncio.sleep(1000)
        assert len(world.sender.begun) == 6


@in_virtual_time
async def test_a_hundred_producers_at_once_are_all_served() -> None:
    async with running(MemoryStore(), taking(0.5), max_concurrent=10) as world:
        async with asyncio.TaskGroup() as producers:
            for report_id in ids(100):
                producers.create_task(_produce(world.store, report_id))
        await world.until(lambda: world.store.counts.pending == 0)
    assert sorted(world.told.sents) == ids(100)


@pytest.mark.proves("H1.9")
@in_virtual_time
async def test_a_report_of_the_same_id_waits_for_the_one_in_flight() -> None:
    async with running(MemoryStore("r000", "r000"), taking(5.0), max_concurrent=5) as world:
        started = now()
        await world.until(lambda: world.store.counts.pending == 0)
    assert world.sender.times("r000") == [started, started + 5]


@pytest.mark.proves("H1.3")
@in_virtual_time
async def test_a_file_dropped_in_by_hand_is_found_within_half_a_minute() -> None:
    async with running(MemoryStore()) as world:
        world.store.dropped_in.append("r000")
        await world.until(lambda: bool(world.told.sents), within_s=30.2)


@in_virtual_time
async def test_an_idle_queue_beats_twice_a_minute_and_does_nothing_else() -> None:
    async with running(MemoryStore()) as world:
        await asyncio.sleep(3600)
    assert max(later - earlier for earlier, later in zip(world.beats, world.beats[1:], strict=False)) <= 30
    assert len(world.beats) < 3 * 120 + 5


@in_virtual_time
async def test_new_settings_count_at_once() -> None:
    async with running(MemoryStore(*ids(10)), taking(100.0), max_concurrent=1) as world:
        await asyncio.sleep(1)
        world.queue.settings = UploadSettings(max_concurrent=4)
        await asyncio.sleep(1)
        assert len(world.sender.under_way) == 4


@in_virtual_time
async def test_the_counts_have_the_names_of_the_status_and_are_true() -> None:
    async def script(report_id: str, _attempt: int) -> Decision:
        await asyncio.sleep(1.0)
        return Sent() if report_id != "r001" else RetryLater("no")

    async with running(MemoryStore(*ids(5)), script, max_concurrent=3) as world:
        await asyncio.sleep(1.5)
        assert world.queue.stats == UploadStats(
            total_submitted=5, successful=2, errors=1, retries=1, active_uploads=2,
        )  # fmt: skip
        assert (world.queue.get_active_count(), world.queue.get_pending_count()) == (2, 3)


@in_virtual_time
async def test_the_queue_says_why_nothing_can_be_enqueued() -> None:
    queue = make_world(store := MemoryStore()).queue
    assert (queue.is_full(), queue.can_enqueue()) == (False, (True, ""))
    store.refusal = QueueFullError(10, 10)
    assert (queue.is_full(), queue.can_enqueue()) == (True, (False, str(store.refusal)))


@in_virtual_time
async def test_the_repr_tells_the_state_and_the_counts() -> None:
    store = MemoryStore(*ids(3))
    store.duration_s["mark_sent"] = 5.0
    async with running(store, taking(1.0), max_concurrent=2) as world:
        await asyncio.sleep(1.5)
        expected = "AsyncPendingQueue(sending, 1 on their way, 2 being saved, Waiting(0 records))"
        assert repr(world.queue) == expected


async def _produce(store: MemoryStore, report_id: str) -> None:
    await asyncio.sleep(int(report_id[1:]) % 7 * 0.1)
    store.add(report_id)
