"""Facts about one-shot work with a hard deadline (C1.4, C2.10)."""

from __future__ import annotations

import asyncio

import pytest

from pywats_reliability.errors import StepTimeoutError, TaskEndedError
from pywats_reliability.supervisor import Supervisor
from tests.service.virtual_clock import in_virtual_time, now


async def give(value: str, after_s: float) -> str:
    await asyncio.sleep(after_s)
    return value


async def deaf(until: asyncio.Event, *, then: Exception | None = None) -> None:
    """Work on whatever happens, until the event is set."""
    while not until.is_set():
        try:
            await until.wait()
        except asyncio.CancelledError:
            continue
    if then is not None:
        raise then


@in_virtual_time
async def test_work_within_its_limit_gives_its_result() -> None:
    assert await Supervisor().within("work", give("result", 8.9), limit_s=10) == "result"


@in_virtual_time
async def test_what_work_raises_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        await Supervisor().within("work", fail(), limit_s=10)


@in_virtual_time
async def test_work_over_its_limit_is_cancelled_within_it() -> None:
    began = now()
    with pytest.raises(StepTimeoutError, match=r"work: expected it to end within 10 s.*it was cancelled"):
        await Supervisor().within("work", give("late", 100), limit_s=10)
    assert now() - began == pytest.approx(9)


@pytest.mark.proves("C1.4")
@in_virtual_time
async def test_c1_4_work_that_ignores_cancellation_is_left_behind_and_named_at_the_limit() -> None:
    supervisor, released, began = Supervisor(), asyncio.Event(), now()
    with pytest.raises(StepTimeoutError, match="deaf to its cancellation"):
        await supervisor.within("deaf work", deaf(released), limit_s=10)
    assert now() - began == pytest.approx(10)
    assert supervisor.left_behind() == ("deaf work",)
    released.set()
    await asyncio.sleep(1)
    assert supervisor.left_behind() == ()


@pytest.mark.proves("C2.10")
@in_virtual_time
async def test_c2_10_what_left_behind_work_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    supervisor, released = Supervisor(), asyncio.Event()
    with pytest.raises(StepTimeoutError):
        await supervisor.within("deaf work", deaf(released, then=ValueError("planted")), limit_s=10)
    released.set()
    await asyncio.sleep(1)
    (record,) = caplog.records
    assert record.getMessage() == "deaf work failed after it had been cancelled"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


@in_virtual_time
async def test_cancelling_the_caller_cancels_the_work() -> None:
    supervisor = Supervisor()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await supervisor.within("work", work(), limit_s=10)
    assert ended.is_set()


@pytest.mark.proves("C2.10")
@in_virtual_time
async def test_c2_10_work_cancelled_before_its_first_step_leaves_no_unawaited_coroutine() -> None:
    task = Supervisor().spawn("work", give("never", 1))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@in_virtual_time
async def test_c2_1_work_cannot_end_the_process() -> None:
    async def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(TaskEndedError, match="SystemExit"):
        await Supervisor().within("work", leave(), limit_s=10)


@in_virtual_time
async def test_work_that_cancels_itself_does_not_look_like_a_cancelled_caller() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(TaskEndedError, match="cancelled though nobody asked"):
        await Supervisor().within("work", give_up(), limit_s=10)
