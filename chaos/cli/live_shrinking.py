"""Live runs from their line, and what makes a failing one small: for ``run --shrink`` and ``replay``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.text import Text

from chaos.checkers import all_checkers
from chaos.cli.campaign import REFERENCE, executed
from chaos.cli.question import Question
from chaos.explore.worker import signature
from chaos.live.fault_choice import FaultChoice
from chaos.live.world import open_live_world
from chaos.live_trial import LiveTrial
from chaos.outcome import Outcome, RunResult, by_property
from chaos.plan import Run, find_scenario
from chaos.protocols import Subject, WorldKind
from chaos.runner import Runner
from chaos.scenarios import all_scenarios
from chaos.seed import Seed
from chaos.shrink import BudgetSpentError
from chaos.shrink_live import LivePlay, LiveShrinker, Rate
from chaos.trial import NS_PER_S
from chaos.verdict import Verdict

F = TypeVar("F", bound=Callable[..., Any])
MINUTES = 10.0


def shrinking(command: F) -> F:
    """Add the options of shrinking to a command."""
    minutes = click.option(
        "--shrink-minutes", type=click.FloatRange(min=0.01), default=MINUTES, show_default=True,
        help="When to stop making a live run smaller.",
    )  # fmt: skip
    rate = click.option(
        "--rate", default="3/4", show_default=True, metavar="HITS/PLAYS", callback=lambda _, __, text: Rate.parse(text),
        help="How often a smaller live run must fail to be kept.",
    )  # fmt: skip
    shrink = click.option("--shrink", is_flag=True, help="Make a failing run smaller: faults, times, workload.")
    return shrink(rate(minutes(command)))


class LivePlayer:
    """Plays live trials of a subject, until ``limit_s`` from now; the newest result of each trial is kept."""

    def __init__(self, subject: Subject, limit_s: float = float("inf")) -> None:
        self._subject, self._ends_at = subject, time.monotonic() + limit_s
        self.results: dict[LiveTrial, RunResult] = {}

    def __repr__(self) -> str:
        return f"LivePlayer({self._subject.name}, {len(self.results)} trials)"

    def play(self, trial: LiveTrial) -> LivePlay:
        """Play one trial. Raises ``BudgetSpentError`` when the time is over or a signal came; its world is left."""
        choice = FaultChoice(trial)
        opened = {WorldKind.LIVE: lambda seed: open_live_world(self._subject, seed, choice)}
        runner = Runner(opened, all_checkers(), jobs=1)
        run = Run(find_scenario(all_scenarios(), trial.scenario), WorldKind.LIVE, Seed(trial.seed))
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0 or executed(runner, [run], None if left_s == float("inf") else left_s):
            raise BudgetSpentError
        found = signature(runner.results[0])
        if found or trial not in self.results:
            self.results[trial] = runner.results[0]
        return LivePlay(found, choice.asked)


@dataclass(frozen=True, slots=True)
class Shrinking:
    """How a failing live run is made smaller; ``option`` is the subject's name on a command line."""

    subject: Subject
    option: str
    rate: Rate
    minutes: float
    console: Console

    def outcome(self, outcome: Outcome, question: Question) -> Outcome:
        """Return the outcome with its first broken live run made small; the same if there is none."""
        broken = next((r for r in outcome.runs if r.world == WorldKind.LIVE and r.verdict is Verdict.BROKEN), None)
        if broken is None:
            return outcome
        small = self.smaller(broken, LiveTrial(broken.scenario, broken.seed))
        runs = tuple(small if run is broken else run for run in outcome.runs)
        told = by_property(question.shown, question.asked, runs, excused=question.excused)
        note = f"shrinking: {small.facts['shrinking']}"
        return replace(outcome, runs=runs, properties=told, notes=(*outcome.notes, note))

    def smaller(self, broken: RunResult, trial: LiveTrial) -> RunResult:
        """Return the smallest run found that fails as ``broken`` does, with its line and with what it took."""
        known = signature(broken)
        assert known is not None, "a run that is made smaller is broken"
        player = LivePlayer(self.subject, self.minutes * 60)
        shrunk = LiveShrinker(player.play, self.rate, self._tell).shrink(trial, known)
        found = player.results.get(shrunk.trial, broken)
        result = with_line(found if signature(found) == known else broken, shrunk.trial, self.option)
        facts = {**result.facts, "fails in plays": str(shrunk.seen), "shrinking": shrunk.words(self.rate)}
        return replace(result, plan=_plan(shrunk.trial, result), shrunk_from=shrunk.faults_before, facts=facts)

    def _tell(self, candidate: LiveTrial, seen: Rate) -> None:
        self.console.print(Text(f"shrinking: {seen} fail  {candidate}", style="dim"), soft_wrap=True)


def with_line(result: RunResult, trial: LiveTrial, option: str) -> RunResult:
    """Return the result with the line that plays it again."""
    more = "" if option == REFERENCE else f" --subject {option}"
    return replace(result, replay_line=f"pywats-chaos replay '{trial}'{more}")


def _plan(trial: LiveTrial, result: RunResult) -> str:
    """Return what is left of the run, a fault a line."""
    times = dict(trial.times)
    names = tuple(result.faults_fired) if trial.faults is None else trial.faults
    plan = [name + (f" for {times[name] / NS_PER_S:g} s" if name in times else "") for name in names]
    if trial.workload is not None:
        plan.append(f"at most {trial.workload} reports at a time")
    return "\n".join(plan) or "no fault at all"
