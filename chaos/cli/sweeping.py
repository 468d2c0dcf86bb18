"""What ``pywats-chaos explore --sweep`` does: a fault at each step in turn, with a line of progress and one outcome."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from chaos.cli import shared_options
from chaos.cli.question import question_of_many
from chaos.cli.surroundings import header_of
from chaos.corpus import Corpus
from chaos.explore import Pool, Sweeper, Swept
from chaos.outcome import Fact, Outcome, RunResult, by_property
from chaos.protocols import Scenario, WorldKind
from chaos.reports.terminal import STYLES
from chaos.subjects import find_subject
from chaos.trial import Trial, parse_trial

BROKEN_SHOWN = 10
POLICY = "fifo"


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is swept: each of ``faults`` at each step of each of ``seeds`` seeds from ``first_seed`` on."""

    faults: tuple[str, ...]
    first_seed: int
    seeds: int
    subject: str
    mutant: str
    jobs: int
    corpus: Path


def sweep(asked: Sweep, stories: Sequence[Scenario], console: Console) -> int:
    """Sweep the scenarios, show what came of it, and return the exit code; Ctrl-C ends it and its workers."""
    began = time.monotonic()
    results: list[RunResult] = []
    with contextlib.closing(Pool(asked.jobs)) as pool, console.status("counting the steps") as status:

        def heard(played: int, points: int, broken: int) -> None:
            status.update(f"{played:,} of {points:,} points played, {broken:,} broken")

        async def each() -> None:
            sweeper = Sweeper(pool, asked.subject, mutant=asked.mutant, heard=heard)
            for story in stories:
                for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
                    result, swept = await sweeper.sweep(story, Trial(story.name, seed, POLICY, ()), asked.faults)
                    results.append(result)
                    _tell(result, swept, console)
                    if not asked.mutant:
                        _keep(asked.corpus, swept, result, console)

        asyncio.run(each())
    question = question_of_many(stories, WorldKind.SIMULATION, asked.first_seed)
    told = by_property(question.shown, question.asked, results)
    header = header_of(question, find_subject(asked.subject))
    outcome = Outcome(header, told, tuple(results), time.monotonic() - began)
    shared_options.show(outcome, console, as_json=False)
    return outcome.exit_code


def _tell(result: RunResult, swept: Swept, console: Console) -> None:
    points, rate = int(result.facts[Fact.SWEEP_POINTS]), result.stands_for / max(result.took_s, 0.001)
    line = Text(f"{result.verdict!s:<14}", STYLES[result.verdict])
    line.append(
        f"{result.scenario} seed={result.seed}  {points:,} points, {len(swept.broken):,} broke it, {rate:.0f}/s"
    )
    if swept.silent:
        line.append(f"\n{'':14}at {swept.silent} of them nothing happened: those were not tried", "dim")
    for broken in swept.broken[:BROKEN_SHOWN]:
        line.append(f"\n{'':14}{parse_trial(broken).step}", "dim")
    if len(swept.broken) > BROKEN_SHOWN:
        line.append(f"\n{'':14}and {len(swept.broken) - BROKEN_SHOWN} more", "dim")
    console.print(line, soft_wrap=True)


def _keep(corpus: Path, swept: Swept, result: RunResult, console: Console) -> None:
    """Keep the earliest failure; the others are mostly the same one, a step later."""
    if swept.broken and Corpus.at(corpus).keep(parse_trial(swept.broken[0]), result.findings[0].found):
        console.print(f"kept in {corpus}", soft_wrap=True, highlight=False)
