"""Facts about the three phases, at full-length windows in virtual time (C1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_reliability.errors import CleanupError, SettingValueError
from pywats_reliability.shutdown import (
    EXIT_CLEAN,
    EXIT_FAILED,
    EXIT_FORCED,
    ForcedShutdowns,
    Outcome,
    Shutdown,
    ShutdownLimits,
    ShutdownPhase,
    ShutdownProgress,
    ShutdownReport,
)
from pywats_reliability.supervisor import Supervisor
from tests.service.virtual_clock import in_virtual_time, now, timers_left


class Service:
    """A service with uploads that end at given times, some of them deaf to cancellation; each step can be broken."""

    def __init__(self, ends_at: Sequence[float] = (), *, deaf: Sequence[str] = (), pending: int = 0) -> None:
        self.tasks = Supervisor()
        self.began_at = now()
        self.deaf, self.pending_count = tuple(deaf), pending
        self.calls: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.hangs: set[str] = set()
        self.released = asyncio.Event()
        self._idle = asyncio.Event()
        self._running = {f"upload {number}" for number in range(len(ends_at))}
        for name, ends in zip(sorted(self._running), ends_at, strict=True):
            asyncio.get_running_loop().call_later(ends, self._end, name)
        self._end("nothing")

    def _end(self, name: str) -> None:
        self._running.discard(name)
        if not self._running:
            self._idle.set()

    def release(self) -> None:
        """Let every step end that hangs."""
        self.released.set()
        self._idle.set()

    async def _step(self, name: str) -> None:
        self._called(name)
        while name in self.hangs and not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise self.broken[name]

    def stop_intake(self) -> None:
        self._called("stop_intake")

    def in_flight(self) -> Sequence[str]:
        return sorted(self._running)

    async def wait_idle(self) -> None:
        await self._step("wait_idle")
        await self._idle.wait()

    async def cancel_work(self, limit_s: float) -> Sequence[str]:
        await self._step("cancel_work")
        if self.deaf:
            await asyncio.sleep(limit_s)
        self._running.intersection_update(self.deaf)
        return self.in_flight()

    def pending(self) -> int:
        self._called("pending")
        return self.pending_count

    async def close(self, limit_s: float) -> None:
        assert limit_s > 0
        await self._step("close")

    def left_behind(self) -> Sequence[str]:
        return self.tasks.left_behind()

    def shutdown(self, limits: ShutdownLimits | None = None) -> Shutdown:
        return Shutdown(limits or ShutdownLimits(), self, tasks=self.tasks)


def later(seconds: float, call: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_later(seconds, call)


@pytest.mark.proves("C1.1")
@in_virtual_time
async def test_c1_1_intake_has_ended_before_the_stop_first_waits() -> None:
    service = Service([5])
    stop = asyncio.gather(service.shutdown().run())
    await asyncio.sleep(0)
    assert service.calls[0] == "stop_intake"
    await stop


@pytest.mark.proves("C1.2")
@pytest.mark.parametrize("ends_at", [[], [1.0], [59.9], [0.5, 30.0, 59.9]])
@in_virtual_time
async def test_c1_2_the_stop_ends_the_instant_the_last_upload_ends(ends_at: list[float]) -> None:
    report = await Service(ends_at).shutdown().run()
    assert report.outcome is Outcome.CLEAN
    assert report.duration_s == pytest.approx(max(ends_at, default=0.0))


@pytest.mark.proves("C1.3")
@in_virtual_time
async def test_c1_3_what_outlives_the_window_is_cancelled_at_its_end() -> None:
    report = await Service([30, 1000], pending=1).shutdown().run()
    assert (report.outcome, report.exit_code) == (Outcome.FORCED, EXIT_FORCED)
    assert report.duration_s == pytest.approx(60)
    assert report.left_behind == ()


@pytest.mark.proves("C1.4")
@in_virtual_time
async def test_c1_4_work_that_ignores_its_cancellation_is_named_and_does_not_hold_the_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    report = await Service([1000, 1000], deaf=["upload 1"]).shutdown().run()
    assert report.left_behind == ("upload 1",)
    assert report.duration_s <= 120
    assert "left behind: upload 1" in caplog.text


@pytest.mark.proves("C1.4")
@pytest.mark.parametrize("hanging", [{"wait_idle"}, {"cancel_work"}, {"close"}, {"wait_idle", "cancel_work", "close"}])
@pytest.mark.parametrize("limits", [(60, 120), (120, 120), (0, 120), (0.5, 1)])
@in_virtual_time
async def test_c1_4_steps_that_hang_and_ignore_cancellation_do_not_hold_the_stop(
    hanging: set[str], limits: tuple[float, float]
) -> None:
    service = Service([10**6])
    service.hangs = hanging
    report = await service.shutdown(ShutdownLimits(*limits)).run()
    assert report.duration_s <= limits[1] + 1e-6
    assert service.calls[-2:] == ["pending", "close"]
    service.release()
    await asyncio.sleep(1)


@pytest.mark.proves("C1.5")
@in_virtual_time
async def test_c1_5_it_says_how_many_reports_are_still_pending(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    report = await Service(pending=7).shutdown().run()
    assert report.pending == 7
    assert "7 reports still pending, will be retried at the next start" in caplog.text


@pytest.mark.proves("C1.5")
@pytest.mark.parametrize("broken", ["stop_intake", "wait_idle", "cancel_work", "pending", "close"])
@in_virtual_time
async def test_c1_5_an_error_in_any_step_is_reported_and_every_other_step_runs(broken: str) -> None:
    service = Service([1000])
    service.broken[broken] = ValueError("planted")
    report = await service.shutdown().run()
    assert service.calls == ["stop_intake", "wait_idle", "cancel_work", "pending", "close"]
    assert (report.outcome, report.exit_code) == (Outcome.FAILED, EXIT_FAILED)
    assert any("ValueError: planted" in text for text in report.errors)


@pytest.mark.proves("C1.5")
@in_virtual_time
async def test_c1_5_each_component_that_fails_to_close_is_named() -> None:
    service = Service()
    service.broken["close"] = CleanupError("service", [("ipc", ValueError("one")), ("http", OSError("two"))])
    report = await service.shutdown().run()
    assert report.errors == ("ipc: ValueError: one", "http: OSError: two")


@pytest.mark.proves("C1.7")
@in_virtual_time
async def test_c1_7_a_second_request_goes_straight_to_the_forced_phase() -> None:
    service = Service([1000])
    shutdown = service.shutdown()
    for seconds in (5, 5, 6, 7):
        later(seconds, shutdown.escalate)
    report = await shutdown.run()
    assert report.outcome is Outcome.FORCED
    assert report.duration_s == pytest.approx(5)


@pytest.mark.proves("C1.7")
@in_virtual_time
async def test_c1_7_a_second_request_at_the_very_end_of_the_window_does_no_harm() -> None:
    service = Service([1000])
    shutdown = service.shutdown()
    began = now()
    later(60 + 5e-10, shutdown.escalate)  # In the same round of the loop, right after the window has expired.
    report = await shutdown.run()
    assert report.outcome is Outcome.FORCED
    assert now() - began == pytest.approx(60)


@pytest.mark.proves("C1.7")
@in_virtual_time
async def test_c1_7_a_second_request_before_the_first_was_acted_on_counts() -> None:
    service = Service([1000])
    shutdown = service.shutdown()
    shutdown.escalate()
    assert (await shutdown.run()).duration_s == pytest.approx(0)


@pytest.mark.proves("C1.7")
@in_virtual_time
async def test_c1_7_an_impatient_stop_with_nothing_in_flight_is_clean() -> None:
    shutdown = Service().shutdown()
    shutdown.escalate()
    assert (await shutdown.run()).exit_code == EXIT_CLEAN


@pytest.mark.proves("C1.8")
@in_virtual_time
async def test_c1_8_concurrent_and_later_calls_share_one_shutdown() -> None:
    service = Service([5])
    shutdown = service.shutdown()
    first, second = await asyncio.gather(shutdown.run(), shutdown.run())
    assert first is second is await shutdown.run()
    assert service.calls.count("close") == 1


@pytest.mark.proves("C1.8")
@in_virtual_time
async def test_c1_8_a_cancelled_caller_does_not_stop_the_shutdown() -> None:
    shutdown = Service([5]).shutdown()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await shutdown.run()
    assert (await shutdown.run()).duration_s == pytest.approx(5)


@pytest.mark.proves("C1.8")
@in_virtual_time
async def test_c1_8_a_shutdown_that_is_cancelled_itself_hurries_and_still_closes() -> None:
    """A loop that is torn down cancels every task, this one too."""
    service = Service([1000])
    shutdown = service.shutdown()
    running = asyncio.gather(shutdown.run())
    await asyncio.sleep(1)
    assert shutdown._task is not None
    shutdown._task.cancel()
    (report,) = await running
    assert service.calls[-2:] == ["pending", "close"]
    assert report.outcome is Outcome.FORCED
    assert report.duration_s == pytest.approx(1)


@pytest.mark.proves("C1.12")
@in_virtual_time
async def test_c1_12_progress_tells_phase_in_flight_and_seconds_left_at_every_poll_and_change() -> None:
    seen: list[tuple[float, ShutdownProgress]] = []
    service = Service([2.5, 1000])
    shutdown = service.shutdown(ShutdownLimits(graceful_s=4, force_s=120, poll_s=1))
    began = now()
    shutdown.on_progress.subscribe(lambda progress: seen.append((round(now() - began, 3), progress)))
    later(2.6, shutdown.note_change)
    await shutdown.run()
    told = [(when, str(each.phase), each.in_flight, round(each.seconds_left, 3)) for when, each in seen]
    assert told == [
        (0, "graceful", 2, 4),
        (1, "graceful", 2, 3),
        (2, "graceful", 2, 2),
        (2.6, "graceful", 1, 1.4),
        (3, "graceful", 1, 1),
        (4, "graceful", 1, 0),
        (4, "forced", 1, 106),
        (4, "verify", 0, 116),
        (4, "done", 0, 0),
    ]


@pytest.mark.proves("C1.12")
@in_virtual_time
async def test_c1_12_the_report_has_the_duration_of_each_phase() -> None:
    report = await Service([1000]).shutdown(ShutdownLimits(graceful_s=4)).run()
    assert [(phase, round(seconds, 3)) for phase, seconds in report.phases_s] == [
        (ShutdownPhase.GRACEFUL, 4),
        (ShutdownPhase.FORCED, 0),
        (ShutdownPhase.VERIFY, 0),
    ]


@in_virtual_time
async def test_h2_4_a_shutdown_leaves_no_timer() -> None:
    await Service([5]).shutdown().run()
    assert timers_left() == 0


@in_virtual_time
async def test_its_state_speaks() -> None:
    shutdown = Service().shutdown()
    assert repr(shutdown) == "Shutdown(not requested, 0 errors)"
    assert (shutdown.progress.phase, shutdown.is_requested) == (ShutdownPhase.NOT_REQUESTED, False)


@pytest.mark.proves("C1.12")
@given(st.floats(min_value=0.01, max_value=10_000), st.floats(min_value=0, max_value=1))
def test_c1_12_every_window_leaves_time_to_cancel_and_to_close(force_s: float, share: float) -> None:
    limits = ShutdownLimits(graceful_s=force_s * share, force_s=force_s)
    assert 0 <= limits.graceful_until_s < limits.forced_until_s < limits.force_s
    assert limits.graceful_until_s <= limits.graceful_s


@pytest.mark.proves("C1.12")
def test_c1_12_the_default_windows_give_the_whole_graceful_minute() -> None:
    assert (ShutdownLimits().graceful_until_s, ShutdownLimits().forced_until_s) == (60, 110)


@pytest.mark.parametrize("windows", [(61, 60, 1), (-1, 60, 1), (0, 0, 1), (1, 2, 0), (float("nan"), 60, 1)])
def test_h4_4_windows_that_contradict_each_other_are_refused(windows: tuple[float, float, float]) -> None:
    with pytest.raises(SettingValueError):
        ShutdownLimits(*windows)


def report_of(*, forced: bool) -> ShutdownReport:
    outcome = Outcome.FORCED if forced else Outcome.CLEAN
    return ShutdownReport(outcome, forced, duration_s=1, phases_s=(), pending=0)


def after(*forced: bool) -> ForcedShutdowns:
    memory = ForcedShutdowns()
    for each in forced:
        memory = ForcedShutdowns.from_bytes(memory.after(report_of(forced=each)).to_bytes())
    return memory


@pytest.mark.proves("C1.12")
def test_c1_12_three_forced_shutdowns_in_a_row_are_told() -> None:
    assert "found the last 3 forced" in str(after(True, True, True).sentence)


@pytest.mark.proves("C1.12")
@pytest.mark.parametrize("history", [(), (True, True), (True, True, False, True, True), (True, True, True, False)])
def test_c1_12_fewer_in_a_row_are_not(history: tuple[bool, ...]) -> None:
    assert after(*history).sentence is None


@pytest.mark.proves("C1.12")
@pytest.mark.parametrize(
    "garbage",
    [b"", b"\xff", b"{}", b"[]", b"3", b"null", b"[" * 100_000, b'{"forced_shutdowns_in_a_row": true}']
    + [b'{"forced_shutdowns_in_a_row": %s}' % value for value in (b"-1", b"1e99", b"[]", b"99999999999", b'"3"')],
)
def test_c1_12_a_damaged_memory_counts_as_none(garbage: bytes) -> None:
    assert ForcedShutdowns.from_bytes(garbage) == ForcedShutdowns(0)
