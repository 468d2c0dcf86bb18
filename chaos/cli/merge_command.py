"""``pywats-chaos merge``: the evidence of several shards as the evidence of one campaign."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from chaos.baseline import compared
from chaos.cli import shared_options
from chaos.evidence import read_evidence, tell_ci, write_evidence
from chaos.shards import merged


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), help="Earlier evidence: worse or weaker turns it red.")
@click.option("--allow-weaker", multiple=True, metavar="IDS", help="What may be worse or weaker than before.")
@shared_options.as_json
@shared_options.out(default=shared_options.OUT)
def merge(
    *, folders: tuple[Path, ...], against: Path | None, allow_weaker: tuple[str, ...], as_json: bool, out: Path
) -> int:
    """Put the evidence FOLDERS of shards together, and end as the whole campaign would have.

    A missing shard makes the whole interrupted: what is not there proves nothing.
    """
    outcome = merged([read_evidence(folder) for folder in folders])
    if against:
        outcome = compared(outcome, read_evidence(against), allowed=shared_options.ids_of(allow_weaker))
    document = write_evidence(outcome, out)
    tell_ci(outcome)
    console = Console(stderr=as_json)
    shared_options.show(outcome, console, as_json=as_json, document=document)
    console.print(f"evidence: {out / 'report.html'}", soft_wrap=True, highlight=False)
    return outcome.exit_code
