"""One scenario in several worlds: they agree, they disagree, or one of them came to no verdict."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from chaos.cli.commands import cli
from chaos.errors import UsageError
from chaos.outcome import Outcome, RunResult
from chaos.reports.agreement import agreements, disagreements
from chaos.verdict import Verdict
from tests.toolkit import sample_outcomes

WORLDS = ("sim", "live")


def in_two_worlds(simulated: Verdict, live: Verdict | None) -> Outcome:
    def result(world: str, verdict: Verdict) -> RunResult:
        found = (sample_outcomes.finding("C1.6", verdict),)
        fired = {"process.kill": 1} if world == "live" else {"process.kill": 2, "power.cut": 1}
        return replace(sample_outcomes.simulated(), world=world, findings=found, faults_fired=fired)

    runs = [result("sim", simulated), *([] if live is None else [result("live", live)])]
    return sample_outcomes.outcome_of(runs)


@pytest.mark.parametrize(
    ("simulated", "live", "words"),
    [
        (Verdict.HELD, Verdict.HELD, "the worlds agree"),
        (Verdict.BROKEN, Verdict.BROKEN, "the worlds agree"),
        (Verdict.HELD, Verdict.BROKEN, "THE WORLDS DISAGREE"),
        (Verdict.BROKEN, Verdict.HELD, "THE WORLDS DISAGREE"),
        (Verdict.HELD, Verdict.NOT_AVAILABLE, "the worlds cannot be compared"),
        (Verdict.UNKNOWN, Verdict.UNKNOWN, "the worlds cannot be compared"),
        (Verdict.HELD, None, "the worlds cannot be compared"),
    ],
)
def test_what_two_worlds_say_is_put_side_by_side(simulated: Verdict, live: Verdict | None, words: str) -> None:
    (one,) = (a for a in agreements(in_two_worlds(simulated, live), WORLDS) if a.property_id == "C1.6")
    assert words in one.words()
    assert (one.is_proven, one.is_contradiction) == (words == "the worlds agree", "DISAGREE" in words)


def test_a_campaign_names_the_scenario_in_which_its_worlds_disagree() -> None:
    (said,) = disagreements(in_two_worlds(Verdict.HELD, Verdict.BROKEN))
    assert said == f"C1.6: THE WORLDS DISAGREE (sim: held, live: broken) in {sample_outcomes.simulated().scenario}"
    assert disagreements(in_two_worlds(Verdict.HELD, Verdict.UNKNOWN)) == ()


def test_a_fault_that_fired_in_one_world_only_is_named() -> None:
    (one,) = (a for a in agreements(in_two_worlds(Verdict.HELD, Verdict.HELD), WORLDS) if a.property_id == "C1.6")
    assert one.only_in == {"power.cut": ("sim",)}


def test_a_scenario_is_played_in_both_of_its_worlds() -> None:
    arguments = ["compare", "kill_between_answer_and_move", "--seeds", "2", "--json"]
    found = CliRunner().invoke(cli, arguments, standalone_mode=False)
    outcome = json.loads(found.stdout)
    assert (found.return_value, sorted(run["world"] for run in outcome["runs"])) == (0, ["live", "sim"])
    assert "C1.6: the worlds agree (sim: held, live: held)" in outcome["notes"]


def test_a_scenario_of_one_world_has_nothing_to_compare() -> None:
    found = CliRunner().invoke(cli, ["compare", "all_at_once"], standalone_mode=False)
    assert isinstance(found.exception, UsageError)
    assert "expected a scenario of several worlds" in str(found.exception)
