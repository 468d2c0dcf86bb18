"""What was not delivered is tried again, until it is or a person must decide (H1.3, H1.4, H1.7, H1.10, H1.12, H3.1)."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time

import pytest

from pywats_reliability.answers import Decision, PauseForCredentials, Rejected, RetryLater, Sent
from tests.service.queue_world import MemoryStore, Script, deliver, make_world, running
from tests.service.virtual_clock import in_virtual_time, now


def failing(times: int = 10**9, *, not_before_s: float | None = None) -> Script:
    async def script(_report_id: str, attempt: int) -> Decision:
        return RetryLater(f"trouble {attempt}", not_before_s) if attempt <= times else Sent()

    return script


def refusing_credentials(until: float) -> Script:
    async def script(_report_id: str, _attempt: int) -> Decision:
        return PauseForCredentials("who are you?") if now() < until else Sent()

    return script


@pytest.mark.proves("H1.3")
@in_virtual_time
async def test_a_failed_report_is_tried_again_after_its_backoff_to_the_instant() -> None:
    async with running(MemoryStore("r"), failing(6), retry_cap_s=300) as world:
        started = now()
        await world.until(lambda: world.told.sents == ["r"])
    assert [at - started for at in world.sender.times("r")] == [0, 30, 90, 210, 450, 750, 1050]


@pytest.mark.proves("H1.3")
@in_virtual_time
async def test_the_servers_wish_is_waited_for_first() -> None:
    async with running(MemoryStore("r"), failing(1, not_before_s=100)) as world:
        started = now()
        await world.until(lambda: world.told.sents == ["r"])
    assert [at - started for at in world.sender.times("r")] == [0, 130]


@pytest.mark.proves("H1.4")
@in_virtual_time
async def test_after_ten_attempts_it_is_in_failed_with_its_story() -> None:
    async with running(MemoryStore("r"), failing()) as world:
        await world.until(lambda: world.store.in_state("failed") == ["r"])
        await asyncio.sleep(100_000)
    assert len(world.sender.begun) == 10
    assert world.store.reasons["r"] == "trouble 10"
    assert world.store.attempts["r"] == [f"trouble {n}" for n in range(1, 11)]


@in_virtual_time
async def test_each_failure_is_told_with_its_reason_and_the_last_as_final(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with running(MemoryStore("r"), failing(), max_attempts=3) as world:
            await world.until(lambda: world.store.in_state("failed") == ["r"])
    assert world.told.failures == [("r", "trouble 1", False), ("r", "trouble 2", False), ("r", "trouble 3", True)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "ERROR"]


@pytest.mark.proves("H1.3")
@in_virtual_time
async def test_attempts_survive_a_restart() -> None:
    store = MemoryStore("r")
    async with running(store, failing()) as before:
        await before.until(lambda: len(store.attempts.get("r", ())) == 4)
    async with running(store, failing()) as after:
        await after.until(lambda: store.in_state("failed") == ["r"])
    assert (len(before.sender.begun), len(after.sender.begun)) == (4, 6)


@in_virtual_time
async def test_after_a_restart_nothing_waits_for_its_backoff() -> None:
    store = MemoryStore("r")
    async with running(store, failing(), retry_interval_s=3600) as before:
        await before.until(lambda: store.in_state("deferred") == ["r"])
    started = now()
    async with running(store, deliver) as after:
        await after.until(lambda: after.told.sents == ["r"])
    assert after.sender.times("r") == [started]


@pytest.mark.proves("H1.10")
@in_virtual_time
async def test_a_failing_report_holds_back_nobody() -> None:
    async def script(report_id: str, _attempt: int) -> Decision:
        await asyncio.sleep(1.0)
        return RetryLater("no") if int(report_id) % 2 else Sent()

    async with running(MemoryStore(*map(str, range(100))), script, max_concurrent=5) as world:
        await asyncio.sleep(20.5)
        assert sorted(map(int, world.told.sents)) == list(range(0, 100, 2))


@pytest.mark.proves("H1.7")
@in_virtual_time
async def test_what_is_refused_for_good_is_in_failed_at_once() -> None:
    async def script(_report_id: str, _attempt: int) -> Decision:
        return Rejected("no such process code")

    async with running(MemoryStore("r"), script) as world:
        await world.until(lambda: world.store.in_state("failed") == ["r"], within_s=1)
    assert world.told.failures == [("r", "no such process code", True)]
    assert len(world.sender.begun) == 1


@in_virtual_time
async def test_sync_now_tries_what_waits_at_once() -> None:
    async with running(MemoryStore("r"), failing(1), retry_interval_s=3600) as world:
        await asyncio.sleep(10)
        asked = now()
        assert world.queue.sync_now() == 1
        await world.until(lambda: world.told.sents == ["r"])
    assert world.sender.times("r")[1] == asked


@in_virtual_time
async def test_a_server_that_is_back_still_has_its_wish() -> None:
    async def script(_report_id: str, attempt: int) -> Decision:
        return RetryLater("busy", not_before_s=3600) if attempt == 1 else Sent()

    async with running(MemoryStore("r"), script, retry_interval_s=30) as world:
        await asyncio.sleep(10)
        assert world.queue.sync_now(by_hand=False) == 0
        await asyncio.sleep(3600)
        assert world.queue.sync_now(by_hand=False) <= 1
        await world.until(lambda: world.told.sents == ["r"])
    assert world.sender.times("r")[1] >= 3600


@pytest.mark.proves("H1.12")
@in_virtual_time
async def test_a_wall_clock_that_jumps_changes_no_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = itertools.cycle([0.0, 4e9, -1e9, 1.7e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    async with running(MemoryStore("r"), failing(3)) as world:
        started = now()
        await world.until(lambda: world.told.sents == ["r"])
    assert [at - started for at in world.sender.times("r")] == [0, 30, 90, 210]


@pytest.mark.proves("H1.7")
@in_virtual_time
async def test_refused_credentials_stop_the_sending_and_cost_no_attempt() -> None:
    async with running(MemoryStore(*"abcdefgh"), refusing_credentials(until=1e9), max_concurrent=3) as world:
        await asyncio.sleep(59)
        assert len(world.sender.begun) == 3
        assert world.queue.paused_reason == "who are you?"
    assert not world.store.attempts
    assert not world.told.failures
    assert world.store.in_state("waiting") == list("abcdefgh")


@in_virtual_time
async def test_one_probe_a_minute_is_made_while_credentials_are_refused() -> None:
    async with running(MemoryStore(*"abcdefgh"), refusing_credentials(until=1e9), max_concurrent=3) as world:
        started = now()
        await asyncio.sleep(200)
    assert [at - started for at, _ in world.sender.begun] == [0, 0, 0, 60, 120, 180]


@in_virtual_time
async def test_a_probe_that_is_let_in_resumes_the_sending() -> None:
    async with running(MemoryStore(*"abcdefgh"), refusing_credentials(until=now() + 100), max_concurrent=3) as world:
        started = now()
        await world.until(lambda: world.store.counts.pending == 0)
        assert world.queue.paused_reason is None
    assert {at - started for at, _ in world.sender.begun} == {0, 60, 120}


@in_virtual_time
async def test_a_probe_without_a_report_to_send_does_not_spin() -> None:
    async with running(MemoryStore("a"), refusing_credentials(until=1e9)) as world:
        await asyncio.sleep(1)
        world.store.state.clear()
        await asyncio.sleep(600)
    assert len(world.beats) < 60


@in_virtual_time
async def test_a_stopping_queue_makes_no_probes_and_does_not_spin() -> None:
    async with running(MemoryStore("a"), refusing_credentials(until=1e9)) as world:
        await asyncio.sleep(1)
        world.queue.stop_taking()
        await asyncio.sleep(600)
    assert len(world.sender.begun) == 1
    assert len(world.beats) < 60


@in_virtual_time
async def test_resume_sends_again_at_once() -> None:
    async with running(MemoryStore("a"), refusing_credentials(until=now() + 10)) as world:
        await asyncio.sleep(20)
        resumed = now()
        world.queue.resume()
        await world.until(lambda: world.told.sents == ["a"])
    assert world.sender.times("a")[1] == resumed


@in_virtual_time
async def test_a_pause_is_told_once_and_its_end_once() -> None:
    told: list[str | None] = []
    async with running(MemoryStore(*"abcdef"), refusing_credentials(until=now() + 10), max_concurrent=4) as world:
        world.queue.pause_changed.subscribe(told.append)
        await world.until(lambda: world.store.counts.pending == 0)
    assert told == ["who are you?", None]


@in_virtual_time
async def test_a_pause_by_hand_lets_end_what_is_on_its_way_and_lasts_until_resume() -> None:
    async def script(_report_id: str, _attempt: int) -> Decision:
        await asyncio.sleep(5.0)
        return Sent()

    async with running(MemoryStore(*"abc"), script, max_concurrent=1) as world:
        await asyncio.sleep(1)
        world.queue.pause("by the operator")
        await asyncio.sleep(3600)
        assert world.told.sents == ["a"]
        assert "paused: by the operator" in repr(world.queue)
        world.queue.resume()
        await world.until(lambda: world.store.counts.pending == 0)


@in_virtual_time
async def test_refused_credentials_do_not_loosen_a_pause_by_hand() -> None:
    async def script(_report_id: str, _attempt: int) -> Decision:
        await asyncio.sleep(5.0)
        return PauseForCredentials("who are you?")

    async with running(MemoryStore(*"ab"), script) as world:
        await asyncio.sleep(1)
        world.queue.pause("by the operator")
        await asyncio.sleep(3600)
        assert world.queue.paused_reason == "by the operator"
        assert len(world.sender.begun) == 2


@in_virtual_time
async def test_a_paused_queue_that_is_told_to_sync_probes_at_once() -> None:
    async with running(MemoryStore("a"), refusing_credentials(until=now() + 10)) as world:
        await asyncio.sleep(20)
        asked = now()
        world.queue.sync_now()
        await world.until(lambda: world.told.sents == ["a"])
    assert world.sender.times("a")[1] == asked


@in_virtual_time
async def test_a_pause_before_the_start_holds() -> None:
    world = make_world(MemoryStore("a"))
    world.queue.pause("not yet")
    task = asyncio.get_running_loop().create_task(world.queue.run(lambda: None))
    await asyncio.sleep(3600)
    assert not world.sender.begun
    world.run = task
    await world.end()
