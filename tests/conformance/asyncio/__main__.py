"""``python -m tests.conformance.asyncio [MODULE …]``: the whole run, with one line for each module."""

from __future__ import annotations

import sys

from tests.conformance.asyncio.suite import run_all

outcomes = run_all(sys.argv[1:])
for outcome in outcomes:
    print(outcome)  # noqa: T201 - a command
failed = sum(len(outcome.failures) for outcome in outcomes)
print(f"{sum(outcome.ran for outcome in outcomes)} tests ran, {failed} failed")  # noqa: T201 - a command
sys.exit(bool(failed))
