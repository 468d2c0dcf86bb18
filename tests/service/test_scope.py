"""Facts about closing what was opened, whatever goes wrong on the way (H2.3, H2.6, C1.5)."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from pywats_reliability.errors import CleanupError, ScopeClosedError, StepTimeoutError
from pywats_reliability.scope import Closer, ResourceScope
from pywats_reliability.supervisor import Supervisor
from tests.service.virtual_clock import in_virtual_time, now


def new_scope() -> ResourceScope:
    return ResourceScope("service", tasks=Supervisor())


def raises(error: Exception) -> Closer:
    def close() -> None:
        raise error

    return close


async def hangs() -> None:
    await asyncio.Event().wait()


async def failures_of_closing(scope: ResourceScope, limit_s: float | None = None) -> dict[str, Exception]:
    with pytest.raises(CleanupError) as caught:
        await scope.close(step_timeout_s=5, limit_s=limit_s)
    return dict(caught.value.failures)


@in_virtual_time
async def test_steps_close_in_reverse_order_plain_and_async_alike() -> None:
    closed: list[str] = []

    async def close_http() -> None:
        await asyncio.sleep(1)
        closed.append("http")

    scope = new_scope()
    scope.push("store", lambda: closed.append("store"))
    scope.push("http", close_http)
    scope.push("ipc", lambda: closed.append("ipc"))
    await scope.close()
    assert closed == ["ipc", "http", "store"]


@pytest.mark.parametrize("broken", range(4))
@in_virtual_time
async def test_h2_3_a_failing_step_keeps_no_other_from_running(broken: int) -> None:
    closed: list[int] = []
    scope = new_scope()
    for number in range(4):
        closer = raises(ValueError("planted")) if number == broken else partial(closed.append, number)
        scope.push(f"step {number}", closer)
    assert list(await failures_of_closing(scope)) == [f"step {broken}"]
    assert sorted([*closed, broken]) == [0, 1, 2, 3]


@in_virtual_time
async def test_h2_3_all_errors_are_reported_together_under_their_names() -> None:
    scope = new_scope()
    scope.push("store", raises(OSError(5, "planted")))
    scope.push("http", lambda: None)
    scope.push("ipc", raises(ValueError("planted")))
    with pytest.raises(CleanupError, match=r"found 2 failed: ipc \(ValueError\), store \(OSError\)") as caught:
        await scope.close()
    assert [type(error) for error in caught.value.exceptions] == [ValueError, OSError]


@in_virtual_time
async def test_h2_3_a_hanging_step_costs_its_own_time_only() -> None:
    closed: list[str] = []
    scope, began = new_scope(), now()
    scope.push("store", lambda: closed.append("store"))
    scope.push("http", hangs)
    assert isinstance((await failures_of_closing(scope))["http"], StepTimeoutError)
    assert closed == ["store"]
    assert now() - began == pytest.approx(4.5)


@pytest.mark.proves("C1.5")
@in_virtual_time
async def test_c1_5_all_steps_hang_and_the_whole_still_ends_in_time_with_a_share_for_each() -> None:
    scope, began = new_scope(), now()
    for number in range(10):
        scope.push(f"step {number}", hangs)
    assert len(await failures_of_closing(scope, limit_s=10)) == 10
    assert now() - began <= 10


@pytest.mark.proves("C1.5")
@in_virtual_time
async def test_c1_5_a_share_is_kept_for_the_last_step_however_many_hang_before_it() -> None:
    scope = new_scope()
    scope.push("lock", lambda: asyncio.sleep(0.5))
    for number in range(9):
        scope.push(f"step {number}", hangs)
    assert "lock" not in await failures_of_closing(scope, limit_s=10)


@in_virtual_time
async def test_c2_1_a_step_cannot_end_the_process() -> None:
    def leave() -> None:
        raise SystemExit(3)

    scope = new_scope()
    scope.push("ipc", leave)
    assert "SystemExit" in str((await failures_of_closing(scope))["ipc"])


@in_virtual_time
async def test_c1_8_concurrent_and_later_calls_share_one_closing() -> None:
    closed: list[str] = []

    async def close_slowly() -> None:
        await asyncio.sleep(2)
        closed.append("ipc")

    scope = new_scope()
    scope.push("ipc", close_slowly)
    await asyncio.gather(scope.close(), scope.close())
    await scope.close()
    assert closed == ["ipc"]


@in_virtual_time
async def test_c1_8_every_caller_hears_of_the_errors() -> None:
    scope = new_scope()
    scope.push("ipc", raises(ValueError("planted")))
    results = await asyncio.gather(scope.close(), scope.close(), return_exceptions=True)
    assert [type(result) for result in results] == [CleanupError, CleanupError]


@in_virtual_time
async def test_a_cancelled_caller_does_not_stop_the_closing() -> None:
    closed = asyncio.Event()

    async def close_slowly() -> None:
        await asyncio.sleep(2)
        closed.set()

    scope = new_scope()
    scope.push("ipc", close_slowly)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await scope.close()
    async with asyncio.timeout(10):
        await closed.wait()
    await scope.close()


@in_virtual_time
async def test_a_closing_that_is_cancelled_itself_still_runs_the_other_steps() -> None:
    closed: list[str] = []
    scope = new_scope()
    scope.push("store", lambda: closed.append("store"))
    scope.push("http", hangs)
    closing = asyncio.gather(scope.close(), return_exceptions=True)
    await asyncio.sleep(1)
    assert scope._closing is not None
    scope._closing.cancel()
    (error,) = await closing
    assert isinstance(error, CleanupError)
    assert closed == ["store"]


@in_virtual_time
async def test_what_is_pushed_while_it_closes_is_closed_too() -> None:
    closed: list[str] = []
    scope = new_scope()
    scope.push("http", lambda: scope.push("late", lambda: closed.append("late")))
    await scope.close()
    assert closed == ["late"]


@in_virtual_time
async def test_what_is_pushed_too_late_is_refused() -> None:
    scope = new_scope()
    await scope.close()
    with pytest.raises(ScopeClosedError, match="expected to own ipc"):
        scope.push("ipc", lambda: None)


@in_virtual_time
async def test_an_entered_manager_is_left_when_the_scope_closes() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def manager() -> AsyncIterator[str]:
        yield "value"
        seen.append("left")

    scope = new_scope()
    assert await scope.enter("manager", manager()) == "value"
    await scope.close()
    assert seen == ["left"]


@in_virtual_time
async def test_a_manager_entered_while_the_scope_closed_is_left_at_once() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        await asyncio.sleep(5)
        yield
        seen.append("left")

    scope = new_scope()
    entering = asyncio.gather(scope.enter("slow", slow()), return_exceptions=True)
    await asyncio.sleep(1)
    await scope.close()
    (error,) = await entering
    assert isinstance(error, ScopeClosedError)
    assert seen == ["left"]


def test_h2_6_a_scope_dropped_open_says_what_it_owned_and_where_it_was_made() -> None:
    scope = new_scope()
    scope.push("store", lambda: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del scope
        gc.collect()
    (warning,) = [str(each.message) for each in caught if each.category is ResourceWarning]
    assert "still owns store" in warning
    assert f"{__file__}:" in warning


def test_an_empty_scope_may_be_dropped() -> None:
    new_scope()
    gc.collect()


@in_virtual_time
async def test_its_state_speaks() -> None:
    scope = new_scope()
    scope.push("store", lambda: None)
    assert repr(scope) == "ResourceScope(service, open, 1 steps)"
    await scope.close()
    assert repr(scope) == "ResourceScope(service, closed, 0 steps)"
