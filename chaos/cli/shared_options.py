"""Options that several commands have, and what they print at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from chaos.guarantees import properties
from chaos.outcome import Outcome
from chaos.profiles import property_ids
from chaos.protocols import WorldKind
from chaos.reports.evidence_json import to_json
from chaos.reports.terminal import show_outcome

F = TypeVar("F", bound=Callable[..., Any])
OUT = Path("chaos-evidence")
WORLDS = click.Choice([str(kind) for kind in WorldKind])

seed = click.option("--seed", type=click.IntRange(min=0), default=None, help="Where random begins.")
subject = click.option(
    "--subject", "subject_name", default="reference", show_default=True, help="The service under test."
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print the outcome as JSON on stdout, the rest on stderr."
)


def out(*, default: Path | None) -> Callable[[F], F]:
    """Return the option for the evidence folder."""
    folder = click.Path(file_okay=False, path_type=Path)
    words = "Write the evidence into this folder."
    return click.option("--out", type=folder, default=default, show_default=bool(default), help=words)


def repeat(*, default: int | None) -> Callable[[F], F]:
    """Return the option that repeats each scenario."""
    words = "Play each scenario so often, each time from another seed; live ones state their rate."
    return click.option("--repeat", type=click.IntRange(min=1), default=default, show_default=bool(default), help=words)


def repeat_share(*, default: float | None) -> Callable[[F], F]:
    """Return the option that has a share of the simulated runs repeated in another process."""
    words = "Repeat this share of the simulated runs (0 to 1) in another process; one that differs ends with 4."
    shown = default is not None or "the profile's"
    kind = click.FloatRange(min=0, max=1)
    return click.option("--repeat-share", type=kind, default=default, show_default=shown, help=words)


def ids_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the property ids behind options such as ``C1,H1.3`` (given once or often). Raises ``UsageError``."""
    return property_ids([word.strip() for text in texts for word in text.split(",") if word.strip()])


def show(outcome: Outcome, console: Console, *, as_json: bool, document: str | None = None) -> None:
    """Print the outcome, for people on ``console`` and as JSON on stdout when asked for (``document``, if written)."""
    show_outcome(outcome, {part.id: part.promise for part in properties().values()}, console)
    if as_json:
        click.echo(document or to_json(outcome), nl=False)
