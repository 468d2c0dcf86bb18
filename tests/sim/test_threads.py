"""Threads of a simulated process: the standard library's own, interleaved by the seed, in virtual time."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Lock as LockByName
from typing import Any

import pytest

from chaos.sim import DeadlockError, SimulationFailedError, simulate


def result_of(main: Any, **more: Any) -> Any:
    return simulate(main, **more)[0].result


def test_jobs_of_a_pool_interleave_and_every_order_is_a_seed() -> None:
    async def main() -> str:
        order: list[str] = []

        def job(name: str) -> None:
            for _ in range(3):
                time.sleep(0.001)
                order.append(name)

        await asyncio.gather(*(asyncio.to_thread(job, name) for name in "ab"))
        return "".join(order)

    runs = [run.result for run in simulate(main, seeds=60, policy="shuffle")]
    assert len(set(runs)) > 4
    assert runs == [run.result for run in simulate(main, seeds=60, policy="shuffle")]


def test_a_thread_loses_its_turn_now_and_then_before_a_lock_but_mostly_goes_on() -> None:
    def main() -> int:
        turns: list[str] = []

        def job(name: str) -> None:
            lock = threading.Lock()
            for _ in range(200):
                with lock:
                    turns.append(name)

        threads = [threading.Thread(target=job, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(before != after for before, after in pairwise(turns))

    switches = [run.result for run in simulate(main, seeds=20, policy="fifo")]
    assert min(switches) > 20
    assert max(switches) < 100


LOCK_OF_THE_MODULE = threading.Lock()
LOCKS: dict[str, Callable[[], Any]] = {
    "Lock": lambda: threading.Lock(),  # noqa: PLW0108 - looked up when it is called
    "RLock": lambda: threading.RLock(),  # noqa: PLW0108 - as above
    "Semaphore": lambda: threading.Semaphore(1),
    "imported by name": lambda: LockByName(),  # noqa: PLW0108 - as above
    "made at import": lambda: LOCK_OF_THE_MODULE,
}


@pytest.mark.parametrize("kind", LOCKS)
def test_a_lock_held_while_its_holder_waits_keeps_the_others_out(kind: str) -> None:
    async def main() -> list[str]:
        log: list[str] = []
        lock: Any = LOCKS[kind]()

        def job(name: str) -> None:
            with lock:
                log.append(f"{name} in")
                time.sleep(1)
                log.append(f"{name} out")

        with ThreadPoolExecutor(3) as pool:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(pool, job, name) for name in "abc"))
        return log

    for run in simulate(main, seeds=10):
        assert [line.split()[1] for line in run.result] == ["in", "out"] * 3
        assert run.virtual_s == 3


def test_events_conditions_queues_and_timers_work() -> None:
    def main() -> list[Any]:
        seen: list[Any] = []
        belt: queue.Queue[int] = queue.Queue(maxsize=1)
        ended, condition = threading.Event(), threading.Condition()

        def take() -> None:
            seen.extend(belt.get() for _ in range(3))
            with condition:
                condition.notify()

        threading.Thread(target=take).start()
        threading.Timer(5, ended.set).start()
        for number in range(3):
            belt.put(number)
        with condition:
            seen.append(condition.wait_for(lambda: len(seen) >= 3, timeout=1))
        seen += [ended.wait(2), ended.wait(100), time.monotonic()]
        return seen

    assert result_of(main, policy="fifo") == [0, 1, 2, True, False, True, 5.0]


def test_a_thread_may_wait_for_a_coroutine() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()

        def job() -> int:
            return asyncio.run_coroutine_threadsafe(asyncio.sleep(1, 42), loop).result()

        return await asyncio.to_thread(job)

    assert result_of(main) == 42


def test_a_loop_that_waits_for_its_own_coroutine_is_a_deadlock_that_names_the_place() -> None:
    async def main() -> int:
        return asyncio.run_coroutine_threadsafe(asyncio.sleep(1, 42), asyncio.get_running_loop()).result()

    with pytest.raises(
        SimulationFailedError, match=r"thread loop waits for lock in .*main \(test_threads.py"
    ) as caught:
        simulate(main)
    assert isinstance(caught.value.error, DeadlockError)


def test_two_locks_in_two_orders_are_a_deadlock_that_some_seed_finds() -> None:
    async def main() -> None:
        one, two = threading.Lock(), threading.Lock()

        def job(first: threading.Lock, second: threading.Lock) -> None:
            with first, second:
                pass

        await asyncio.gather(asyncio.to_thread(job, one, two), asyncio.to_thread(job, two, one))

    with pytest.raises(SimulationFailedError, match="deadlock") as caught:
        simulate(main, seeds=200)
    assert str(caught.value).count("waits for lock in test_two_locks") == 2


def test_each_thread_has_its_own_locals_and_identity() -> None:
    async def main() -> set[Any]:
        local = threading.local()
        seen: set[Any] = set()

        def job(number: int) -> None:
            local.number = number
            time.sleep(0.1)
            seen.add((threading.current_thread().name, local.number, threading.get_ident() != main_ident))

        main_ident = threading.get_ident()
        assert threading.current_thread() is threading.main_thread()
        await asyncio.gather(*(asyncio.to_thread(job, number) for number in range(2)))
        return seen

    assert result_of(main, policy="fifo") == {("asyncio_0", 0, True), ("asyncio_1", 1, True)}


def test_outside_of_the_simulation_threads_are_real_again() -> None:
    simulate(lambda: None)
    assert type(threading.Lock()).__module__ == "_thread"
    assert threading.main_thread() in threading.enumerate()


def test_an_error_in_a_thread_counts_against_the_program() -> None:
    def main() -> None:
        threading.Thread(target=int, args=("no number",)).start()

    with pytest.raises(SimulationFailedError, match="no number"):
        simulate(main)


def test_a_pool_that_nobody_shut_down_does_not_hold_up_the_end_of_its_process() -> None:
    kept: list[ThreadPoolExecutor] = []

    def main() -> str:
        kept.append(ThreadPoolExecutor(2))
        done: list[str] = []
        kept[0].submit(time.sleep, 3.0)
        kept[0].submit(done.append, "worked")
        return "left"

    run = simulate(main)[0]
    assert (run.result, run.virtual_s) == ("left", 3.0)
