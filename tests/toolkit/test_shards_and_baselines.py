"""Parts of a campaign make a whole, a weakened proof fails like a broken one, and soaks stay within their memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.baseline import compared
from chaos.cli.question import Gate, part_of, question_of
from chaos.errors import UsageError
from chaos.folding import folded
from chaos.outcome import ChangeKind, ExitCode, Outcome, RunResult, by_property
from chaos.plan import Run
from chaos.profiles import load_profile
from chaos.protocols import WorldKind
from chaos.shards import Shard, merged
from chaos.verdict import Finding, Verdict
from tests.toolkit import sample_outcomes
from tests.toolkit.sample_outcomes import HEADER, finding, outcome_of, simulated

LIVE = frozenset({WorldKind.LIVE})


def shard(name: str, *runs: RunResult, excused: tuple[str, ...] = ()) -> Outcome:
    told = by_property(["C1.6", "H1.2"], ["C1.6", "H1.2"], runs, excused=excused)
    return Outcome(replace(HEADER, shard=name), told, runs, 10.0)


def test_every_run_is_in_exactly_one_shard() -> None:
    items = list(range(17))
    parts = [Shard(number, 3).of(items) for number in (1, 2, 3)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_excuses_what_the_other_shards_prove_and_nothing_else(tmp_path: Path) -> None:
    whole = question_of(load_profile("release", tmp_path), (), None, Gate(), LIVE)
    parts = [part_of(whole, Shard(number, 2)) for number in (1, 2)]
    assert sorted(map(_name, [*parts[0].runs, *parts[1].runs])) == sorted(map(_name, whole.runs))
    unproven = set(whole.shown) - {p for run in whole.runs for p in run.scenario.proves}
    assert unproven
    assert not any(unproven & set(part.excused) for part in parts)
    assert not set(parts[0].excused) & set(parts[1].excused)


def _name(run: Run) -> str:
    return f"{run.scenario.name} {run.world} {run.seed.number}"


def test_shards_put_together_are_the_whole() -> None:
    whole = merged(
        [shard("1/2", simulated("C1.6"), excused=("H1.2",)), shard("2/2", simulated("H1.2"), excused=("C1.6",))]
    )
    assert (whole.exit_code, whole.schedules, len(whole.runs), whole.header.shard) == (ExitCode.HELD, 4_000, 2, "")
    assert not any(result.excused for result in whole.properties)


def test_what_no_shard_proves_is_not_proven_by_all_of_them() -> None:
    outcome = merged([shard("1/2", simulated("C1.6")), shard("2/2")])
    assert outcome.exit_code is ExitCode.NOT_PROVEN


def test_a_missing_shard_makes_the_whole_interrupted() -> None:
    outcome = merged([shard("1/3", simulated("C1.6")), shard("3/3", simulated("H1.2"))])
    assert outcome.exit_code is ExitCode.INTERRUPTED
    assert "shards 2/3 are missing" in outcome.notes[0]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (shard("1/2"), "each shard once, found 1/2 twice"),
        (replace(shard("2/2"), header=replace(HEADER, shard="2/2", commit="other")), "commit 'abc123def456'"),
        (replace(shard("2/2"), header=replace(HEADER, shard="2/2", seed=4)), "seed 20261123"),
    ],
)
def test_what_does_not_belong_together_is_refused(other: Outcome, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        merged([shard("1/2"), other])


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1/0", "a/b", "1", "1/2/3", "-1/2"])
def test_a_wrong_shard_is_one_clear_line(text: str) -> None:
    with pytest.raises(UsageError, match="a shard such as 2/3"):
        Shard.parse(text)


def change(now: Outcome, before: Outcome, *allowed: str) -> tuple[set[tuple[ChangeKind, str]], ExitCode]:
    outcome = compared(now, before, allowed=allowed)
    return {(found.kind, found.subject) for found in outcome.changes}, outcome.exit_code


def test_the_same_again_is_no_change() -> None:
    assert change(sample_outcomes.green(), sample_outcomes.green()) == (set(), ExitCode.HELD)


def test_fewer_schedules_are_a_weaker_proof_and_fail_unless_allowed() -> None:
    before, now = outcome_of((simulated(schedules=2_000),)), outcome_of((simulated(schedules=1_500),))
    assert change(now, before) == ({(ChangeKind.WEAKER, "C1.6 (sim)")}, ExitCode.BROKEN)
    assert change(now, before, "C1.6")[1] is ExitCode.HELD


def test_a_little_fewer_are_not() -> None:
    before, now = outcome_of((simulated(schedules=2_000),)), outcome_of((simulated(schedules=1_900),))
    assert change(now, before)[0] == set()


def test_a_fault_that_no_longer_fires_is_a_weaker_proof() -> None:
    run = simulated()
    now = outcome_of((replace(run, faults_fired={"process.kill": 9_000}),))
    assert compared(now, outcome_of((run,))).changes[0].before == "network.cut fired"


def test_a_world_less_is_a_weaker_proof() -> None:
    live = replace(simulated(), world="live", stands_for=1)
    assert change(outcome_of((simulated(),)), outcome_of((simulated(), live)))[0] == {
        (ChangeKind.WEAKER, "C1.6 (live)")
    }


def test_a_mutant_that_is_no_longer_found_is_a_weaker_proof() -> None:
    runs, mutants = (simulated("H1.2"),), sample_outcomes.MUTANTS
    now = outcome_of(runs, mutants=(mutants[0], replace(mutants[1], found=False)))
    assert (ChangeKind.WEAKER, "H1.2 mutant sends_before_it_saves") in change(now, outcome_of(runs, mutants=mutants))[0]


def test_broken_after_held_is_worse_and_the_other_way_round_better() -> None:
    held, bad = outcome_of((simulated(),)), outcome_of((replace(simulated(), findings=_broken()),))
    assert change(bad, held)[0] == {(ChangeKind.WORSE, "C1.6")}
    assert change(held, bad) == ({(ChangeKind.BETTER, "C1.6")}, ExitCode.HELD)


def _broken() -> tuple[Finding, ...]:
    return (finding("C1.6", Verdict.BROKEN),)


def test_slower_is_told_and_turns_nothing_red() -> None:
    before, now = outcome_of((simulated(),)), outcome_of((replace(simulated(), took_s=60.0),))
    assert change(now, before) == ({(ChangeKind.SLOWER, "runs in sim")}, ExitCode.HELD)


def test_a_narrower_question_is_not_a_weaker_answer() -> None:
    before = outcome_of((simulated("C1.6"), simulated("H1.2")))
    assert change(outcome_of((simulated("C1.6"),)), before) == (set(), ExitCode.HELD)


def test_a_thousand_runs_that_held_are_one_result_that_stands_for_all() -> None:
    (result,) = folded([replace(simulated(schedules=1), seed=seed) for seed in range(1_000)])
    assert (result.stands_for, result.faults_fired["process.kill"], result.facts["scheduling steps"]) == (
        1_000, 1_000, 417_000
    )  # fmt: skip


def test_what_broke_is_kept_apart_and_within_a_limit() -> None:
    bad = replace(simulated(schedules=1), findings=_broken())
    assert len(folded([simulated(), bad, bad, simulated("H1.2")])) == 4
    assert len(folded([bad] * 1_000)) == 200
