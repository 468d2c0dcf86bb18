"""Runs a test that is marked ``simulated`` in simulated worlds, and gives other tests loops in virtual time.

* ``@pytest.mark.simulated(seeds=200)`` on an ``async def`` test: it is run once for each seed, with its fixtures, which
  are made once. ``policy``, ``limit_s``, ``faults`` and ``seed`` (the first one) are as in ``chaos.sim.simulate``.
* ``--sim-seed=N`` runs such tests with that seed only: what a failure tells to do.
* ``loop_factories`` is what a ``conftest.py`` gives to pytest-asyncio for unit tests that only want virtual time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chaos.errors import UsageError
from chaos.sim.simulate import Setting, SimulationFailedError, run_seed
from chaos.sim.virtual_loop import virtual_loop

SEEDS = 100


def run_simulated(
    test: Callable[..., Any], values: Mapping[str, Any], asked: Mapping[str, Any], seed: int | None
) -> int:
    """Run ``test`` as the marker asks (or with ``seed`` only) and return the number of seeds.

    Raises ``SimulationFailedError`` with the first failing seed, and ``UsageError`` for a marker that makes no sense.
    """
    known = {"seeds", "seed", "policy", "limit_s", "faults"}
    if unknown := set(asked) - known:
        raise UsageError(f"simulated({', '.join(sorted(known))})", ", ".join(sorted(unknown)), "see docs/simulation.md")
    if not inspect.iscoroutinefunction(test):
        raise UsageError("an async def test under the marker simulated", test.__qualname__, "make it async")

    async def main() -> None:
        await test(**values)

    setting = Setting()
    for name in ("policy", "limit_s", "faults"):
        if name in asked:
            setting = replace(setting, **{name: asked[name]})
    first = int(asked.get("seed", 0))
    numbers = range(first, first + int(asked.get("seeds", SEEDS))) if seed is None else range(seed, seed + 1)
    for number in numbers:
        run_seed(main, number, setting)
    return len(numbers)


def loop_factories(*_: Any, **__: Any) -> dict[str, Callable[[], Any]]:
    """Return what pytest-asyncio's hook ``pytest_asyncio_loop_factories`` asks for: loops in virtual time."""
    return {"virtual time": virtual_loop}


def replay_of(nodeid: str, failed: SimulationFailedError) -> str:
    """Return the line that runs the failing seed of a test again."""
    return f"pytest '{nodeid}' --sim-seed={failed.seed}"
