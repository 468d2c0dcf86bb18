"""CPython's own asyncio tests on the simulated loop, a process for each module."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.asyncio.exclusions import EXCLUDED, MODULES

HERE = Path(__file__).parent
DEADLINE_S = 110
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one module; ``loops`` is how many simulated loops its tests made."""

    module: str
    ran: int
    excluded: int
    skipped: int
    loops: int
    failures: dict[str, str]

    def __str__(self) -> str:
        line = f"{self.module}: {self.ran} ran, {self.excluded} excluded, {self.skipped} skipped, {self.loops} loops"
        return "\n".join([line, *(f"  FAILED {test}: {why}" for test, why in self.failures.items())])


def modules() -> list[str]:
    """Return the modules that this Python has."""
    return [name for name, since in MODULES.items() if sys.version_info >= since]


def run_module(name: str, *, left_out: tuple[str, ...] = ()) -> Outcome:
    """Run one module, but for what is excluded or left out. A run that did not end by itself counts as a failure."""
    request = json.dumps({"module": name, "excluded": [*EXCLUDED, *left_out]})
    command = [sys.executable, str(HERE / "run_module.py"), request]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    last = next((line for line in ended.stdout.splitlines() if line.startswith('{"ran"')), None)
    if last is None:
        return Outcome(name, 0, 0, 0, 0, {"the run itself": ended.stderr[-2_000:]})
    facts = json.loads(last)
    return Outcome(name, facts["ran"], facts["excluded"], facts["skipped"], facts["loops"], facts["failures"])


def run_all(names: list[str] | None = None) -> list[Outcome]:
    """Run modules side by side, on two cores."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(run_module, names or modules()))
