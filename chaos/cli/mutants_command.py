"""``pywats-chaos mutants``: every planted mistake must be found by the property that it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
from collections.abc import Sequence

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chaos.cli import shared_options
from chaos.explore import Hunt, Pool, Search
from chaos.explore.hunt import Caught
from chaos.mutants import Mutant, all_mutants, find_mutant
from chaos.outcome import ExitCode

JOBS = os.cpu_count() or 1


@click.command("mutants")
@click.argument("names", nargs=-1)
@click.option("--property", "chosen", multiple=True, metavar="ID", help="Only mutants of this property or guarantee.")
@click.option("--jobs", type=click.IntRange(min=1), default=JOBS, show_default="every core", help="Worker processes.")
@click.option("--seeds", type=click.IntRange(min=1), default=400, show_default=True, help="Schedules tried at most.")
@click.option("--repeat", type=click.IntRange(min=1), default=3, show_default=True, help="Hunts, from other seeds.")
@click.option("--list", "only_list", is_flag=True, help="Say what there is, and hunt nothing.")
@shared_options.subject
def mutants_command(
    names: tuple[str, ...], chosen: tuple[str, ...], subject_name: str, *, only_list: bool, **numbers: int
) -> int:
    """Plant each mutant (or those in NAMES) and let the proofs of its property find it.

    Ends with 0 when each was found by its own property, 2 when one survived or was found by another one only.
    """
    console = Console()
    mutants = _chosen(names, shared_options.ids_of(chosen))
    if only_list:
        console.print(_catalogue(mutants))
        return ExitCode.HELD
    pool = Pool(numbers["jobs"])
    with contextlib.closing(pool):
        hunt = Hunt(pool, subject_name, Search(numbers["seeds"]), numbers["repeat"])
        caught = asyncio.run(_hunted(hunt, mutants, console))
    console.print(_table(caught))
    hunted = [result for result in caught if result.tries]
    found = sum(result.is_found for result in hunted)
    console.print(f"\n{found} of {len(hunted)} mutants found by their own property, median {_median(caught)}")
    if len(hunted) < len(caught):
        console.print(f"{len(caught) - len(hunted)} cannot be hunted here: their properties have no simulated scenario")
    return ExitCode.HELD if found == len(hunted) else ExitCode.NOT_PROVEN


async def _hunted(hunt: Hunt, mutants: Sequence[Mutant], console: Console) -> list[Caught]:
    caught = []
    async for result in hunt.all(mutants):
        caught.append(result)
        if not result.is_found:
            console.print(
                f"[bold red]{result.word}[/] {escape(result.name)}: {escape(result.sentence)}", soft_wrap=True
            )
        else:
            console.print(f"[green]found[/] {escape(result.name)} [dim]{result.cost}[/]", soft_wrap=True)
    return sorted(caught, key=lambda result: result.name)


def _chosen(names: Sequence[str], ids: Sequence[str]) -> list[Mutant]:
    known = [find_mutant(name) for name in names] or all_mutants()
    return [mutant for mutant in known if not ids or mutant.property_id in ids]


def _catalogue(mutants: Sequence[Mutant]) -> Table:
    table = Table("mutant", "the mistake", "shows only", box=None, pad_edge=False, header_style="dim")
    for mutant in mutants:
        table.add_row(escape(mutant.name), escape(mutant.sentence), escape(mutant.subtle))
    return table


def _table(caught: Sequence[Caught]) -> Table:
    table = Table("mutant", "found by", "in", "cost", box=None, pad_edge=False, header_style="dim")
    for result in caught:
        style = "green" if result.is_found else "red"
        by = result.property_id if result.is_found else ", ".join(result.found_by) or result.word
        table.add_row(escape(result.name), f"[{style}]{escape(by)}[/]", result.world, result.cost)
    return table


def _median(caught: Sequence[Caught]) -> str:
    runs = [result.runs for result in caught if result.is_found]
    seconds = [result.took_s for result in caught if result.is_found]
    return f"{statistics.median(runs):g} runs, {statistics.median(seconds):.1f} s" if runs else "–"
