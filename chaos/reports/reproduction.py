"""How surely live runs give the same verdict: of each scenario that was played more than once, how often it held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.outcome import RunResult
from chaos.verdict import Verdict

LIVE = "live"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How often one live scenario came to each verdict; held is only what held with every fault fired."""

    scenario: str
    verdicts: Counter[Verdict]

    @property
    def runs(self) -> int:
        """Return how often it was played."""
        return self.verdicts.total()

    @property
    def is_whole(self) -> bool:
        """Return whether it held every time."""
        return self.verdicts[Verdict.HELD] == self.runs

    def words(self) -> str:
        """Return it as one line."""
        held = f"{self.scenario}, live: {self.verdicts[Verdict.HELD]} of {self.runs} held"
        others = [f"{count} {verdict}" for verdict, count in self.verdicts.items() if verdict is not Verdict.HELD]
        return f"{held}, {', '.join(others)}" if others else f"{held}, every fault fired in each"


def reproductions(runs: Sequence[RunResult]) -> tuple[Reproduction, ...]:
    """Return the rate of each scenario that was played live more than once, in the order of the runs."""
    counted: dict[str, Counter[Verdict]] = {}
    for run in runs:
        if run.world == LIVE:
            counted.setdefault(run.scenario, Counter())[run.verdict] += run.stands_for
    found = (Reproduction(scenario, verdicts) for scenario, verdicts in counted.items())
    return tuple(one for one in found if one.runs > 1)
