"""Determinism as a tested property: seeds are run in two processes that differ in all that must not matter.

* The second process has another hash seed, runs the seeds in the opposite order, and has another heap.
* Where the digests of a seed differ, both processes run it once more and the first step in which they differ is named.
* What is run is given by its name, ``module:function``: an ``async def main()``, run by ``chaos.sim.simulate``; or a
  plain function of a seed that returns the digest and the steps of a run of its own, one a line.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any

from chaos.errors import ChaosError, UsageError
from chaos.outcome import Divergence
from chaos.seed import Seed
from chaos.sim.simulate import Setting, SimulationFailedError, open_machine, run_in

DEADLINE_S = 600.0
HASH_SEEDS = ("1", "77")
JUNK_MAX = 4_000

Run = Callable[[int], tuple[int, list[str]]]
"""Runs one seed; gives the digest, and the steps."""


class NondeterministicError(ChaosError):
    """A program does not do the same for the same seed: something in it escapes the simulation."""

    def __init__(self, program: str, divergences: Sequence[Divergence], seeds: int) -> None:
        self.divergences = tuple(divergences)
        super().__init__(
            f"expected {seeds} seeds of {program} to run alike in two processes, found {len(divergences)} that do not; "
            f"look for sets of objects, id() and what was made before the run: {divergences[0]}"
        )


def check(program: str, seeds: Sequence[int], *, policy: str = "portfolio", python: str = sys.executable) -> int:
    """Run every seed in two processes and return how many different runs there were.

    Raises ``NondeterministicError``. Blocks; both processes run at the same time.
    """
    asked = [_child(program, list(seeds), policy, which, python) for which in (0, 1)]
    try:
        answers = [_answer(child) for child in asked]
    finally:
        _end(asked)
    first, second = ({int(seed): digest for seed, digest in answer.items()} for answer in answers)
    differing = [seed for seed in seeds if first[seed] != second[seed]]
    if differing:
        found = [_first_difference(program, list(seeds), seed, policy, python) for seed in differing[:3]]
        raise NondeterministicError(program, found, len(seeds))
    return len(set(first.values()))


def _first_difference(program: str, seeds: list[int], seed: int, policy: str, python: str) -> Divergence:
    """Run all seeds once more: what was made before a run may be what it depends on."""
    asked = [_child(program, seeds, policy, which, python, steps_of=seed) for which in (0, 1)]
    try:
        first, second = (_answer(child)[str(seed)] for child in asked)
    finally:
        _end(asked)
    return Divergence(f"seed {seed}", *first_difference(first, second))


def first_difference(first: Sequence[str], second: Sequence[str]) -> tuple[int, str, str]:
    """Return the number of the first step in which two runs differ, and what either did (0: in no step)."""
    for number, (one, other) in enumerate(zip_longest(first, second, fillvalue="the end"), 1):
        if one != other:
            return number, one, other
    return 0, "the same steps", "the same steps, but other values in them"


def _child(
    program: str, seeds: list[int], policy: str, which: int, python: str, *, steps_of: int | None = None
) -> subprocess.Popen[str]:
    request = {"program": program, "seeds": seeds, "policy": policy, "which": which, "steps_of": steps_of}
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONHASHSEED": HASH_SEEDS[which], "PYTHONPATH": path}
    command = [python, "-m", "chaos.determinism", json.dumps(request)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)  # noqa: S603 - our own module


def _end(children: Sequence[subprocess.Popen[str]]) -> None:
    """End what still runs after the other one failed."""
    for child in children:
        with child:
            if child.poll() is None:
                child.kill()


def _answer(child: subprocess.Popen[str]) -> dict[str, Any]:
    with child:
        output, _ = child.communicate(timeout=DEADLINE_S)
    if child.returncode:
        raise UsageError("a program that can be run", f"exit code {child.returncode} of its process", "see its output")
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    return answer


def run_of(program: str, policy: str) -> Run:
    """Return what runs one seed of the program of that name. Raises ``UsageError``."""
    module, _, name = program.partition(":")
    function = getattr(import_module(module), name, None)
    if function is None:
        raise UsageError("module:function", program, "name a function that can be imported")
    if not inspect.iscoroutinefunction(function):
        run: Run = function
        return run

    def simulated(seed: int) -> tuple[int, list[str]]:
        steps: list[str] = []
        kernel = open_machine(Seed(seed), setting := Setting(policy=policy))
        kernel.recorder = lambda _, now_ns, what: steps.append(f"{now_ns} {what}")
        try:
            return run_in(kernel, function, setting).digest, steps
        except SimulationFailedError as failed:
            return hash((kernel.digest, len(str(failed)))), [*steps, str(failed)]

    return simulated


def main(request: str) -> None:
    """Be one of the two processes: print one JSON object, by seed the digest or the steps."""
    asked = json.loads(request)
    junk = [bytearray(Random(asked["which"]).randrange(3_000)) for _ in range(JUNK_MAX * asked["which"])]  # noqa: S311
    del junk[::3]
    run = run_of(asked["program"], asked["policy"])
    seeds = asked["seeds"][::-1] if asked["which"] else asked["seeds"]
    answers: dict[int, int | list[str]] = {}
    for seed in seeds:
        digest, steps = run(seed)
        if asked["steps_of"] is None:
            answers[seed] = digest
        elif asked["steps_of"] == seed:
            answers = {seed: steps}
            break
    sys.stdout.write(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
