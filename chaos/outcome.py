"""What a campaign found: results of runs, a verdict per property, and the exit code. Reports see nothing else.

* One ``RunResult`` may stand for many schedules of the same scenario (``stands_for``): a simulated campaign that held
  2,000 times is one result, with the counts added up and the history of one of them.
* What only some engines know (a plan, a trace, the disk at each step) has an empty default; reports leave it out.
* ``facts`` are counted or measured things by name; the names that reports add up are in ``Fact``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from chaos.history import History
from chaos.verdict import Finding, Verdict, combined


class ExitCode(IntEnum):
    """How ``pywats-chaos`` ends."""

    HELD = 0
    BROKEN = 1
    NOT_PROVEN = 2
    USAGE = 3
    NOT_DETERMINISTIC = 4
    INTERRUPTED = 130


class Fact(StrEnum):
    """The names in ``RunResult.facts`` that reports add up over runs; any other name is shown with its run only."""

    STEPS = "scheduling steps"
    SIMULATED_S = "simulated seconds"
    CRASH_STATES = "crash states"
    RECOVERIES = "recoveries"
    OPERATIONS = "disk operations"
    SWEEP_POINTS = "sweep points"
    REPEATED = "runs repeated in another process"


@dataclass(frozen=True, slots=True)
class Divergence:
    """Two plays of one run that were not the same: the number of the first differing step, and what either did.

    ``trial`` is the line that plays the run. ``step`` 0: the steps were the same, and other values were in them.
    """

    trial: str
    step: int
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.trial}: step {self.step} is {self.first!r} in one process and {self.second!r} in another"


@dataclass(frozen=True, slots=True)
class DiskLook:
    """The run's files at one moment: ``files`` gives for a relative path what is said of it (size, state, digest)."""

    time_ns: int
    when: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run: its findings (one per property and checker), the faults that fired, and the line that replays it.

    * ``policy``: how the schedule was chosen; ``plan``: the planned faults, one a line (the smallest plan that still
      breaks it, where it was shrunk); ``shrunk_from``: how many faults the plan had before.
    * ``marks``: how often places that a scenario must reach were reached. ``stands_for``: how many schedules.
    * ``met``: in how many runs a fault met an operation, by ``"fault × operation"`` (``chaos.coverage``).
    * ``tried``: in how many runs a property was judged, and held, while a fault met an operation (the same module).
    * ``trace``: what ran when, as text; ``disk``: the files at each step; ``nearest``: how the nearest passing run
      differs, as the lines of a diff.
    * ``replay_line``: the command that plays it again, where it is not ``run`` with scenario, world and seed.
    * ``divergences``: runs that were not the same when they were repeated; ``Fact.REPEATED`` counts those repeated.
    """

    scenario: str
    world: str
    seed: int
    findings: tuple[Finding, ...]
    faults_fired: Mapping[str, int]
    took_s: float
    history: History
    error: str = ""
    log: str = ""
    policy: str = ""
    plan: str = ""
    shrunk_from: int = 0
    marks: Mapping[str, int] = field(default_factory=dict)
    met: Mapping[str, int] = field(default_factory=dict)
    tried: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, int | float | str] = field(default_factory=dict)
    trace: str = ""
    disk: tuple[DiskLook, ...] = ()
    nearest: str = ""
    replay_line: str = ""
    stands_for: int = 1
    divergences: tuple[Divergence, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Return the verdict over the run's findings."""
        return combined(finding.verdict for finding in self.findings)

    @property
    def replay(self) -> str:
        """Return the command that plays this run again."""
        line = f"pywats-chaos run {self.scenario} --world {self.world} --seed {self.seed}"
        return self.replay_line or line

    @property
    def fired(self) -> int:
        """Return how many faults fired."""
        return sum(self.faults_fired.values())


@dataclass(frozen=True, slots=True)
class MutantResult:
    """A part of the subject exchanged for a sabotaged one: whether the property's proof saw it, after how many runs.

    ``runs`` counts schedules, states or live runs until the first that broke, or all that were tried in vain.
    """

    name: str
    property_id: str
    world: str
    found: bool
    runs: int
    took_s: float
    sentence: str = ""
    replay: str = ""


@dataclass(frozen=True, slots=True)
class PropertyResult:
    """All that a campaign says of one property. ``asked``: whether an unproven one turns the campaign red.

    ``excused``: the gate's policy lets it be unknown; it is shown as unknown all the same.
    """

    property_id: str
    asked: bool
    findings: tuple[tuple[RunResult, Finding], ...]
    excused: bool = False

    @property
    def verdict(self) -> Verdict:
        """Return the verdict over all findings; none is not exercised."""
        return combined(finding.verdict for _, finding in self.findings)

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """Return the results that speak of this property, each once."""
        return tuple({id(run): run for run, _ in self.findings}.values())

    @property
    def checkers(self) -> Mapping[str, Verdict]:
        """Return what each checker found, by its name, over all the runs; idle ones are not exercised."""
        names = dict.fromkeys(found.checker for _, found in self.findings if found.checker)
        return {name: combined(f.verdict for _, f in self.findings if f.checker == name) for name in sorted(names)}

    @property
    def schedules(self) -> int:
        """Return how many schedules those results stand for."""
        return sum(run.stands_for for run in self.runs)

    @property
    def faults_fired(self) -> int:
        """Return how many faults really fired in the runs that speak of this property."""
        return sum(run.fired for run in self.runs)

    @property
    def worst(self) -> tuple[RunResult, Finding] | None:
        """Return the finding that decided the verdict, with its run."""
        return next(((run, found) for run, found in self.findings if found.verdict is self.verdict), None)

    def within(self, world: str) -> PropertyResult:
        """Return the same, of the runs in one world only."""
        there = tuple((run, found) for run, found in self.findings if run.world == world)
        return PropertyResult(self.property_id, self.asked, there, self.excused)


@dataclass(frozen=True, slots=True)
class Header:
    """What a campaign ran, on what: enough to do it again. ``began_at`` is ISO 8601 in UTC; ``limits`` are seconds."""

    version: str
    subject: str
    profile: str
    python: str
    platform: str
    seed: int
    commit: str = ""
    began_at: str = ""
    shard: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)


class ChangeKind(StrEnum):
    """How something differs from an earlier campaign."""

    WORSE = "worse"
    WEAKER = "weaker"
    SLOWER = "slower"
    BETTER = "better"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference to an earlier campaign; ``allowed`` ones do not turn the campaign red."""

    kind: ChangeKind
    subject: str
    before: str
    after: str
    allowed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole campaign. ``against`` names the earlier campaign that ``changes`` speak of."""

    header: Header
    properties: tuple[PropertyResult, ...]
    runs: tuple[RunResult, ...]
    took_s: float
    interrupted: bool = False
    notes: tuple[str, ...] = field(default=())
    mutants: tuple[MutantResult, ...] = ()
    against: str = ""
    changes: tuple[Change, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """Return 1 when anything is broken, worse or weaker, 2 when something asked for is not proven, else 0.

        Before anything is taken for proven: 4 when a run was not the same twice, which is a failure of the harness.
        """
        red = (ChangeKind.WORSE, ChangeKind.WEAKER)
        is_worse = any(change.kind in red and not change.allowed for change in self.changes)
        if is_worse or any(result.verdict is Verdict.BROKEN for result in self.properties):
            return ExitCode.BROKEN
        if self.divergences:
            return ExitCode.NOT_DETERMINISTIC
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if any(not mutant.found for mutant in self.mutants):
            return ExitCode.NOT_PROVEN
        unproven = (Verdict.UNKNOWN, Verdict.NOT_EXERCISED, Verdict.NOT_AVAILABLE)
        if any(result.asked and not result.excused and result.verdict in unproven for result in self.properties):
            return ExitCode.NOT_PROVEN
        return ExitCode.HELD

    @property
    def divergences(self) -> tuple[Divergence, ...]:
        """Return the runs that were not the same when they were repeated."""
        return tuple(divergence for run in self.runs for divergence in run.divergences)

    @property
    def schedules(self) -> int:
        """Return how many schedules the runs stand for."""
        return sum(run.stands_for for run in self.runs)

    @property
    def faults_fired(self) -> int:
        """Return how many faults fired."""
        return sum(run.fired for run in self.runs)

    def count(self, verdict: Verdict) -> int:
        """Return how many properties have that verdict."""
        return sum(result.verdict is verdict for result in self.properties)

    def total(self, fact: Fact) -> float:
        """Return a fact added up over the runs that have it."""
        values = [run.facts[fact] for run in self.runs if fact in run.facts]
        return sum(value for value in values if not isinstance(value, str))


def by_property(
    ids: Sequence[str], asked: Sequence[str], runs: Sequence[RunResult], *, excused: Sequence[str] = ()
) -> tuple[PropertyResult, ...]:
    """Return a result for each property in ``ids``, with the findings that the runs have for it.

    A checker that had nothing to judge in one run is left out where it had in another one of the same scenario.
    """
    busy = {(run.scenario, run.world, f.key) for run in runs for f in run.findings if not f.is_idle}
    by_id: dict[str, list[tuple[RunResult, Finding]]] = {}
    for run in runs:
        for found in run.findings:
            if not found.is_idle or (run.scenario, run.world, found.key) not in busy:
                by_id.setdefault(found.property_id, []).append((run, found))
    return tuple(PropertyResult(i, i in asked, tuple(by_id.get(i, ())), i in excused) for i in ids)
