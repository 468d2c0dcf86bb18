"""``pywats-chaos explain``: what a property promises, what puts it to the proof, and how that went last."""

from __future__ import annotations

from pathlib import Path

import click

from chaos.catalogue import explanation
from chaos.checkers import all_checkers
from chaos.cli import shared_options
from chaos.errors import UsageError
from chaos.evidence import DOCUMENT, read_evidence
from chaos.guarantees import find_property, guarantees
from chaos.mutants import told_mutants
from chaos.outcome import Outcome
from chaos.reports.strength import counted_words, strength_of
from chaos.scenarios import all_scenarios


@click.command()
@click.argument("property_id")
@click.option(
    "--evidence",
    type=click.Path(path_type=Path),
    default=shared_options.OUT,
    show_default=True,
    help="Where the last result is.",
)
def explain(*, property_id: str, evidence: Path) -> None:
    """Say what a property (C1.6) or guarantee (C1) promises, what proves it, and how that went last."""
    whole = next((g for g in guarantees() if g.id == property_id.upper()), None)
    ids = [part.id for part in whole.properties] if whole else [find_property(property_id).id]
    mutants, checkers = told_mutants(), all_checkers()
    last = _last(evidence)
    for number, one in enumerate(ids):
        click.echo(("\n" if number else "") + explanation(one, all_scenarios(), mutants, checkers.get(one, ())))
        click.echo(f"  last       {_result(one, last)}")


def _last(evidence: Path) -> Outcome | str:
    """Return the outcome of the last campaign, or why there is none."""
    if not evidence.is_file() and not (evidence / DOCUMENT).exists():
        return f"no evidence at {evidence}: run `pywats-chaos verify`"
    try:
        return read_evidence(evidence)
    except UsageError as error:
        return str(error)


def _result(property_id: str, last: Outcome | str) -> str:
    if isinstance(last, str):
        return last
    result = next((r for r in last.properties if r.property_id == property_id), None)
    if result is None:
        return f"not looked at by the campaign of {last.header.began_at}"
    hunted = [mutant for mutant in last.mutants if mutant.property_id == property_id]
    counts = counted_words(strength_of(result.runs, hunted))
    words = ", ".join(counts) or "no run"
    line = f"{result.verdict} ({words}; {last.header.began_at}, profile {last.header.profile})"
    for checker, verdict in result.checkers.items():
        line += f"\n             {checker}: {verdict}"
    if result.worst and result.verdict != "held":
        run, finding = result.worst
        line += f"\n             found {finding.found}\n             {run.replay}"
    for mutant in hunted:
        how = f"found after {mutant.runs:,} runs, {mutant.took_s:.1f} s" if mutant.found else "not found"
        line += f"\n             {mutant.name}: {how} ({mutant.world})"
    return line
