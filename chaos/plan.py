"""What will be run: scenarios × worlds × repetitions, each with its seed. The same question gives the same plan."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.errors import UsageError
from chaos.protocols import Scenario, WorldKind
from chaos.seed import Seed


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario, to be played once in one world from one seed."""

    scenario: Scenario
    world: WorldKind
    seed: Seed


def plan_runs(
    scenarios: Sequence[Scenario],
    *,
    properties: Sequence[str],
    worlds: Sequence[WorldKind],
    seed: Seed,
    repeat: int = 1,
) -> list[Run]:
    """Return the runs that prove ``properties`` (all if empty) in ``worlds``; the longest come first."""
    chosen = [s for s in scenarios if not properties or set(s.proves) & set(properties)]
    runs = [
        Run(story, world, seed if number == 0 else seed.child(f"{story.name}/{number}"))
        for story in chosen
        for world in story.worlds
        if world in worlds
        for number in range(repeat)
    ]
    return sorted(runs, key=lambda run: -run.scenario.limit_s)


def provable(scenarios: Sequence[Scenario], worlds: Sequence[WorldKind]) -> set[str]:
    """Return the ids of the properties that some scenario proves in one of ``worlds``."""
    return {property_id for s in scenarios if set(s.worlds) & set(worlds) for property_id in s.proves}


def find_scenario(scenarios: Sequence[Scenario], name: str) -> Scenario:
    """Return the scenario of that name, or of that name without its property. Raises ``UsageError``."""
    for story in scenarios:
        if name in (story.name, story.name.partition("/")[2]):
            return story
    names = [story.name for story in scenarios]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    advice = f"did you mean {near[0]}?" if near else "see `pywats-chaos list` for the names"
    raise UsageError("the name of a scenario", repr(name), advice)
