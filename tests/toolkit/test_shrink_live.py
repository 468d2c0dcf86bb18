"""Shrinking live runs: what is kept fails often enough, in the same way, and nothing more can be left out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli.commands import cli
from chaos.errors import UsageError
from chaos.live.world import LiveWorld
from chaos.live_trial import LiveTrial, is_live, parse_live_trial
from chaos.protocols import Scenario, scenario
from chaos.shrink import BudgetSpentError
from chaos.shrink_live import LivePlay, LiveShrinker, Rate
from tests.toolkit.forgetful_service import OPTION

ASKED = {"server.down#1": 0, "process.pause#1": 0, "server.delay_answer#1": 2_000_000_000, "process.kill#1": 0}
TRIAL = LiveTrial("C1.6/x", 7)


def fails_with(*needed: str, luck: Iterable[bool] = itertools.repeat(True)) -> Callable[[LiveTrial], LivePlay]:
    """Return a play that fails where all the needed faults are, when it is lucky."""
    coins = iter(luck)

    def play(trial: LiveTrial) -> LivePlay:
        is_failing = all(map(trial.admits, needed)) and next(coins)
        return LivePlay("lost" if is_failing else None, ASKED)

    return play


def test_faults_that_do_not_matter_are_left_out() -> None:
    found = LiveShrinker(fails_with("process.kill#1"), Rate()).shrink(TRIAL, "lost")
    assert str(found.trial) == "C1.6/x world=live seed=7 faults=process.kill#1 workload=1"
    assert found.words(Rate()).startswith("1 of 4 faults left, fails in 3 of 3 plays")


def test_times_become_short() -> None:
    found = LiveShrinker(fails_with("server.delay_answer#1"), Rate()).shrink(TRIAL, "lost")
    assert found.trial.times == (("server.delay_answer#1", 1_000_000),)


def test_a_time_that_matters_is_kept_as_short_as_it_may_be() -> None:
    def play(trial: LiveTrial) -> LivePlay:
        lasts_ns = dict(trial.times).get("server.delay_answer#1", ASKED["server.delay_answer#1"])
        return LivePlay("lost" if lasts_ns >= 50_000_000 else None, ASKED)

    found = LiveShrinker(play, Rate()).shrink(TRIAL.with_faults(["server.delay_answer#1"]), "lost")
    assert found.trial.with_faults(()).times == ()
    assert dict(found.trial.times) in ({}, {"server.delay_answer#1": 100_000_000})


@pytest.mark.parametrize(("luck", "is_reproduced"), [("1110", True), ("0111", True), ("1010", False), ("00", False)])
def test_a_run_that_fails_too_seldom_is_not_made_smaller(luck: str, is_reproduced: bool) -> None:
    coins = [*(coin == "1" for coin in luck), *[False] * 100]
    found = LiveShrinker(fails_with(luck=coins), Rate(3, 4)).shrink(TRIAL, "lost")
    assert found.is_reproduced is is_reproduced
    assert ("not made smaller" in found.words(Rate(3, 4))) is not is_reproduced


def test_a_smaller_run_that_fails_half_the_time_is_not_kept() -> None:
    coins = itertools.cycle([True, False])

    def play(trial: LiveTrial) -> LivePlay:
        return LivePlay("lost" if trial == TRIAL or next(coins) else None, ASKED)

    assert LiveShrinker(play, Rate(3, 4)).shrink(TRIAL, "lost").trial == TRIAL


def test_a_run_that_fails_otherwise_is_not_taken_for_the_same() -> None:
    def play(trial: LiveTrial) -> LivePlay:
        return LivePlay("lost" if trial.admits("server.down#1") else "twice", ASKED)

    assert LiveShrinker(play, Rate()).shrink(TRIAL, "lost").trial.faults == ("server.down#1",)


def test_when_the_time_is_over_the_smallest_so_far_is_the_result() -> None:
    inner, left = fails_with("process.kill#1"), itertools.count(7, -1)

    def play(trial: LiveTrial) -> LivePlay:
        if next(left) <= 0:
            raise BudgetSpentError
        return inner(trial)

    found = LiveShrinker(play, Rate()).shrink(TRIAL, "lost")
    assert (found.is_complete, len(found.trial.faults or ())) == (False, 2)
    assert "the time was over" in found.words(Rate())


def test_a_line_is_read_as_it_was_written() -> None:
    trial = LiveTrial("C1.6/x", 7, ("server.hang_after_body#2", "ipc.half#1"), (("server.hang_after_body#2", 5),), 3)
    trial = trial.with_time("server.hang_after_body#2", 250_000_000)
    assert is_live(str(trial))
    assert parse_live_trial(str(trial)) == trial
    assert parse_live_trial(str(TRIAL.with_faults(()))) == TRIAL.with_faults(())


@pytest.mark.parametrize(
    "line",
    ["world=live seed=1", "C1.6/x world=live", "C1.6/x world=live seed=x", "C1.6/x world=live seed=1 faults=kill",
     "C1.6/x world=live seed=1 times=kill#1:soon", "C1.6/x world=live seed=1 colour=red"],
)  # fmt: skip
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        parse_live_trial(line)


@pytest.mark.parametrize("text", ["4/3", "0/4", "3", "3/4000", "a/b"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Rate.parse(text)


@scenario(proves=["C1.6"], faults=["server.down", "server.hang_after_body", "process.kill"])
async def three_troubles(world: LiveWorld) -> None:
    """A server that is away, an upload that hangs, and a kill; then all heals."""
    service = await world.start(graceful_shutdown_seconds=0.2, force_shutdown_seconds=2)
    await world.server.go_down()
    await world.server.come_up()
    await world.server.misbehave({"action": "hang_after_body", "path": "/api/Report/WSJF"})
    client = service.another_client()
    for body in world.sample_reports(3):
        await service.offer(body, client)
    await client.close()
    await world.converge(1)
    await service.kill()
    await world.server.misbehave()
    await world.start()
    await world.converge(1)


@pytest.fixture
def one_story(monkeypatch: pytest.MonkeyPatch) -> Scenario:
    for module in ("live_shrinking", "replay_command", "run_command"):
        monkeypatch.setattr(f"chaos.cli.{module}.all_scenarios", lambda: (three_troubles,))
    return three_troubles


def test_a_failing_live_run_is_made_small_and_its_line_fails_again(one_story: Scenario, tmp_path: Path) -> None:
    arguments = ["run", one_story.name, "--world", "live", "--subject", OPTION, "--shrink", "--rate", "1/1"]
    found = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path)], standalone_mode=False)
    assert found.return_value == 1, found.output
    (run,) = json.loads((tmp_path / "evidence.json").read_text())["runs"]
    assert (run["plan"], run["shrunk_from"]) == ("server.hang_after_body#1\nat most 1 reports at a time", 3)
    assert run["facts"]["fails in plays"] == "1 of 1"
    (replay,) = tmp_path.glob("failures/*/replay.txt")
    assert "faults=server.hang_after_body#1 workload=1" in replay.read_text()
    again = CliRunner().invoke(cli, ["replay", str(replay), "--subject", OPTION], standalone_mode=False)
    assert again.return_value == 1, again.output


def test_a_live_line_without_its_fault_is_played_and_not_called_held(one_story: Scenario) -> None:
    line = f"{one_story.name} world=live seed=1 faults=process.kill#1 workload=1"
    found = CliRunner().invoke(cli, ["replay", line], standalone_mode=False)
    assert (found.return_value, "these faults never fired" in found.output) == (2, True), found.output


def test_what_only_simulated_runs_have_is_refused_of_a_live_one(one_story: Scenario) -> None:
    line = f"{one_story.name} world=live seed=1"
    found = CliRunner().invoke(cli, ["replay", line, "--trace"], standalone_mode=False)
    assert isinstance(found.exception, UsageError)
