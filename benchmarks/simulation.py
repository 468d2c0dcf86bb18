"""How fast the simulated loop is, beside stock asyncio and the simulated loops of others; all in one run.

* ``ring``: 100 tasks linked by queues, one token going round: the price of a task switch.
* ``timers``: 100 tasks that each wait 200 times: the price of passing time.
* ``schedules``: the whole service under ``C1.6/all_at_once``, up to twelve reports and six faults: the price of a run.

``python benchmarks/simulation.py`` prints CPU time, which other load on the machine disturbs least. The opponents are
installed from the package index into a temporary environment; one that cannot be had is named and left out.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

TASKS, ROUNDS, WAITS, REPEATS = 100, 200, 200, 7
SCHEDULES, SCENARIO = 30, "C1.6/all_at_once"
OPPONENTS = ("looptime==0.9", "trio==0.35.0", "simloop==0.2.2", "simloom==0.5.0")
Program = Callable[[], Awaitable[int]]


async def ring() -> int:
    """Send a token round a ring of tasks."""
    queues: list[asyncio.Queue[int]] = [asyncio.Queue() for _ in range(TASKS)]

    async def pass_on(number: int) -> None:
        for _ in range(ROUNDS):
            queues[(number + 1) % TASKS].put_nowait(await queues[number].get())

    queues[0].put_nowait(0)
    await asyncio.gather(*(pass_on(number) for number in range(TASKS)))
    return TASKS * ROUNDS


async def timers() -> int:
    """Wait, in many tasks, many times."""

    async def wait(number: int) -> None:
        for turn in range(WAITS):
            await asyncio.sleep(0.01 * ((number * 7 + turn) % 13 + 1))

    await asyncio.gather(*(wait(number) for number in range(TASKS)))
    return TASKS * WAITS


def on_stock(program: Program) -> int:
    with asyncio.Runner() as runner:
        return runner.run(program())


def on_chaos(policy: str) -> Callable[[Program], int]:
    def run(program: Program) -> int:
        from chaos.sim.simulate import Setting, run_seed

        return int(run_seed(program, 1, Setting(policy=policy, steps_max=10**9, limit_s=10**7)).result)

    return run


def on_looptime(program: Program) -> int:
    looptime = importlib.import_module("looptime")
    loop = looptime.make_event_loop_class(asyncio.SelectorEventLoop)()
    loop.setup_looptime(start=0)
    try:
        return loop.run_until_complete(program())
    finally:
        loop.close()


def on_trio(_: Program) -> int:
    trio: Any = importlib.import_module("trio")
    testing: Any = importlib.import_module("trio.testing")

    async def wait(number: int) -> None:
        for turn in range(WAITS):
            await trio.sleep(0.01 * ((number * 7 + turn) % 13 + 1))

    async def main() -> int:
        async with trio.open_nursery() as nursery:
            for number in range(TASKS):
                nursery.start_soon(wait, number)
        return TASKS * WAITS

    return trio.run(main, clock=testing.MockClock(autojump_threshold=0))


def on_simloop(program: Program) -> int:
    simloop: Any = importlib.import_module("simloop")
    return simloop.run(program, seed=1)


def on_simloom(program: Program) -> int:
    simloom: Any = importlib.import_module("simloom")
    return simloom.run(program, seed=1)


RUNS: dict[str, tuple[Callable[[Program], int], tuple[str, ...]]] = {
    "asyncio": (on_stock, ("ring",)),
    "chaos.sim fifo": (on_chaos("fifo"), ("ring", "timers")),
    "chaos.sim shuffle": (on_chaos("shuffle"), ("ring", "timers")),
    "chaos.sim pct": (on_chaos("pct"), ("ring", "timers")),
    "looptime": (on_looptime, ("ring", "timers")),
    "trio": (on_trio, ("timers",)),
    "simloop": (on_simloop, ("ring", "timers")),
    "simloom": (on_simloom, ("ring", "timers")),
}
PROGRAMS: dict[str, Program] = {"ring": ring, "timers": timers}


def measured(name: str, program: str) -> float:
    """Return the best of a few runs, in operations a second of CPU time."""
    best = 0.0
    for _ in range(REPEATS):
        gc.collect()
        began = time.process_time()
        count = RUNS[name][0](PROGRAMS[program])
        best = max(best, count / (time.process_time() - began))
    return best


def schedules() -> float:
    """Return the best of a few rates, in whole runs of the service a second of CPU time."""
    from chaos.explore.worker import play_trial
    from chaos.trial import Trial

    play_trial(Trial(SCENARIO, 0))  # What is loaded once.
    best = 0.0
    for _ in range(3):
        began = time.process_time()
        for seed in range(1, SCHEDULES + 1):
            play_trial(Trial(SCENARIO, seed))
        best = max(best, SCHEDULES / (time.process_time() - began))
    return best


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True, system_site_packages=True)
        python = str(Path(folder) / "bin" / "python")
        for opponent in OPPONENTS:
            command = [python, "-m", "pip", "install", "-q", opponent]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                print(f"{opponent}: cannot be installed here; left out")
        own = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
        rates: dict[tuple[str, str], float] = {}
        for name, (_, programs) in RUNS.items():
            for program in programs:
                script = f"import sys; sys.path[:0] = {own!r}; from benchmarks.simulation import measured; "
                script += f"import json; print(json.dumps(measured({name!r}, {program!r})))"
                ended = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
                if ended.returncode:
                    why = ended.stderr.strip().splitlines()[-1]
                    print(f"{name:18} {program:7} did not run: {why}")
                    continue
                rates[name, program] = rate = json.loads(ended.stdout)
                print(f"{name:18} {program:7} {rate / 1000:8.0f} thousand a second", flush=True)
        report(rates)
    print(f"whole service: {schedules():.1f} schedules of {SCENARIO} a second of one core (at least 40)")


def report(rates: dict[tuple[str, str], float]) -> None:
    """Print the ratios that the project promises."""
    for policy in ("fifo", "shuffle", "pct"):
        ours = rates[f"chaos.sim {policy}", "ring"]
        print(f"task switch, {policy}: {rates['asyncio', 'ring'] / ours:.2f} times stock asyncio's (at most 1.0)")
    for name in ("looptime", "trio"):
        if (name, "timers") in rates:
            ratio = rates["chaos.sim shuffle", "timers"] / rates[name, "timers"]
            print(f"timers: {ratio:.1f} times the rate of {name} (at least 4)")


if __name__ == "__main__":
    main()
