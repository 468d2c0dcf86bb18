"""Results of many runs in bounded memory: runs of one scenario that held become one that stands for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chaos.outcome import RunResult
from chaos.verdict import Verdict

BAD_KEPT = 200
"""How many runs that did not hold are kept, each with its history; more of the same add nothing."""


def folded(results: Sequence[RunResult]) -> list[RunResult]:
    """Return the results, with those that held added up for each scenario and world; the newest lends its history."""
    held: dict[tuple[str, str, int], RunResult] = {}
    bad: list[RunResult] = []
    for result in results:
        key = (result.scenario, result.world, len(result.findings))
        if result.verdict is not Verdict.HELD:
            bad.append(result)
        else:
            held[key] = _added(held[key], result) if key in held else result
    return [*held.values(), *bad[:BAD_KEPT]]


def _added(earlier: RunResult, newest: RunResult) -> RunResult:
    return replace(
        newest,
        stands_for=earlier.stands_for + newest.stands_for,
        took_s=earlier.took_s + newest.took_s,
        faults_fired=_sums(earlier.faults_fired, newest.faults_fired),
        marks=_sums(earlier.marks, newest.marks),
        met=_sums(earlier.met, newest.met),
        tried=_sums(earlier.tried, newest.tried),
        facts={**newest.facts, **_numbers(earlier, newest)},
        divergences=(*earlier.divergences, *newest.divergences),
    )


def _sums(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _numbers(one: RunResult, other: RunResult) -> dict[str, float]:
    found: dict[str, float] = {}
    for facts in (one.facts, other.facts):
        for name, value in facts.items():
            if not isinstance(value, str):
                found[name] = found.get(name, 0) + value
    return found
