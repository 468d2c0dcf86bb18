"""A fault at every step: which steps there are, that each fault happens at its own, and that one finds what it must."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from chaos.errors import UsageError
from chaos.explore import Pool, Sweeper
from chaos.explore.sweeper import play_points
from chaos.explore.worker import play_trial, points_of
from chaos.outcome import Fact
from chaos.plan import find_scenario
from chaos.scenarios import all_scenarios
from chaos.sim.step_faults import OF_PROCESSES, STEP_FAULTS, checked
from chaos.trial import StepFault, Trial, parse_trial
from chaos.verdict import Verdict

STORY = "C1.6/one_report_and_a_crash"
TRIAL = Trial(STORY, 0, "fifo", ())


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    opened = Pool(1)
    yield opened
    opened.close()


def in_worker(pool: Pool, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return what the function returns in a worker, where every real sweep is played."""
    return asyncio.run(pool.run(function, *arguments, **named))


@pytest.fixture(scope="module")
def points(pool: Pool) -> dict[str, list[str]]:
    return {name: in_worker(pool, points_of, str(TRIAL), [name]) for name in STEP_FAULTS}


def some(lines: list[str], count: int = 4) -> list[str]:
    """Return some of the lines, over the whole run."""
    return lines[:: len(lines) // count]


def test_a_sweep_has_every_step_of_the_subject_and_every_call_to_its_disk(points: dict[str, list[str]]) -> None:
    steps = [str(parse_trial(line).step) for line in points["kill"]]
    assert len(steps) == len(set(steps)) > 500
    assert any("." in step for step in steps)
    assert [step.replace("kill", "power") for step in steps] == [
        str(parse_trial(line).step) for line in points["power"]
    ]
    tasks = {str(parse_trial(line).step).replace("cancel", "kill") for line in points["cancel"]}
    assert tasks < set(steps)
    assert len(tasks) > 100


@pytest.mark.parametrize("name", STEP_FAULTS)
def test_the_fault_happens_at_its_own_step_and_the_honest_service_keeps_the_report(
    pool: Pool, points: dict[str, list[str]], name: str
) -> None:
    kind = f"process.{name}" if name in OF_PROCESSES else f"task.{name}"
    for line in some(points[name]):
        swept = in_worker(pool, play_points, [line])
        fired = [event.value["step"] for event in swept.tally.shown.history.faults() if event.name == kind]
        assert (fired, swept.broken) == ([step_of(line)], []), line


def test_an_injected_error_is_thrown_into_the_task_whose_step_it_is(pool: Pool, points: dict[str, list[str]]) -> None:
    logs = [in_worker(pool, play_trial, parse_trial(line)).result.log for line in some(points["raise"], 6)]
    assert sum("InjectedError: injected into " in log for log in logs) >= 2


def test_a_step_is_played_again_exactly(pool: Pool, points: dict[str, list[str]]) -> None:
    trial = parse_trial(some(points["power"])[2])
    first, second = (in_worker(pool, play_trial, trial) for _ in range(2))
    assert first.digest == second.digest


@pytest.mark.parametrize("text", ["explode@3", "cancel@3.1", "raise@4.2"])
def test_a_fault_that_cannot_be_at_a_step_is_refused(text: str) -> None:
    name, _, at = text.partition("@")
    step, _, call = at.partition(".")
    with pytest.raises(UsageError, match="cancel or raise at a step"):
        checked(StepFault(name, int(step), int(call or 0)))


def test_a_sweep_tells_every_point_and_replays_the_earliest_failure(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = "C1.6/deleted_before_the_answer"
    trace = in_worker(pool, play_trial, TRIAL, mutant=mutant, keeps_trace=True).result.trace
    removed = re.search(r"^ *(\d+) .* disk call=unlink path=/station/data/pending/.*_05_", trace, re.MULTILINE)
    assert removed is not None, trace
    lines = [
        line
        for line in in_worker(pool, points_of, str(TRIAL), ["kill"], mutant=mutant)
        if 0 <= step_of(line) - int(removed[1]) <= 4
    ]
    monkeypatch.setattr("chaos.explore.sweeper.points_of", partial(chosen, lines))
    heard: list[tuple[int, int, int]] = []
    sweeper = Sweeper(pool, "reference", mutant=mutant, heard=lambda *said: heard.append(said))
    story = find_scenario(all_scenarios(), STORY)
    result, swept = asyncio.run(sweeper.sweep(story, TRIAL, ["kill"]))
    assert (result.verdict, result.facts[Fact.SWEEP_POINTS]) == (Verdict.BROKEN, len(lines))
    assert heard == [(len(lines), len(lines), len(swept.broken))]
    assert step_of(swept.broken[0]) == int(removed[1]) + 1, "the first step after the record was removed"
    assert f"'{swept.broken[0]}' --mutant {mutant}" in result.replay_line
    again = in_worker(pool, play_trial, parse_trial(swept.broken[0]), mutant=mutant).result
    assert again.verdict is Verdict.BROKEN
    assert in_worker(pool, play_trial, TRIAL, mutant=mutant).result.verdict is Verdict.HELD


def step_of(line: str) -> int:
    step = parse_trial(line).step
    assert step is not None
    return step.step


def chosen(lines: list[str], _line: str, _faults: list[str], **_: str) -> list[str]:
    """Return ``lines``; in the place of ``points_of``, of which these are a part."""
    return lines
