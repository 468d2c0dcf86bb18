"""The orders of the scheduler: all that asyncio may produce, and none that it may not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from chaos.errors import UsageError
from chaos.seed import Seed
from chaos.sim import SimKernel, SimulationFailedError, simulate
from chaos.sim.policies import POLICIES
from chaos.sim.scheduler import Step


async def a_step_comes_after_the_callbacks_before_it() -> None:
    """The first done-callback of a future runs before the task that awaits it goes on, as in any asyncio loop."""
    done: list[object] = []

    async def waiter(future: asyncio.Future[None]) -> None:
        await future
        assert done == [future]
        done.clear()

    for _ in range(10):
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(done.append)
        async with asyncio.TaskGroup() as group:
            group.create_task(waiter(future))
            group.create_task(asyncio.sleep(0))
            await asyncio.sleep(0.001)
            future.set_result(None)


@pytest.mark.parametrize("policy", POLICIES)
def test_no_step_overtakes_a_callback_that_was_asked_for_before_it(policy: str) -> None:
    simulate(a_step_comes_after_the_callbacks_before_it, seeds=30, policy=policy)


async def callbacks_keep_their_order() -> list[int]:
    seen: list[int] = []
    for number in range(20):
        asyncio.get_running_loop().call_soon(seen.append, number)
    await asyncio.sleep(1)
    return seen


@pytest.mark.parametrize("policy", POLICIES)
def test_callbacks_keep_their_order(policy: str) -> None:
    assert all(ran.result == list(range(20)) for ran in simulate(callbacks_keep_their_order, seeds=10, policy=policy))


async def who_comes_first() -> list[str]:
    order: list[str] = []

    async def come(name: str) -> None:
        await asyncio.sleep(1)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(come(name))
    return order


def orders(policy: str, seeds: int) -> set[str]:
    return {"".join(ran.result) for ran in simulate(who_comes_first, seeds=seeds, policy=policy)}


def test_fifo_is_the_order_of_asyncio() -> None:
    assert orders("fifo", 10) == {"abc"}


@pytest.mark.parametrize("policy", ["shuffle", "pct"])
def test_tasks_that_wake_together_come_in_every_order(policy: str) -> None:
    assert orders(policy, 200) == {"abc", "acb", "bac", "bca", "cab", "cba"}


async def lost_update() -> None:
    """Two withdrawals look before either takes: a race that needs one particular order."""
    balance = 100

    async def withdraw(amount: int) -> None:
        nonlocal balance
        if balance >= amount:
            await asyncio.sleep(0)
            balance -= amount

    async with asyncio.TaskGroup() as group:
        group.create_task(withdraw(80))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        group.create_task(withdraw(80))
    assert balance >= 0, balance


def test_a_race_that_fifo_never_shows_is_found_by_the_portfolio() -> None:
    simulate(lost_update, seeds=20, policy="fifo")
    with pytest.raises(SimulationFailedError, match="replay with: simulate") as caught:
        simulate(lost_update, seeds=200)
    with pytest.raises(SimulationFailedError):
        simulate(lost_update, seed=caught.value.seed, policy=caught.value.policy)


def test_a_policy_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match="portfolio"):
        simulate(lost_update, policy="random")


def steps_of(act: Callable[[Step], object], number: int) -> SimKernel:
    async def main() -> str:
        try:
            await asyncio.sleep(1)
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            return "cancelled"
        return "whole"

    kernel = SimKernel(Seed(1), policy="fifo")
    with kernel:
        kernel.start("main", main)
        kernel.at_step(number, act)
        kernel.run()
    return kernel


def test_every_step_can_be_cancelled_in_turn() -> None:
    """A sweep: the same run once for each of its steps, with a cancellation there."""
    results: list[Any] = []
    for number in range(1, steps_of(lambda _: None, 1).step + 1):
        kernel = steps_of(lambda step: step.task.cancel() if step.task else None, number)
        results.append(kernel.processes[0].result)
    assert "cancelled" in results
    assert "whole" in results


def test_a_process_killed_at_a_step_does_not_take_it() -> None:
    kernel = steps_of(lambda step: step.process.kill() if step.process else None, 3)
    assert (kernel.processes[0].exit_code, kernel.step) == (-9, 3)


async def an_accept_that_ends_as_somebody_comes() -> int:
    """A timer and a connection at one instant: the future that the timer cancels is never given the connection."""
    loop, accepted = asyncio.get_running_loop(), 0
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("/sim/socket")
        listening.listen()
        listening.setblocking(False)

        async def comes() -> None:
            for _ in range(20):
                await asyncio.sleep(10)
                _, writer = await asyncio.open_unix_connection("/sim/socket")
                writer.close()

        async with asyncio.TaskGroup() as group:
            coming = group.create_task(comes())
            while not coming.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(10):
                        (await loop.sock_accept(listening))[0].close()
                        accepted += 1
    return accepted


@pytest.mark.parametrize("policy", POLICIES)
def test_no_socket_is_served_between_a_timer_and_what_the_timer_asks_for(policy: str) -> None:
    counts = {ran.result for ran in simulate(an_accept_that_ends_as_somebody_comes, seeds=20, policy=policy)}
    assert max(counts) >= 10
