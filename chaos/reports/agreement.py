"""Whether the worlds agree: the verdicts of the same scenario in simulation and live, property by property."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chaos.outcome import Outcome, PropertyResult
from chaos.verdict import Verdict

DECIDED = (Verdict.HELD, Verdict.BROKEN)


@dataclass(frozen=True, slots=True)
class Agreement:
    """One property's verdict per world. ``only_in``: faults that fired in some of the worlds, with those worlds."""

    property_id: str
    verdicts: Mapping[str, Verdict]
    only_in: Mapping[str, tuple[str, ...]]

    @property
    def is_contradiction(self) -> bool:
        """Return whether one world says held and another broken: one of the two is wrong about the subject."""
        return {*DECIDED} <= set(self.verdicts.values())

    @property
    def is_proven(self) -> bool:
        """Return whether every world came to a verdict, and to the same one."""
        return len(set(self.verdicts.values())) == 1 and set(self.verdicts.values()) <= set(DECIDED)

    def words(self) -> str:
        """Return it as one line."""
        said = ", ".join(f"{world}: {verdict}" for world, verdict in self.verdicts.items())
        if self.is_proven:
            return f"{self.property_id}: the worlds agree ({said})"
        how = "THE WORLDS DISAGREE" if self.is_contradiction else "the worlds cannot be compared"
        return f"{self.property_id}: {how} ({said})"


def agreements(outcome: Outcome, worlds: tuple[str, ...]) -> tuple[Agreement, ...]:
    """Return what the worlds say of each property; one in which nothing spoke of it has not exercised it."""
    return tuple(_agreement(result, worlds) for result in outcome.properties)


def disagreements(outcome: Outcome) -> tuple[str, ...]:
    """Return a line for each scenario and property that one world calls held and another one broken."""
    found = []
    for result in outcome.properties:
        for scenario in dict.fromkeys(run.scenario for run in result.runs):
            mine = tuple((run, finding) for run, finding in result.findings if run.scenario == scenario)
            one = _agreement(replace(result, findings=mine), tuple(dict.fromkeys(run.world for run, _ in mine)))
            if one.is_contradiction:
                found.append(f"{one.words()} in {scenario}")
    return tuple(found)


def _agreement(result: PropertyResult, worlds: tuple[str, ...]) -> Agreement:
    parts = {world: result.within(world) for world in worlds}
    fired = {world: {name for run in part.runs for name in run.faults_fired} for world, part in parts.items()}
    every = set.union(*fired.values())
    only_in = {
        name: tuple(world for world in worlds if name in fired[world])
        for name in sorted(every)
        if not all(name in names for names in fired.values())
    }
    return Agreement(result.property_id, {world: part.verdict for world, part in parts.items()}, only_in)
