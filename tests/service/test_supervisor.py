"""Facts about supervised tasks and how their ends are noticed, in virtual time (C2.1 to C2.6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from pywats_reliability.errors import ServiceStoppingError, TaskNotFoundError
from pywats_reliability.health import Severity, TaskCondition
from pywats_reliability.ports import Heartbeat
from pywats_reliability.supervisor import MONITOR, Supervisor, TaskSpec
from tests.service.supervised import FAILURES, errors, fail_with, failing, severity, subject, supervised, well
from tests.service.virtual_clock import in_virtual_time, now, timers_left


@pytest.mark.proves("C2.1")
@pytest.mark.parametrize("after_s", [0.0, 7.0], ids=["first tick", "later tick"])
@pytest.mark.parametrize("kind", FAILURES)
@in_virtual_time
async def test_c2_1_any_exception_is_logged_once_with_name_and_traceback_and_counted(
    kind: str, after_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(failing(after_s=after_s, times=1, fail=FAILURES[kind])) as supervisor:
        await asyncio.sleep(after_s + 0.5)
        (record,) = errors(caplog)
        assert "task subject failed" in record.getMessage()
        assert record.exc_info is not None
        assert kind in logging.Formatter().formatException(record.exc_info)
        assert subject(supervisor).failures == 1


@pytest.mark.proves("C2.2")
@in_virtual_time
async def test_c2_2_a_critical_failure_is_an_error_at_once_and_touches_no_other_task() -> None:
    async with supervised(failing(), critical=True) as supervisor:
        await asyncio.sleep(0.1)
        assert severity(supervisor) is Severity.ERROR
        assert supervisor.verdict.reasons == ("critical task subject is backoff: ValueError: planted",)
        await asyncio.sleep(100)
        assert supervisor.states()[2].heartbeats == 11  # The neighbour: at 0, 10, ... 100.


@pytest.mark.proves("C2.3")
@in_virtual_time
async def test_c2_3_another_failure_degrades_and_names_the_task() -> None:
    async with supervised(failing()) as supervisor:
        await asyncio.sleep(0.1)
        assert severity(supervisor) is Severity.DEGRADED
        assert "subject" in supervisor.verdict.reasons[0]


@pytest.mark.proves("C2.4")
@in_virtual_time
async def test_c2_4_a_requested_cancellation_is_no_error_and_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    async with supervised(well) as supervisor:
        await asyncio.sleep(15)
        assert await supervisor.stop_task("subject")
        assert subject(supervisor).condition is TaskCondition.STOPPED
        assert (subject(supervisor).failures, errors(caplog)) == (0, [])


@pytest.mark.proves("C2.4")
@in_virtual_time
async def test_c2_4_a_cancellation_that_nobody_requested_is_an_early_end(caplog: pytest.LogCaptureFixture) -> None:
    async def cancels_itself(_: Heartbeat) -> None:
        raise asyncio.CancelledError

    async with supervised(cancels_itself) as supervisor:
        await asyncio.sleep(0.1)
        assert "cancelled though nobody asked" in str(subject(supervisor).last_error)
        assert len(errors(caplog)) == 1


@pytest.mark.proves("C2.4")
@in_virtual_time
async def test_c2_4_an_exception_during_a_requested_stop_is_logged_and_not_restarted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks_when_cancelled(beat: Heartbeat) -> None:
        try:
            await well(beat)
        finally:
            raise ValueError("planted")

    async with supervised(breaks_when_cancelled) as supervisor:
        await asyncio.sleep(1)
        await supervisor.stop_task("subject")
        await asyncio.sleep(100)
        assert subject(supervisor).condition is TaskCondition.STOPPED
        assert len(errors(caplog)) == 1


@pytest.mark.proves("C2.5")
@in_virtual_time
async def test_c2_5_an_early_return_is_noticed_at_once() -> None:
    async def returns(_: Heartbeat) -> None:
        await asyncio.sleep(5)

    async with supervised(returns) as supervisor:
        await asyncio.sleep(5.001)
        assert subject(supervisor).condition is TaskCondition.BACKOFF
        assert "found that it returned" in str(subject(supervisor).last_error)


@pytest.mark.proves("C2.5")
@in_virtual_time
async def test_c2_5_the_monitor_notices_an_end_that_no_callback_told() -> None:
    async with supervised(failing(after_s=5)) as supervisor:
        keeper = supervisor._tasks["subject"]
        await asyncio.sleep(1)
        assert keeper._run is not None
        keeper._run.remove_done_callback(keeper._ended)
        await asyncio.sleep(28)
        assert subject(supervisor).failures == 0
        await asyncio.sleep(1.1)  # The monitor's round at 30 s.
        assert subject(supervisor).failures == 1


class FlawedMonitor(Supervisor):
    """A supervisor whose monitor meets its ``flaw`` on the second round."""

    def __init__(self, flaw: Callable[[], Awaitable[object]]) -> None:
        self._flaw = flaw
        super().__init__()

    async def _monitor(self, beat: Heartbeat) -> None:
        beat()
        await asyncio.sleep(30)
        await self._flaw()


@pytest.mark.proves("C2.6")
@in_virtual_time
async def test_c2_6_a_monitor_that_fails_is_restarted() -> None:
    async def fail() -> None:
        raise ValueError("planted")

    supervisor = FlawedMonitor(fail)
    supervisor.start()
    await asyncio.sleep(30.5)
    assert supervisor.states()[0].condition is TaskCondition.BACKOFF
    await asyncio.sleep(1)
    assert supervisor.states()[0].restarts == 1
    await supervisor.cancel_all(1)


@pytest.mark.proves("C2.6")
@in_virtual_time
async def test_c2_6_a_monitor_that_hangs_is_seen_without_any_monitor(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = FlawedMonitor(asyncio.Event().wait)
    supervisor.start()
    await asyncio.sleep(89)
    assert supervisor.states()[0].condition is TaskCondition.RUNNING
    await asyncio.sleep(2)
    assert supervisor.states()[0].condition is TaskCondition.STALLED
    assert [record.getMessage() for record in errors(caplog)] == [
        f"task {MONITOR} is stalled: no heartbeat for 90.0 s"
    ]
    await supervisor.cancel_all(1)


@in_virtual_time
async def test_every_change_is_told_to_observers() -> None:
    seen: list[str] = []
    supervisor = Supervisor()
    supervisor.add(TaskSpec("subject", failing(times=1), critical=False, heartbeat_interval_s=10))
    supervisor.on_change.subscribe(lambda state: seen.append(f"{state.condition}") if state.name == "subject" else None)
    supervisor.start()
    await asyncio.sleep(20)
    await supervisor.cancel_all(1)
    assert seen == ["running", "backoff", "recovering", "running", "stopped"]


@pytest.mark.proves("H3.5")
@in_virtual_time
async def test_h3_5_an_error_is_kept_with_its_secrets_masked() -> None:
    async with supervised(failing(fail=fail_with(ValueError("token secret\nrefused")))) as supervisor:
        await asyncio.sleep(0.1)
        assert subject(supervisor).last_error == "ValueError: token *** refused"


@in_virtual_time
async def test_a_task_added_later_starts_at_once() -> None:
    async with supervised(well) as supervisor:
        supervisor.add(TaskSpec("late", well, critical=False, heartbeat_interval_s=10))
        await asyncio.sleep(1)
        assert supervisor.states()[-1].heartbeats == 1


@in_virtual_time
async def test_cancel_all_names_what_ignores_cancellation_and_ends_in_time() -> None:
    async def deaf(_: Heartbeat) -> None:
        for _round in range(3):
            try:
                await asyncio.sleep(40)
            except asyncio.CancelledError:
                continue

    supervisor = Supervisor()
    supervisor.add(TaskSpec("deaf", deaf, critical=False, heartbeat_interval_s=10))
    supervisor.start()
    await asyncio.sleep(1)
    began = now()
    assert await supervisor.cancel_all(5) == ["deaf"]
    assert now() - began == pytest.approx(5)
    await asyncio.sleep(100)
    assert supervisor.left_behind() == ()


@in_virtual_time
async def test_a_run_is_cancelled_once_however_many_ask() -> None:
    """A second cancellation would interrupt the clean-up that the first one started."""
    cleaned = []

    async def cleans_up(beat: Heartbeat) -> None:
        try:
            await well(beat)
        finally:
            await asyncio.sleep(3)
            cleaned.append(now())

    async with supervised(cleans_up) as supervisor:
        await asyncio.sleep(1)
        first = asyncio.gather(supervisor.stop_task("subject"))
        await asyncio.sleep(1)  # The clean-up is under way.
        assert all([await supervisor.stop_task("subject"), *await first])
        assert len(cleaned) == 1


@in_virtual_time
async def test_nothing_starts_after_cancel_all() -> None:
    async with supervised(failing()) as supervisor:
        await asyncio.sleep(0.5)
    await asyncio.sleep(100)
    assert subject(supervisor).restarts == 0
    with pytest.raises(ServiceStoppingError):
        supervisor.reset("subject")
    with pytest.raises(ServiceStoppingError):
        supervisor.start()


@in_virtual_time
async def test_h2_4_nothing_is_left_after_cancel_all_not_even_a_timer() -> None:
    """A backoff, a hold and the watch are timers; a stop ends them too."""
    async with supervised(failing(after_s=2, times=1)) as supervisor:
        await asyncio.sleep(4)
        assert subject(supervisor).condition is TaskCondition.RECOVERING
    assert timers_left() == 0


@in_virtual_time
async def test_an_unknown_task_is_refused_with_the_names_there_are() -> None:
    async with supervised(well) as supervisor:
        with pytest.raises(TaskNotFoundError, match="task_monitor, subject, neighbour"):
            supervisor.reset("nobody")


@in_virtual_time
async def test_its_state_speaks() -> None:
    async with supervised(failing()) as supervisor:
        await asyncio.sleep(0.1)
        assert repr(supervisor) == "Supervisor(3 tasks: 1 backoff, 2 running; 0 left behind)"
