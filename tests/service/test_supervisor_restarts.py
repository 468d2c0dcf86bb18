"""Facts about restarts, their backoff and their circuit, at full-length windows in virtual time (C2.7)."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from pywats_reliability.health import Severity, TaskCondition
from pywats_reliability.ports import Heartbeat
from pywats_reliability.supervisor import SupervisionLimits
from tests.service.supervised import failing, severity, subject, supervised
from tests.service.virtual_clock import in_virtual_time, now


@pytest.mark.proves("C2.7")
@in_virtual_time
async def test_c2_7_restarts_wait_twice_as_long_each_time_and_are_counted() -> None:
    starts: list[float] = []

    async def run(_: Heartbeat) -> None:
        starts.append(now())
        raise ValueError("planted")

    async with supervised(run, limits=SupervisionLimits(restart_limit=8, backoff_cap_s=20)) as supervisor:
        await asyncio.sleep(80)
        gaps = [round(after - before, 3) for before, after in pairwise(starts)]
        assert gaps == [1, 2, 4, 8, 16, 20, 20]
        assert (subject(supervisor).restarts, subject(supervisor).last_restart_at) == (7, starts[-1])


@pytest.mark.proves("C2.7")
@in_virtual_time
async def test_c2_7_one_restart_that_holds_makes_the_service_well_again() -> None:
    async with supervised(failing(times=1), critical=True) as supervisor:
        await asyncio.sleep(10.9)  # Failed at 0, restarted at 1, proven at 11.
        assert subject(supervisor).condition is TaskCondition.RECOVERING
        assert severity(supervisor) is Severity.ERROR
        await asyncio.sleep(0.2)
        assert severity(supervisor) is Severity.OK


@pytest.mark.proves("C2.7")
@in_virtual_time
async def test_c2_7_a_restart_without_a_heartbeat_does_not_hold() -> None:
    """Being alive is not enough: the restarted task must have completed something."""
    runs: list[float] = []

    async def hangs_after_its_failure(_: Heartbeat) -> None:
        runs.append(now())
        if len(runs) == 1:
            raise ValueError("planted")
        await asyncio.Event().wait()

    async with supervised(hangs_after_its_failure, interval_s=100) as supervisor:
        await asyncio.sleep(200)
        assert subject(supervisor).condition is TaskCondition.RECOVERING


@pytest.mark.proves("C2.7")
@in_virtual_time
async def test_c2_7_three_failures_in_five_minutes_leave_it_running() -> None:
    async with supervised(failing(times=3), critical=True) as supervisor:
        await asyncio.sleep(60)
        assert (subject(supervisor).restarts, subject(supervisor).condition) == (3, TaskCondition.RUNNING)


@pytest.mark.proves("C2.7")
@in_virtual_time
async def test_c2_7_the_fourth_failure_in_five_minutes_opens_the_circuit_for_good() -> None:
    async with supervised(failing(times=4), critical=True) as supervisor:
        await asyncio.sleep(3600)
        assert (subject(supervisor).restarts, subject(supervisor).condition) == (3, TaskCondition.DOWN)
        assert severity(supervisor) is Severity.ERROR


@pytest.mark.proves("C2.7")
@in_virtual_time
async def test_c2_7_a_task_that_fails_slowly_for_ever_is_restarted_for_ever() -> None:
    async with supervised(failing(after_s=120)) as supervisor:
        await asyncio.sleep(3600)
        assert subject(supervisor).restarts == 3600 // 121


@pytest.mark.proves("C2.7")
@in_virtual_time
async def test_c2_7_a_reset_by_hand_that_holds_closes_the_circuit() -> None:
    async with supervised(failing(times=4), critical=True) as supervisor:
        await asyncio.sleep(400)
        supervisor.reset("subject")
        assert subject(supervisor).condition is TaskCondition.RECOVERING
        await asyncio.sleep(10.5)
        assert severity(supervisor) is Severity.OK


@pytest.mark.proves("C2.7")
@in_virtual_time
async def test_c2_7_a_reset_does_not_count_against_the_limit() -> None:
    async with supervised(failing(times=7)) as supervisor:
        await asyncio.sleep(30)
        supervisor.reset("subject")
        await asyncio.sleep(60)
        assert (subject(supervisor).restarts, subject(supervisor).condition) == (7, TaskCondition.RUNNING)


@pytest.mark.proves("C2.7")
@in_virtual_time
async def test_c2_7_a_reset_forgives_a_task_that_runs_as_well() -> None:
    async with supervised(failing(after_s=5, times=6)) as supervisor:
        await asyncio.sleep(23)  # Restarted three times, and running.
        assert subject(supervisor).restarts == 3
        supervisor.reset("subject")
        await asyncio.sleep(100)
        assert (subject(supervisor).restarts, subject(supervisor).condition) == (6, TaskCondition.RUNNING)
