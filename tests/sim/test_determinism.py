"""The same seed does the same in another process, with another hash seed, another order of seeds and another heap."""

from __future__ import annotations

import pytest

from chaos.determinism import NondeterministicError, check
from chaos.errors import UsageError

PROGRAM = "tests.sim.busy_program"


def test_a_program_that_uses_everything_runs_alike_in_two_processes() -> None:
    assert check(f"{PROGRAM}:seed_and_steps", range(30)) == 30


def test_a_program_that_depends_on_addresses_is_found_and_its_first_differing_step_named() -> None:
    with pytest.raises(NondeterministicError, match=r"step \d+ is '\d+ .* in one process and '\d+ .* in another"):
        check(f"{PROGRAM}:leaky", range(10))


def test_a_program_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError):
        check(f"{PROGRAM}:nothing", range(2))
