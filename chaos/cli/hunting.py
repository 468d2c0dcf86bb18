"""A hunt for mutants as a person follows it: a line for each, with rate and time left; Ctrl-C leaves what is known."""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chaos.cli.campaign import Hunting, cut_short
from chaos.cli.display import LiveProgress
from chaos.cli.question import Question
from chaos.explore import Caught, Hunt, Terms, worlds_of
from chaos.mutants import Mutant, all_mutants
from chaos.outcome import MutantResult
from chaos.protocols import WorldKind
from chaos.shards import Shard


class HuntProgress(LiveProgress):
    """A line for each mutant whose hunt is over, above a bar where there is a terminal. Use as a context manager."""

    noun = "mutants"

    def caught(self, result: Caught) -> None:
        """Print what became of a mutant."""
        style = "green" if result.is_found else "bold red" if result.is_hunted else "magenta"
        words = f"{result.name} ({result.world}, {result.cost})"
        self._tell(result.word, style, words if result.is_found else f"{words}: {result.sentence}")
        self._progress.advance(self._task)
        self._describe()


def hunted(hunt: Hunt, mutants: Sequence[Mutant], console: Console) -> tuple[list[Caught], bool]:
    """Hunt them all, showing progress; return what became of those whose hunt is over, and whether it was cut short."""
    found: list[Caught] = []

    async def work() -> None:
        async with contextlib.aclosing(hunt.all(mutants)) as ended:
            async for result in ended:
                found.append(result)
                progress.caught(result)

    with HuntProgress(console, len(mutants)) as progress:
        was_cut_short = cut_short(work)
    order = {mutant.name: place for place, mutant in enumerate(mutants)}
    return sorted(found, key=lambda result: order[result.name]), was_cut_short


def hunting_for(question: Question, subject: str, worlds: Sequence[WorldKind]) -> Hunting:
    """Return the hunt that a campaign ends with: each mutant of the properties it speaks of, once, in its worlds."""
    terms = Terms(repeat=1, worlds=tuple(world for world in Terms().worlds if world in worlds))

    def hunt(console: Console, known: list[MutantResult]) -> bool:
        done = {result.name for result in known}
        wanted = [m for m in all_mutants() if m.property_id in question.shown and worlds_of(m, terms)]
        mine = Shard.parse(question.shard).of(wanted) if question.shard else wanted
        left = [mutant for mutant in mine if mutant.name not in done]
        if not left:
            return False
        console.print(f"hunting {len(left)} mutants", highlight=False)
        caught, was_cut_short = hunted(Hunt(subject, terms, os.cpu_count() or 1), left, console)
        known += [result.result() for result in caught if result.is_hunted]
        return was_cut_short

    return hunt


def table_of(caught: Sequence[Caught], titles: Mapping[str, str] | None = None) -> Table:
    """Return a row for each mutant: what found it, where, after how many runs and seconds; ``titles`` by name."""
    table = Table("mutant", "found by", "in", "runs", "seconds", box=None, pad_edge=False, header_style="dim")
    for result in caught:
        style = "green" if result.is_found else "red" if result.is_hunted else "magenta"
        others = f" (by {', '.join(result.found_by)} only)" if result.word == "found by accident" else ""
        by = result.property_id if result.is_found else result.word + others
        runs, took = (f"{result.runs:g}", f"{result.took_s:.1f}") if result.tries else ("", "")
        name = f"{titles[result.name]}: {result.name}" if titles else result.name
        table.add_row(escape(name), f"[{style}]{escape(by)}[/]", result.world, runs, took)
    return table


def totals_of(caught: Sequence[Caught], total: int) -> str:
    """Return in a few lines how many were found, at which cost, and what was left out."""
    here = [result for result in caught if result.is_hunted]
    found = [result for result in here if result.is_found]
    lines = [f"{len(found)} of {len(here)} mutants found by their own property"]
    if found:
        runs = statistics.median(result.runs for result in found)
        lines[0] += f", median {runs:g} runs, {statistics.median(result.took_s for result in found):.1f} s"
    absent = len(caught) - len(here)
    if absent:
        lines.append(f"{absent} cannot be hunted here")
    if len(caught) < total:
        lines.append(f"interrupted: {total - len(caught)} were not hunted to the end")
    return "\n".join(lines)
