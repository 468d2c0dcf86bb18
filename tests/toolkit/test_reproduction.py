"""Repeated live runs: how often a scenario held is counted, told and kept in the evidence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from chaos.cli.commands import cli
from chaos.errors import UsageError
from chaos.outcome import RunResult
from chaos.reports.reproduction import reproductions
from chaos.verdict import Verdict
from tests.toolkit import sample_outcomes


def run_of(verdict: Verdict, *, world: str = "live", scenario: str = "C1.6/a") -> RunResult:
    findings = (sample_outcomes.finding("C1.6", verdict),)
    return replace(sample_outcomes.simulated(), scenario=scenario, world=world, findings=findings, stands_for=1)


def test_a_scenario_that_held_every_time_says_so() -> None:
    (rate,) = reproductions([run_of(Verdict.HELD)] * 20)
    assert rate.words() == "C1.6/a, live: 20 of 20 held, every fault fired in each"


def test_one_run_that_did_not_hold_is_counted_by_its_verdict() -> None:
    (rate,) = reproductions([*[run_of(Verdict.HELD)] * 2, run_of(Verdict.BROKEN), run_of(Verdict.NOT_EXERCISED)])
    assert (rate.words(), rate.is_whole) == ("C1.6/a, live: 2 of 4 held, 1 broken, 1 not exercised", False)


def test_what_was_played_once_or_simulated_has_no_rate() -> None:
    assert reproductions([run_of(Verdict.HELD), *[run_of(Verdict.HELD, world="sim")] * 3]) == ()


def test_a_repeated_run_states_its_rate_and_takes_another_seed_each_time() -> None:
    arguments = ["run", "C2.2/a_critical_task_fails", "--world", "live", "--repeat", "2", "--json"]
    found = CliRunner().invoke(cli, arguments, standalone_mode=False)
    outcome = json.loads(found.stdout)
    assert "C2.2/a_critical_task_fails, live: 2 of 2 held, every fault fired in each" in outcome["notes"]
    assert len({run["seed"] for run in outcome["runs"]}) == 2


def test_an_experiment_is_not_repeated() -> None:
    found = CliRunner().invoke(cli, ["run", "some.toml", "--repeat", "2"], standalone_mode=False)
    assert isinstance(found.exception, UsageError)
    with pytest.raises(UsageError, match="--repeat"):
        raise found.exception
