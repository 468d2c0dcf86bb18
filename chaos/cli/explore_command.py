"""``pywats-chaos explore``: thousands of schedules of simulated scenarios, a failure made small and kept."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from chaos.checkers import all_checkers
from chaos.cli import shared_options
from chaos.cli.campaign import executed
from chaos.cli.question import question_of_many
from chaos.cli.surroundings import header_of
from chaos.cli.sweeping import Sweep, sweep
from chaos.corpus import DEFAULT, Corpus
from chaos.errors import UsageError
from chaos.explore import Order, Pool, Search, SimulationPlayer, Tally, another_pool
from chaos.mutants import find_mutant
from chaos.outcome import Outcome, RunResult, by_property
from chaos.plan import Run, find_scenario
from chaos.protocols import Scenario, WorldKind
from chaos.reports.terminal import STYLES
from chaos.runner import Listener, Runner
from chaos.scenarios import all_scenarios
from chaos.sim.policies import POLICIES
from chaos.sim.step_faults import STEP_FAULTS
from chaos.subjects import find_simulated, find_subject
from chaos.trial import parse_trial
from chaos.verdict import Verdict

JOBS = os.cpu_count() or 1
SEEDS = 1000
REPEAT_SHARE = 0.02
QUIET, SEEDS_UNTIL_QUIET = 300, 100_000


class Bars(Listener):
    """A bar per scenario in a terminal: runs so far, runs a second, different schedules, marks reached, time left."""

    def __init__(self, console: Console) -> None:
        words = TextColumn("{task.fields[words]}")
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, words, console=console, transient=True, disable=not console.is_terminal)
        self._bars: dict[str, Any] = {}
        self._began: dict[str, float] = {}
        self._console = console

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def heard(self, order: Order, tally: Tally) -> None:
        """Show how far a scenario is."""
        name = order.scenario
        if name not in self._bars:
            self._began[name] = time.monotonic() - tally.took_s / JOBS
            self._bars[name] = self._progress.add_task(name, total=order.seeds, words="")
        rate = tally.played / max(time.monotonic() - self._began[name], 0.001)
        words = f"{rate:.0f}/s · {len(tally.digests)} different · {len(tally.marks)} marks · {len(tally.seen)} seen"
        self._progress.update(self._bars[name], completed=tally.played, words=words)

    def ended(self, run: Run, result: RunResult) -> None:
        """Say how a scenario ended."""
        line = Text(f"{result.verdict!s:<14}", STYLES[result.verdict])
        rate = result.stands_for / max(result.took_s, 0.001)
        different = result.facts.get("different schedules", 0)
        line.append(f"{run.scenario.name}  {result.stands_for:,} schedules ({different:,} different), {rate:.0f}/s")
        line.append("".join(f"\n{'':14}{name}: {count:,}" for name, count in sorted(result.marks.items())), "dim")
        self._console.print(line, soft_wrap=True)


@click.command("explore")
@click.argument("scenarios", nargs=-1)
@click.option("--seeds", type=click.IntRange(min=1), default=None, show_default="1000, in a sweep 1",
              help="Schedules per scenario.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option("--jobs", type=click.IntRange(min=1), default=JOBS, show_default="every core", help="Worker processes.")
@click.option("--policy", type=click.Choice(POLICIES), default="portfolio", show_default=True, help="The scheduler.")
@click.option("--minutes", type=click.FloatRange(min=0), default=None, help="Let no scenario take longer.")
@click.option("--until-quiet", is_flag=True, help="End once nothing new was seen for a while; --seeds is the most.")
@click.option("--quiet-for", type=click.IntRange(min=1), default=QUIET, show_default=True,
              help="How many schedules without anything new are a while.")  # fmt: skip
@click.option("--sweep", "swept", type=click.Choice(STEP_FAULTS), multiple=True,
              help="Put this fault at each step of the subject in turn.")  # fmt: skip
@click.option("--mutant", default="", help="Plant this mutant first.")
@shared_options.repeat_share(default=REPEAT_SHARE)
@click.option("--no-shrink", is_flag=True, help="Show a failure as it was found.")
@click.option("--corpus", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT, show_default=True,
              help="Failures found before: played first, and added to.")  # fmt: skip
@shared_options.subject
def explore_command(scenarios: tuple[str, ...], subject_name: str, mutant: str, corpus: Path, **options: Any) -> int:
    """Play simulated SCENARIOS (all of them if none is named) over many schedules, and stop at a failure.

    A failure is made smaller while it stays the same, printed with the line that replays it, and kept. A run that is
    not the same when it is repeated in another process is a failure of the simulation, and ends it with 4.
    """
    console = Console()
    stories = _chosen(scenarios)
    find_simulated(subject_name)
    name = find_mutant(mutant).name if mutant else ""
    if options["swept"]:
        seeds = options["seeds"] or 1
        asked = Sweep(options["swept"], options["seed"], seeds, subject_name, name, options["jobs"], corpus)
        return sweep(asked, stories, console)
    seconds = float("inf") if options["minutes"] is None else options["minutes"] * 60
    quiet = options["quiet_for"] if options["until_quiet"] else 0
    seeds = options["seeds"] or (SEEDS_UNTIL_QUIET if quiet else SEEDS)
    share = options["repeat_share"]
    search = Search(seeds, options["policy"], not options["no_shrink"], name, seconds, quiet, share)
    kept = Corpus.at(corpus)
    known = {story.name: kept.trials(story.name) for story in stories}
    began = time.monotonic()
    pool, other = Pool(options["jobs"]), another_pool(options["jobs"]) if share else None
    with contextlib.ExitStack() as stack:
        for one in filter(None, (pool, other)):
            stack.callback(one.close)
        bars = stack.enter_context(Bars(console))
        player = SimulationPlayer(pool, subject_name, search, bars.heard, known.__getitem__, other=other)
        runner = Runner({}, all_checkers(), jobs=1, listener=bars, players={WorldKind.SIMULATION: player})
        question = question_of_many(stories, WorldKind.SIMULATION, options["seed"])
        interrupted = executed(runner, question.runs)
    results = (*runner.results, *player.cut_short)
    told = by_property(question.shown, question.asked, results)
    header = header_of(question, find_subject(subject_name))
    outcome = Outcome(header, told, results, time.monotonic() - began, interrupted=interrupted)
    shared_options.show(outcome, console, as_json=False)
    if not mutant:
        _keep(kept, results, console)
    return outcome.exit_code


def _chosen(names: Sequence[str]) -> list[Scenario]:
    stories = [story for story in all_scenarios() if WorldKind.SIMULATION in story.worlds]
    chosen = [find_scenario(all_scenarios(), name) for name in names] or stories
    for story in chosen:
        if story not in stories:
            near = ", ".join(s.name for s in stories if set(s.proves) & set(story.proves)) or "see `pywats-chaos list`"
            raise UsageError("a scenario that can be simulated", f"{story.name}, which is live only", near)
    return chosen


def _keep(corpus: Corpus, results: Sequence[RunResult], console: Console) -> None:
    for result in results:
        if result.verdict is Verdict.BROKEN:
            broken = next(finding for finding in result.findings if finding.verdict is Verdict.BROKEN)
            line = result.replay_line.partition("'")[2].rpartition("'")[0]
            if corpus.keep(parse_trial(line), f"{broken.property_id}: {broken.found}"):
                console.print(f"kept in {corpus.path}", soft_wrap=True, highlight=False)
