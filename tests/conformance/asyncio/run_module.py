"""Run one module of CPython's asyncio tests on the simulated loop and print what became of it, as one JSON line."""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import io
import json
import logging
import sys
import unittest
from typing import Any

from chaos.sim.virtual_loop import virtual_loop

DEADLINE_S = 50


class OnSimulatedLoops(asyncio.DefaultEventLoopPolicy):
    """Makes every new event loop a simulated one."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return virtual_loop()


def on_simulated_loops(module: Any) -> None:
    """Let what the module's own helper classes make be simulated loops, too."""

    def new_test_loop(case: Any, _gen: Any = None) -> Any:
        loop: Any = virtual_loop()
        loop.advance_time = lambda seconds: setattr(loop.kernel, "now_ns", loop.kernel.now_ns + round(seconds * 1e9))
        case.set_event_loop(loop)
        return loop

    helpers = importlib.import_module("test.test_asyncio.utils")
    helpers.TestCase.new_test_loop = new_test_loop
    asyncio.SelectorEventLoop = virtual_loop  # type: ignore[assignment]
    asyncio.set_event_loop_policy(OnSimulatedLoops())
    set_policy = asyncio.set_event_loop_policy

    def keep_simulated(policy: Any) -> None:
        set_policy(OnSimulatedLoops() if policy is None else policy)

    asyncio.set_event_loop_policy = asyncio.events.set_event_loop_policy = keep_simulated
    assert module is not None


def main(name: str, excluded: list[str], only: list[str]) -> None:
    faulthandler.dump_traceback_later(DEADLINE_S, exit=True)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    module = importlib.import_module(f"test.test_asyncio.{name}")
    on_simulated_loops(module)
    suite = unittest.TestSuite(
        case
        for case in flat(unittest.defaultTestLoader.loadTestsFromModule(module))
        if not any(part in short(case) for part in excluded) and (not only or any(part in short(case) for part in only))
    )
    result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(suite)
    failures = {short(case): text.strip().splitlines()[-1][:200] for case, text in result.failures + result.errors}
    print(json.dumps({"ran": result.testsRun, "skipped": len(result.skipped), "failures": failures}))


def flat(suite: Any) -> list[Any]:
    return [case for part in suite for case in flat(part)] if isinstance(suite, unittest.TestSuite) else [suite]


def short(case: Any) -> str:
    """Return ``Class.test`` of a case."""
    return ".".join(str(case.id()).split(".")[-2:])


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    main(request["module"], request.get("excluded", []), request.get("only", []))
