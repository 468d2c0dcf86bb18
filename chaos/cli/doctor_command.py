"""``pywats-chaos doctor``: what this machine can and cannot do, and what to install."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from chaos.cli.machine import abilities
from chaos.outcome import ExitCode


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def doctor(*, as_json: bool) -> int:
    """Say what this machine can do for each world; what is missing will be "not available here", never held.

    Ends with 0 unless the simulation or live processes cannot be had, which is 2.
    """
    found = abilities()
    if as_json:
        click.echo(json.dumps([asdict(ability) for ability in found], indent=2))
    else:
        for ability in found:
            mark, style = ("✓", "green") if ability.is_there else ("✗", "red")
            line = f" {click.style(mark, fg=style)} {ability.name:<12} {ability.found}"
            click.echo(line if ability.is_there else f"{line}: {ability.advice} (missing without it: {ability.lost})")
    is_fit = all(ability.is_there for ability in found if ability.is_needed)
    return ExitCode.HELD if is_fit else ExitCode.NOT_PROVEN
