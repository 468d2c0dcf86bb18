"""Run one module of CPython's asyncio tests on the simulated loop and print what became of it, as one JSON line."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import importlib
import io
import json
import logging
import sys
import unittest
from typing import Any

from chaos.sim.loop import SimLoop
from chaos.sim.virtual_loop import virtual_loop

DEADLINE_S = 100
made: list[int] = []


def simulated(*_: Any) -> Any:
    made.append(1)
    return virtual_loop()


class OnSimulatedLoops(asyncio.DefaultEventLoopPolicy):
    """Makes every new event loop a simulated one."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = simulated()
        return loop


def run_once(loop: SimLoop) -> None:
    """Run what is ready now, and no more."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def on_simulated_loops() -> None:
    """Let whatever makes a loop make a simulated one, with the two private names the suite's helpers need."""

    def new_test_loop(case: Any, _gen: Any = None) -> asyncio.AbstractEventLoop:
        loop: Any = simulated()
        loop.advance_time = lambda seconds: setattr(loop.kernel, "now_ns", loop.kernel.now_ns + round(seconds * 1e9))
        case.set_event_loop(loop)
        return loop  # type: ignore[no-any-return]

    helpers = importlib.import_module("test.test_asyncio.utils")
    helpers.TestCase.new_test_loop = new_test_loop
    patched: Any = SimLoop
    patched._ready = property(lambda loop: [*loop.held, *loop.kernel.policy.callbacks])
    patched._run_once = run_once
    asyncio.SelectorEventLoop = asyncio.BaseEventLoop = simulated  # type: ignore[assignment,misc]
    set_policy = asyncio.set_event_loop_policy
    set_policy(OnSimulatedLoops())

    def keep_simulated(policy: Any) -> None:
        set_policy(OnSimulatedLoops() if policy is None else policy)

    asyncio.set_event_loop_policy = asyncio.events.set_event_loop_policy = keep_simulated


def main(name: str, excluded: list[str]) -> None:
    faulthandler.dump_traceback_later(DEADLINE_S, exit=True)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    module = importlib.import_module(f"test.test_asyncio.{name}")
    on_simulated_loops()
    gc.freeze()  # Some tests collect garbage hundreds of times.
    cases = flat(unittest.defaultTestLoader.loadTestsFromModule(module))
    kept = [case for case in cases if not any(part in f"{name}:{short(case)}" for part in excluded)]
    result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(unittest.TestSuite(kept))
    failures = {short(case): text.strip().splitlines()[-1][:200] for case, text in result.failures + result.errors}
    facts = {"ran": result.testsRun, "skipped": len(result.skipped), "loops": len(made), "failures": failures}
    sys.stdout.write(json.dumps({**facts, "excluded": len(cases) - len(kept)}) + "\n")


def flat(suite: Any) -> list[Any]:
    return [case for part in suite for case in flat(part)] if isinstance(suite, unittest.TestSuite) else [suite]


def short(case: Any) -> str:
    """Return ``Class.test`` of a case."""
    return ".".join(str(case.id()).split(".")[-2:])


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    main(request["module"], request["excluded"])
