"""``pywats-chaos run``: play one scenario or one experiment file, watch it, and hear what it proves."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from chaos.cli import shared_options
from chaos.cli.campaign import Campaign
from chaos.cli.experiment_run import SUFFIX, dry_run, run_experiment
from chaos.cli.question import question_of_one
from chaos.cli.worlds import worlds_for
from chaos.errors import UsageError
from chaos.evidence import write_evidence
from chaos.plan import find_scenario
from chaos.protocols import WorldKind
from chaos.scenarios import all_scenarios
from chaos.subjects import find_subject

SEED = 20261123


@click.command()
@click.argument("scenario", metavar="SCENARIO|FILE.toml")
@click.option("--world", type=shared_options.WORLDS, default=None, help="Where to play it (default: its first world).")
@shared_options.seed
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Schedules, if simulated.")
@shared_options.repeat(default=1)
@shared_options.subject
@shared_options.as_json
@click.option("--history", "show_history", is_flag=True, help="Print the events of the run as well.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Of an experiment file: say what would happen, do nothing.")
@shared_options.out(default=None)
def run(
    *,
    scenario: str,
    world: str | None,
    seed: int | None,
    seeds: int,
    repeat: int,
    subject_name: str,
    as_json: bool,
    show_history: bool,
    is_dry: bool,
    out: Path | None,
) -> int:
    """Play one scenario and say what it proves; in a terminal its lanes, queue and faults are shown as it goes.

    An argument that ends in .toml is an experiment file: any executable, its steady state, its faults.
    """
    number = SEED if seed is None else seed
    if scenario.endswith(SUFFIX):
        _refuse_options(is_one=world in (None, "live") and seeds == repeat == 1 and subject_name == "reference")
        path = Path(scenario)
        if is_dry:
            return dry_run(path)
        return run_experiment(path, number, out=out, as_json=as_json, show_history=show_history)
    if is_dry:
        raise UsageError("an experiment file (.toml) to tell of", scenario, "use `explain` for a property's scenarios")
    story = find_scenario(all_scenarios(), scenario)
    where = WorldKind(world) if world else story.worlds[0]
    if where not in story.worlds:
        raise UsageError(f"a world of {story.name}: {', '.join(story.worlds)}", str(where), "choose one of those")
    subject = find_subject(subject_name)
    console = Console(stderr=as_json)
    question = question_of_one(story, where, number, repeat)
    campaign = Campaign(question, subject, worlds_for(subject, seeds), subject_option=subject_name)
    try:
        campaign.conduct(console, is_one=repeat == 1)
    finally:
        outcome = campaign.outcome()
        if out:
            write_evidence(outcome, out)
    shared_options.show(outcome, console, as_json=as_json)
    if show_history:
        click.echo("".join(result.history.to_lines() for result in outcome.runs), err=as_json, nl=False)
    return outcome.exit_code


def _refuse_options(*, is_one: bool) -> None:
    """Refuse options that an experiment would ignore. Raises ``UsageError``."""
    if not is_one:
        advice = "leave them out: an experiment is played live, and names its subject itself"
        raise UsageError("no --world, --seeds, --repeat or --subject with an experiment file", "one of them", advice)
