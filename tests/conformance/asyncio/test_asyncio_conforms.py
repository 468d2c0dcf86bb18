"""The simulated loop passes what CPython's own asyncio tests ask of a loop."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from tests.conformance.asyncio.exclusions import EXCLUDED, MODULES, SLOW, WHOLE_MODULES
from tests.conformance.asyncio.suite import modules, run_module

LOOPLESS = {"test_context", "test_protocols", "test_transports"}  # They test asyncio's parts without any loop.


@pytest.mark.timeout(120)
@pytest.mark.parametrize("module", modules())
def test_the_module_passes(module: str) -> None:
    outcome = run_module(module, left_out=SLOW)
    assert outcome.ran, outcome
    assert not outcome.failures, str(outcome)
    assert outcome.loops or module in LOOPLESS, "the tests must have run on simulated loops"


def test_every_module_of_the_suite_is_run_or_excluded_with_a_reason() -> None:
    package = importlib.import_module("test.test_asyncio")
    there = {module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith("test_")}
    assert there <= set(MODULES) | set(WHOLE_MODULES)
    assert all(EXCLUDED.values())
    assert all(WHOLE_MODULES.values())
