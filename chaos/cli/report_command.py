"""``pywats-chaos report``: show earlier evidence again, here or as files."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from chaos.cli import shared_options
from chaos.evidence import read_evidence, write_evidence


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=shared_options.OUT)
@shared_options.as_json
@shared_options.out(default=None)
def report(*, folder: Path, as_json: bool, out: Path | None) -> int:
    """Print what the evidence in FOLDER says, and end as its campaign did; --out writes all reports anew."""
    outcome = read_evidence(folder)
    if out:
        write_evidence(outcome, out)
    shared_options.show(outcome, Console(stderr=as_json), as_json=as_json)
    return outcome.exit_code
