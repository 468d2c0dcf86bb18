"""Facts about tasks that are stuck and loops that are blocked, in virtual time (C2.8)."""

from __future__ import annotations

import asyncio

import pytest

from pywats_reliability.health import Severity, TaskCondition
from pywats_reliability.ports import Heartbeat
from tests.service.supervised import beat_every, errors, severity, subject, supervised, well
from tests.service.virtual_clock import block_the_loop, in_virtual_time


@pytest.mark.proves("C2.8")
@in_virtual_time
async def test_c2_8_a_task_without_heartbeat_for_three_intervals_is_stalled_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hangs(beat: Heartbeat) -> None:
        beat()
        await asyncio.Event().wait()

    async with supervised(hangs, critical=True, interval_s=20) as supervisor:
        await asyncio.sleep(59)
        assert subject(supervisor).condition is TaskCondition.RUNNING
        await asyncio.sleep(300)
        assert subject(supervisor).condition is TaskCondition.STALLED
        assert severity(supervisor) is Severity.ERROR
        assert len(errors(caplog)) == 1


@pytest.mark.proves("C2.8")
@in_virtual_time
async def test_c2_8_a_stalled_task_that_beats_again_is_well_again() -> None:
    async def pauses(beat: Heartbeat) -> None:
        beat()
        await asyncio.sleep(100)
        await well(beat)

    async with supervised(pauses) as supervisor:
        await asyncio.sleep(99)
        assert subject(supervisor).condition is TaskCondition.STALLED
        await asyncio.sleep(2)
        assert severity(supervisor) is Severity.OK


@pytest.mark.proves("C2.8")
@in_virtual_time
async def test_c2_8_a_run_that_was_left_behind_cannot_make_the_next_one_look_alive() -> None:
    released = asyncio.Event()
    first_run: list[asyncio.Task[None]] = []

    async def run(beat: Heartbeat) -> None:
        if first_run:
            await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task is not None
        first_run.append(task)
        while not released.is_set():
            try:
                await beat_every(beat, 1)
            except asyncio.CancelledError:
                continue

    async with supervised(run) as supervisor:
        await asyncio.sleep(1)
        try:
            assert not await supervisor.stop_task("subject", 5)
            assert supervisor.left_behind() == ("subject",)
            supervisor.reset("subject")
            await asyncio.sleep(100)
            assert subject(supervisor).condition is TaskCondition.STALLED
        finally:
            released.set()
            first_run[0].cancel()
    await asyncio.sleep(1)
    assert supervisor.left_behind() == ()


@pytest.mark.proves("C2.8")
@pytest.mark.parametrize(("blocked_s", "found"), [(0.4, 0), (1.01, 1), (45.0, 1)])
@in_virtual_time
async def test_c2_8_a_loop_blocked_for_over_a_second_is_reported(blocked_s: float, found: int) -> None:
    async with supervised(well) as supervisor:
        await asyncio.sleep(10.2)
        block_the_loop(blocked_s)
        await asyncio.sleep(1)
        assert supervisor.loop_blocks == found
        assert (supervisor.loop_blocked is not None) is bool(found)


@pytest.mark.proves("C2.8")
@in_virtual_time
async def test_c2_8_a_block_stops_being_news_after_a_monitor_interval() -> None:
    async with supervised(well) as supervisor:
        block_the_loop(2)
        await asyncio.sleep(31)
        assert supervisor.loop_blocked is None


@pytest.mark.proves("C2.8")
@in_virtual_time
async def test_c2_8_a_blocked_loop_is_not_held_against_the_tasks_that_could_not_beat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with supervised(well):
        await asyncio.sleep(29.9)
        block_the_loop(1000)
        await asyncio.sleep(1)
        assert [record.getMessage().split(":")[0] for record in errors(caplog)] == [
            "the event loop was blocked for at least 999.9 s"
        ]
