"""A property of several checkers holds only when each of them had something to judge, somewhere in the campaign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chaos.baseline import compared
from chaos.catalogue import explanation
from chaos.checkers import all_checkers
from chaos.explore import Tally
from chaos.explore.player import is_incomplete, summed_up
from chaos.folding import folded
from chaos.history import History
from chaos.judging import NO_FAILURE, Failure, judge
from chaos.outcome import ChangeKind, ExitCode, Outcome, RunResult, by_property
from chaos.protocols import Checker, Scenario, WorldKind, checker_name, scenario
from chaos.reports.evidence_json import from_document, to_document
from chaos.scenarios import all_scenarios
from chaos.shards import merged
from chaos.verdict import Finding, Verdict
from tests.toolkit.sample_outcomes import HEADER

HELD, IDLE, UNKNOWN = Verdict.HELD, Verdict.NOT_EXERCISED, Verdict.UNKNOWN
ID = "C1.6"


def one(history: History) -> Finding:
    """C1.6: one thing."""
    return Finding("", HELD if history.observed("one") else IDLE, "one thing", "so in all of 1")


def other(history: History) -> Finding:
    """C1.6: another thing."""
    return Finding("", HELD if history.observed("other") else IDLE, "another thing", "nothing to judge")


@scenario(proves=[ID], faults=[], worlds=[WorldKind.SIMULATION, WorldKind.LIVE], judged_by=["one", "other"])
async def asking(world: Any) -> None:
    """A story that both are to judge."""
    del world


ASKING_NOBODY = replace(asking, judged_by=())


def run_of(*seen: str, story: Scenario = asking, error: Failure = NO_FAILURE, world: str = "live") -> RunResult:
    history = History(lambda: 0)
    for name in seen:
        history.observe(name)
    findings = tuple(judge(story, history, error, {ID: (one, other)}))
    return RunResult(story.name, world, len(seen), findings, {}, 0.1, history, error.words)


def outcome(*runs: RunResult, shard: str = "") -> Outcome:
    return Outcome(replace(HEADER, shard=shard), by_property([ID], [ID], runs), runs, 1.0)


def test_a_run_names_the_checker_that_it_gave_nothing_to_judge() -> None:
    found = run_of("one")
    assert [(f.checker, f.verdict, f.is_idle) for f in found.findings] == [("one", HELD, False), ("other", IDLE, True)]
    assert found.findings[1].found == "other: nothing to judge"
    assert found.verdict is IDLE


def test_a_scenario_that_names_nobody_is_content_with_any_checker() -> None:
    assert [f.checker for f in run_of("one", story=ASKING_NOBODY).findings] == ["one"]
    assert [f.checker for f in run_of(story=ASKING_NOBODY).findings] == ["one", "other"]


def test_a_campaign_in_which_a_checker_was_always_idle_is_not_proven_and_says_which() -> None:
    told = outcome(run_of("one"), run_of("one"))
    (result,) = told.properties
    assert (result.verdict, told.exit_code) == (IDLE, ExitCode.NOT_PROVEN)
    assert result.worst is not None
    assert result.worst[1].checker == "other"
    assert result.checkers == {"one": HELD, "other": IDLE}


def test_another_run_of_the_same_scenario_makes_it_good() -> None:
    told = outcome(run_of("one"), run_of("other"), run_of("one", "other"))
    assert told.properties[0].verdict is HELD
    assert told.exit_code is ExitCode.HELD


@pytest.mark.parametrize(
    "elsewhere", [replace(run_of("one", "other"), scenario="C1.6/another"), run_of("one", "other", world="sim")]
)
def test_a_run_of_another_scenario_or_world_does_not(elsewhere: RunResult) -> None:
    assert outcome(run_of("one"), elsewhere).properties[0].verdict is IDLE


def test_a_run_that_did_not_end_is_unknown_and_nothing_makes_that_good() -> None:
    cut = run_of("one", error=Failure("the scenario did not end"))
    assert [(f.verdict, f.is_idle) for f in cut.findings] == [(UNKNOWN, False)] * 2
    assert outcome(cut, run_of("one", "other")).properties[0].verdict is UNKNOWN


def test_a_fault_that_stayed_silent_in_one_run_is_not_made_good_by_another() -> None:
    silent = run_of("one", "other", story=replace(asking, faults=("process.kill",)))
    assert not any(finding.is_idle for finding in silent.findings)
    assert outcome(silent, run_of("one", "other")).properties[0].verdict is IDLE


def tally_of(*runs: RunResult) -> Tally:
    tally = Tally()
    for number, run in enumerate(runs):
        tally.add(run, f"{run.scenario} seed={number}", number)
    return tally


def test_many_schedules_must_give_each_checker_something_together() -> None:
    enough, some = tally_of(run_of("one"), run_of("other")), tally_of(run_of("one"), run_of("one"))
    assert (is_incomplete(asking, enough), is_incomplete(asking, some)) == (False, True)
    assert enough.shown is not None
    assert summed_up(asking, enough, enough.shown, 1.0).verdict is HELD
    assert some.shown is not None
    whole = summed_up(asking, some, some.shown, 1.0)
    assert whole.verdict is IDLE
    assert [f.found for f in whole.findings if f.is_idle] == ["other: nothing to judge, in 2 schedules"]


def test_many_schedules_of_a_scenario_that_names_nobody_need_one_checker() -> None:
    tally = tally_of(run_of(story=ASKING_NOBODY), run_of("one", story=ASKING_NOBODY))
    assert not is_incomplete(ASKING_NOBODY, tally)
    assert tally.shown is not None
    assert [f.checker for f in summed_up(ASKING_NOBODY, tally, tally.shown, 1.0).findings] == ["one"]


def test_rounds_of_a_soak_are_taken_together() -> None:
    assert outcome(*folded([run_of("one"), run_of("one", "other")])).properties[0].verdict is HELD
    assert outcome(*folded([run_of("one"), run_of("one")])).properties[0].verdict is IDLE


def test_shards_are_taken_together() -> None:
    idle, busy = outcome(run_of("one"), shard="1/2"), outcome(run_of("one", "other"), shard="2/2")
    assert (idle.exit_code, merged([idle, busy]).exit_code) == (ExitCode.NOT_PROVEN, ExitCode.HELD)
    assert merged([idle, outcome(run_of("one"), shard="2/2")]).exit_code is ExitCode.NOT_PROVEN


def test_the_evidence_keeps_who_judged_and_an_older_one_is_read_all_the_same() -> None:
    told = outcome(run_of("one"))
    document = to_document(told)
    assert document["properties"][0]["checkers"] == {"one": "held", "other": "not exercised"}
    again = from_document(document)
    assert [run.findings for run in again.runs] == [run.findings for run in told.runs]
    for finding in document["runs"][0]["findings"]:
        del finding["checker"], finding["idle"]
    del document["properties"][0]["checkers"]
    older = from_document(document)
    assert (older.properties[0].verdict, older.properties[0].checkers) == (IDLE, {})


def test_a_checker_that_no_longer_judges_is_a_weaker_proof() -> None:
    before, now = outcome(run_of("one", "other")), outcome(run_of("one", story=ASKING_NOBODY))
    (change,) = compared(now, before).changes
    assert (change.kind, change.before, change.after) == (ChangeKind.WEAKER, "other judged", "it does not")
    assert not compared(before, now).changes


def test_explain_names_the_checkers_and_where_they_must_judge() -> None:
    lines = explanation(ID, [asking], checkers=(one, other)).splitlines()
    assert "  checker    one: one thing. (must judge C1.6/asking)" in lines


def shared() -> Iterator[tuple[str, tuple[Checker, ...]]]:
    """Yield the properties that several checkers judge, with those."""
    return ((property_id, checks) for property_id, checks in all_checkers().items() if len(checks) > 1)


def test_every_scenario_of_a_property_with_several_checkers_names_those_that_must_judge_it() -> None:
    missing = [
        f"{story.name}: judged_by=[…], of {property_id} any of {', '.join(map(checker_name, checks))}"
        for property_id, checks in shared()
        for story in all_scenarios()
        if property_id in story.proves
        and set(story.worlds) != {WorldKind.CRASH}
        and not set(story.judged_by) & set(map(checker_name, checks))
    ]
    assert missing == []


def test_every_checker_of_several_must_judge_some_scenario() -> None:
    idle = [
        f"{property_id}: {checker_name(check)}"
        for property_id, checks in shared()
        for check in checks
        if not any(property_id in story.proves and checker_name(check) in story.judged_by for story in all_scenarios())
    ]
    assert idle == []


def test_scenarios_name_checkers_of_what_they_prove() -> None:
    names = {property_id: set(map(checker_name, checks)) for property_id, checks in all_checkers().items()}
    unknown = [
        f"{story.name}: {name}"
        for story in all_scenarios()
        for name in story.judged_by
        if not any(name in names.get(property_id, ()) for property_id in story.proves)
    ]
    assert unknown == []
