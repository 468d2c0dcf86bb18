"""``pywats-chaos mutants``: every planted mistake must be found by the property that it breaks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chaos.cli import shared_options
from chaos.cli.hunting import hunted, table_of, totals_of
from chaos.errors import UsageError
from chaos.explore import Hunt, Terms
from chaos.mutants import TEN_PLANTED_BUGS, Mutant, all_mutants, find_mutant
from chaos.outcome import ExitCode

JOBS = os.cpu_count() or 1


@click.command("mutants")
@click.argument("names", nargs=-1)
@click.option("--property", "chosen", multiple=True, metavar="ID", help="Only mutants of this property or guarantee.")
@click.option("--planted", "of_ten", is_flag=True, help="Only ten classic bugs that a proof of this kind has to find.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=JOBS, show_default="every core",
    help="Worker processes; beside them, twice as many live runs.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=400, show_default=True, help="Schedules tried at most.")
@click.option("--repeat", type=click.IntRange(min=1), default=3, show_default=True, help="Hunts, from other seeds.")
@click.option(
    "--limit-s",
    type=click.FloatRange(min=0, min_open=True),
    default=150.0,
    show_default=True,
    help="Seconds for one hunt; then its worker process is ended.",
)
@click.option("--list", "only_list", is_flag=True, help="Say what there is, and hunt nothing.")
@shared_options.subject
def mutants_command(
    names: tuple[str, ...], chosen: tuple[str, ...], subject_name: str, *, only_list: bool, of_ten: bool, **numbers: Any
) -> int:
    """Plant each mutant (or those in NAMES) and let the proofs of its property find it.

    Ends with 0 when each was found by its own property every time, 1 when one was not (it survived, ran out of time, or
    was found by another property only), 130 when interrupted.
    """
    console = Console()
    titles = {find_mutant(name).name: title for title, name in TEN_PLANTED_BUGS.items()} if of_ten else None
    mutants = _chosen([*names, *(titles or ())], shared_options.ids_of(chosen))
    if only_list:
        console.print(_catalogue(mutants))
        return ExitCode.HELD
    terms = Terms(numbers["seeds"], numbers["repeat"], numbers["limit_s"])
    caught, was_cut_short = hunted(Hunt(subject_name, terms, numbers["jobs"]), mutants, console)
    console.print(table_of(caught, titles))
    console.print(f"\n{totals_of(caught, len(mutants))}", highlight=False)
    if was_cut_short:
        return ExitCode.INTERRUPTED
    return ExitCode.HELD if all(result.is_found for result in caught if result.is_hunted) else ExitCode.BROKEN


def _chosen(names: Sequence[str], ids: Sequence[str]) -> list[Mutant]:
    known = [find_mutant(name) for name in names] or all_mutants()
    mutants = [mutant for mutant in known if not ids or mutant.property_id in ids]
    if not mutants:
        raise UsageError("mutants to hunt", "none that fits", "see `pywats-chaos mutants --list`")
    return mutants


def _catalogue(mutants: Sequence[Mutant]) -> Table:
    table = Table("mutant", "the mistake", "shows only", box=None, pad_edge=False, header_style="dim")
    for mutant in mutants:
        table.add_row(escape(mutant.name), escape(mutant.sentence), escape(mutant.subtle))
    return table
