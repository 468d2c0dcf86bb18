"""How strong a green result is: what was counted, and which failure rate that many runs exclude.

* A rate is excluded per property and fault: a schedule counts for a pair when the property was judged in it, and held,
  and the fault met some operation. A sum over everything would say little of a property that few schedules judge.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.coverage import columns, empty_cells, table
from chaos.outcome import Fact, MutantResult, Outcome, RunResult
from chaos.verdict import Verdict

SIMULATION = "sim"
CONFIDENCE = 0.95
SAMPLE_MIN = 50
"""Fewer independent schedules than this exclude nothing worth saying."""


@dataclass(frozen=True, slots=True)
class Strength:
    """What stands behind a verdict; ``excluded_one_in``: failures more frequent than one in that many are excluded."""

    runs: int
    schedules: int
    crash_states: int
    recoveries: int
    faults_fired: int
    marks: int
    mutants: int
    mutants_found: int
    excluded_one_in: int | None


def strength_of(runs: Sequence[RunResult], mutants: Sequence[MutantResult] = ()) -> Strength:
    """Return what those runs and mutants amount to."""
    return Strength(
        runs=len(runs),
        schedules=sum(run.stands_for for run in runs),
        crash_states=_added(runs, Fact.CRASH_STATES),
        recoveries=_added(runs, Fact.RECOVERIES),
        faults_fired=sum(run.fired for run in runs),
        marks=sum(sum(run.marks.values()) for run in runs),
        mutants=len(mutants),
        mutants_found=sum(mutant.found for mutant in mutants),
        excluded_one_in=excluded_one_in(sum(run.stands_for for run in runs if run.world == SIMULATION)),
    )


def excluded_one_in(schedules: int) -> int | None:
    """Return N such that a failure in more than one of N schedules would have shown itself with 95 % confidence.

    Holds for schedules drawn independently that all held; None for too few.
    """
    if schedules < SAMPLE_MIN:
        return None
    rate = 1 - (1 - CONFIDENCE) ** (1 / schedules)
    return int(1 / rate)


def counted_words(strength: Strength) -> list[str]:
    """Return the counts as words, the empty ones left out: ``["31,400 schedules", "118 live runs", …]``."""
    counts = (
        (strength.schedules, "run"),
        (strength.crash_states, "crash state"),
        (strength.recoveries, "recovery"),
        (strength.faults_fired, "fault fired"),
        (strength.marks, "mark reached"),
    )
    words = [_counted(number, noun) for number, noun in counts if number]
    return words + ([f"{strength.mutants_found} of {strength.mutants} mutants found"] if strength.mutants else [])


def total_words(outcome: Outcome) -> list[str]:
    """Return what the whole campaign counted, as words."""
    strength = strength_of(outcome.runs, outcome.mutants)
    simulated = sum(run.stands_for for run in outcome.runs if run.world == SIMULATION)
    live = sum(run.stands_for for run in outcome.runs if run.world == "live")
    words = [
        _counted(number, noun)
        for number, noun in (
            (simulated, "schedule"),
            (strength.crash_states, "crash state"),
            (live, "live run"),
            (strength.faults_fired, "fault fired"),
        )
        if number
    ]
    if rows := table(run.met for run in outcome.runs):
        empty, cells = len(empty_cells(rows)), len(rows) * len(columns(rows))
        words.append(f"{cells - empty:,} of {cells:,} pairs of a fault and an operation met")
    if repeated := _added(outcome.runs, Fact.REPEATED):
        different = len(outcome.divergences)  # Of many that differ not all are named.
        how_many = f"{different} or more" if different > 1 else different or "none"
        words.append(f"{_counted(repeated, 'run')} repeated in another process, {how_many} differed")
    if strength.mutants:
        words.append(f"{strength.mutants_found} of {strength.mutants} mutants found")
    words += [excluded_words(pairs)] if (pairs := tried_by_fault(outcome)) else []
    return words or ["0 runs"]


def tried_by_fault(outcome: Outcome) -> dict[str, dict[str, int]]:
    """Return for each property in how many simulated schedules it held under each fault; one that broke is left out."""
    rows = table(run.tried for run in outcome.runs if run.world == SIMULATION)
    held = [result.property_id for result in outcome.properties if result.verdict is not Verdict.BROKEN]
    return {property_id: rows[property_id] for property_id in held if property_id in rows}


def excluded_words(pairs: Mapping[str, Mapping[str, int]]) -> str:
    """Return which failure rate is excluded for the pairs of a property and a fault, in words."""
    counts = [count for faults in pairs.values() for count in faults.values()]
    told = _counted(len(counts), "pair of a property and a fault")
    enough = [one_in for count in counts if (one_in := excluded_one_in(count))]
    if not enough:
        return f"{told} tried, none in {SAMPLE_MIN} schedules"
    half = statistics.median_low(enough)
    rate = f"failures in more than 1 of {half:,} schedules excluded (95 %, median)"
    return f"{told} tried, for {len(enough):,} of them {rate}"


PLURALS = {
    "fault fired": "faults fired", "pair of a property and a fault": "pairs of a property and a fault",
    "recovery": "recoveries", "mark reached": "marks reached",
}  # fmt: skip


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else PLURALS.get(noun, noun + 's')}"


def _added(runs: Sequence[RunResult], fact: Fact) -> int:
    values = [run.facts[fact] for run in runs if fact in run.facts]
    return int(sum(value for value in values if not isinstance(value, str)))
