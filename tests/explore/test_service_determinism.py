"""The whole service runs alike in two processes with other hash seeds, another order of runs and another heap."""

from __future__ import annotations

from chaos.determinism import check
from tests.explore.service_seeds import STORIES


def test_scenarios_of_the_service_run_alike_in_two_processes() -> None:
    seeds = range(3 * len(STORIES))
    assert check("tests.explore.service_seeds:story_and_steps", seeds) == len(seeds)
