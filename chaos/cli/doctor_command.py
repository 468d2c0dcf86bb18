"""``pywats-chaos doctor``: what this machine can and cannot do, and what to install."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from chaos.cli.machine import abilities
from chaos.cli.prove_undo import prove_undo as kill_runs
from chaos.outcome import ExitCode

SEED = 20261123


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
@click.option("--prove-undo", type=click.IntRange(min=1), metavar="N", help="Kill N runs at random moments instead.")
@click.option("--seed", type=click.IntRange(min=0), default=SEED, show_default=True, help="Where those moments begin.")
def doctor(*, as_json: bool, prove_undo: int | None, seed: int) -> int:
    """Say what this machine can do for each world; what is missing will be "not available here", never held.

    Ends with 0 unless the simulation or live processes cannot be had, which is 2.

    With --prove-undo live runs of every kind are killed by SIGKILL at random moments, one after the other: 0 if no
    process, folder, socket, mount or shared memory of them was left, 1 if something was.
    """
    if prove_undo:
        return kill_runs(prove_undo, seed)
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
