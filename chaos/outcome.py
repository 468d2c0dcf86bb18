"""What a campaign found: results of runs, a verdict per property, and the exit code. Reports see nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from chaos.history import History
from chaos.verdict import Finding, Verdict, combined


class ExitCode(IntEnum):
    """How ``pywats-chaos`` ends."""

    HELD = 0
    BROKEN = 1
    NOT_PROVEN = 2
    USAGE = 3
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run: its findings (one per property and checker), the faults that fired, and the line that replays it."""

    scenario: str
    world: str
    seed: int
    findings: tuple[Finding, ...]
    faults_fired: Mapping[str, int]
    took_s: float
    history: History
    error: str = ""
    log: str = ""

    @property
    def verdict(self) -> Verdict:
        """Return the verdict over the run's findings."""
        return combined(finding.verdict for finding in self.findings)

    @property
    def replay(self) -> str:
        """Return the command that plays this run again."""
        return f"pywats-chaos run {self.scenario} --world {self.world} --seed {self.seed}"


@dataclass(frozen=True, slots=True)
class PropertyResult:
    """All that a campaign says of one property. ``asked``: whether an unproven one turns the campaign red."""

    property_id: str
    asked: bool
    findings: tuple[tuple[RunResult, Finding], ...]

    @property
    def verdict(self) -> Verdict:
        """Return the verdict over all findings; none is not exercised."""
        return combined(finding.verdict for _, finding in self.findings)

    @property
    def faults_fired(self) -> int:
        """Return how many faults really fired in the runs that speak of this property."""
        runs = {id(run): run for run, _ in self.findings}
        return sum(sum(run.faults_fired.values()) for run in runs.values())

    @property
    def worst(self) -> tuple[RunResult, Finding] | None:
        """Return the finding that decided the verdict, with its run."""
        return next(((run, found) for run, found in self.findings if found.verdict is self.verdict), None)


@dataclass(frozen=True, slots=True)
class Header:
    """What a campaign ran: enough to do it again."""

    version: str
    subject: str
    profile: str
    python: str
    platform: str
    seed: int
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole campaign."""

    header: Header
    properties: tuple[PropertyResult, ...]
    runs: tuple[RunResult, ...]
    took_s: float
    interrupted: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def exit_code(self) -> ExitCode:
        """Return 1 when anything is broken, 2 when something asked for is not proven, else 0."""
        if any(result.verdict is Verdict.BROKEN for result in self.properties):
            return ExitCode.BROKEN
        if self.interrupted:
            return ExitCode.INTERRUPTED
        unproven = (Verdict.UNKNOWN, Verdict.NOT_EXERCISED, Verdict.NOT_AVAILABLE)
        if any(result.asked and result.verdict in unproven for result in self.properties):
            return ExitCode.NOT_PROVEN
        return ExitCode.HELD

    def count(self, verdict: Verdict) -> int:
        """Return how many properties have that verdict."""
        return sum(result.verdict is verdict for result in self.properties)


def by_property(ids: Sequence[str], asked: Sequence[str], runs: Sequence[RunResult]) -> tuple[PropertyResult, ...]:
    """Return a result for each property in ``ids``, with the findings that the runs have for it."""
    return tuple(
        PropertyResult(
            property_id,
            property_id in asked,
            tuple((run, found) for run in runs for found in run.findings if found.property_id == property_id),
        )
        for property_id in ids
    )
