"""What a worker process is told to play, and what it tells back: plain values that travel between processes.

* An order is a scenario, a subject, perhaps a mutant, and seeds. A worker plays them one after the other and stops at
  the first that breaks a property: that one is a person's business.
* A tally adds up what the runs have in common and keeps one history: that of the failure, or of the last run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from zlib import crc32

from chaos.coverage import classes
from chaos.outcome import Divergence, Fact, RunResult
from chaos.verdict import Finding, Verdict

WORST_FIRST = (Verdict.BROKEN, Verdict.UNKNOWN, Verdict.NOT_AVAILABLE, Verdict.HELD, Verdict.NOT_EXERCISED)
"""Over many seeds it is enough that some of them came to where the promise could be judged."""


@dataclass(frozen=True, slots=True)
class Order:
    """Seeds ``first_seed`` … ``first_seed + seeds - 1`` of a scenario; ``mutant`` names what is planted (none: "").

    ``repeat_share``: of this share of the runs (0 to 1) the digests are told, to be compared with a repetition.
    """

    scenario: str
    first_seed: int
    seeds: int
    subject: str = "reference"
    mutant: str = ""
    policy: str = "portfolio"
    seconds_max: float = float("inf")
    repeat_share: float = 0.0

    def parts(self, size: int) -> list[Order]:
        """Return the same as several orders of at most ``size`` seeds."""
        ends = self.first_seed + self.seeds
        starts = range(self.first_seed, ends, size)
        return [replace(self, first_seed=start, seeds=min(size, ends - start)) for start in starts]


def is_repeated(line: str, share: float) -> bool:
    """Return whether the run of that line is among the ``share`` (0 to 1) of all runs that is repeated."""
    return crc32(line.encode()) < share * 2**32


@dataclass(slots=True)
class Tally:
    """What came of an order, or of several. ``played`` counts runs; ``took_s`` is time of the processes, added up.

    ``seen``: marks, pairs of a fault and an operation, and classes of schedules that some run came to. ``to_repeat``:
    by their lines, the digests of runs that are to be repeated; ``repeated``: how many were, and ``divergences`` which
    of them were not the same.
    """

    played: int = 0
    took_s: float = 0.0
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    facts: Counter[str] = field(default_factory=Counter)
    digests: set[int] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    shown: RunResult | None = None
    failure_line: str = ""
    to_repeat: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    divergences: list[Divergence] = field(default_factory=list)

    @property
    def is_broken(self) -> bool:
        """Whether some run broke a property."""
        return any(finding.verdict is Verdict.BROKEN for finding in self.findings.values())

    @property
    def is_over(self) -> bool:
        """Whether more runs are not wanted: one broke a property, or one was not the same twice."""
        return self.is_broken or bool(self.divergences)

    def add(self, result: RunResult, line: str, digest: int) -> None:
        """Count one run; of several failures the first is the one that is shown."""
        self.played += 1
        self.took_s += result.took_s
        self.digests.add(digest)
        self.faults.update(result.faults_fired)
        self.marks.update(result.marks)
        self.met.update(result.met)
        self.tried.update(result.tried)
        self.seen |= classes(result.history) | result.met.keys() | result.marks.keys()
        self.facts.update({name: value for name, value in result.facts.items() if not isinstance(value, str)})
        was_worse = self._worst()
        self._judge({finding.key: finding for finding in result.findings})
        if self.shown is None or WORST_FIRST.index(self._worst()) < WORST_FIRST.index(was_worse):
            self.shown, self.failure_line = result, line

    def join(self, other: Tally) -> None:
        """Add what another process counted."""
        was_worse = self._worst()
        self.played += other.played
        self.took_s += other.took_s
        self.digests |= other.digests
        self.seen |= other.seen
        self.faults.update(other.faults)
        self.marks.update(other.marks)
        self.met.update(other.met)
        self.tried.update(other.tried)
        self.facts.update(other.facts)
        self.repeated += other.repeated
        self.divergences += other.divergences
        self._judge(other.findings)
        if self.shown is None or WORST_FIRST.index(self._worst()) < WORST_FIRST.index(was_worse):
            self.shown, self.failure_line = other.shown, other.failure_line

    def _judge(self, findings: Mapping[tuple[str, str], Finding]) -> None:
        for key, finding in findings.items():
            known = self.findings.get(key)
            if known is None or WORST_FIRST.index(finding.verdict) < WORST_FIRST.index(known.verdict):
                self.findings[key] = finding

    def _worst(self) -> Verdict:
        found = {finding.verdict for finding in self.findings.values()}
        return next((verdict for verdict in WORST_FIRST if verdict in found), Verdict.NOT_EXERCISED)

    def __repr__(self) -> str:
        steps = int(self.facts.get(Fact.STEPS, 0))
        return f"Tally({self.played} runs, {len(self.digests)} different, {steps} steps, {self._worst()})"
