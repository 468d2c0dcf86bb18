"""How fast operations were before, during and after the faults of their runs, and how many there were a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chaos.history import History, Kind, Operation
from chaos.outcome import RunResult
from chaos.reports.timeline import timeline_of

NAMES_MAX = 8


class Phase(StrEnum):
    """Where an operation stands to the faults of its run; one that overlaps them is *during*."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


@dataclass(slots=True)
class Rhythm:
    """One operation in one phase, over all runs."""

    name: str
    phase: Phase
    took_s: list[float] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    lasted_s: float = 0.0

    @property
    def per_second(self) -> float | None:
        """Return how many succeeded a second; None where the phase was too short to say."""
        return self.outcomes.get("ok", 0) / self.lasted_s if self.lasted_s >= 0.05 else None

    def quantile(self, share: float) -> float:
        """Return the duration below which that share of the operations stays, in seconds."""
        ordered = sorted(self.took_s)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def rhythms(runs: Sequence[RunResult], world: str) -> list[Rhythm]:
    """Return the rhythms of the commonest operations in one world, three phases each (without the empty ones)."""
    found: dict[tuple[str, Phase], Rhythm] = {}
    for run in runs:
        if run.world == world and run.history.events:
            _add(found, run.history)
    counts: dict[str, int] = {}
    for (name, _), rhythm in found.items():
        counts[name] = counts.get(name, 0) + len(rhythm.took_s)
    names = sorted(counts, key=lambda name: (-counts[name], name))[:NAMES_MAX]
    keys = [(name, phase) for name in names for phase in Phase]
    return [found[key] for key in keys if key in found and found[key].took_s]


def _add(found: dict[tuple[str, Phase], Rhythm], history: History) -> None:
    bands, end_ns = timeline_of(history).bands, history.events[-1].time_ns
    first_ns = min((band.start_ns for band in bands), default=end_ns)
    last_ns = max((band.end_ns for band in bands), default=end_ns)
    lasted = {Phase.BEFORE: first_ns, Phase.DURING: last_ns - first_ns, Phase.AFTER: end_ns - last_ns}
    seen: set[tuple[str, Phase]] = set()
    for operation in _operations(history):
        phase = _phase(operation, first_ns, last_ns)
        key = (operation.start.name, phase)
        rhythm = found.setdefault(key, Rhythm(*key))
        rhythm.outcomes[operation.outcome] = rhythm.outcomes.get(operation.outcome, 0) + 1
        if operation.end is not None:
            rhythm.took_s.append(operation.took_s)
        if key not in seen:
            rhythm.lasted_s += lasted[phase] / 1e9
            seen.add(key)


def _operations(history: History) -> Iterator[Operation]:
    for name in dict.fromkeys(event.name for event in history.events if event.kind is Kind.INVOKED):
        yield from history.operations(name)


def _phase(operation: Operation, first_ns: int, last_ns: int) -> Phase:
    if operation.end is not None and operation.end.time_ns <= first_ns:
        return Phase.BEFORE
    return Phase.AFTER if operation.start.time_ns >= last_ns else Phase.DURING
