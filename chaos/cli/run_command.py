"""``pywats-chaos run``: play one scenario or one experiment file, watch it, and hear what it proves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from chaos.cli import shared_options
from chaos.cli.campaign import REFERENCE, Campaign
from chaos.cli.experiment_run import SUFFIX, dry_run, run_experiment
from chaos.cli.live_shrinking import Shrinking, shrinking
from chaos.cli.question import question_of_one
from chaos.cli.worlds import worlds_for
from chaos.errors import UsageError
from chaos.evidence import write_evidence
from chaos.plan import find_scenario
from chaos.protocols import Scenario, WorldKind
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
@shrinking
@shared_options.out(default=None)
def run(*, scenario: str, seed: int | None, is_dry: bool, **options: Any) -> int:
    """Play one scenario and say what it proves; in a terminal its lanes, queue and faults are shown as it goes.

    An argument that ends in .toml is an experiment file: any executable, its steady state, its faults.
    """
    number = SEED if seed is None else seed
    if scenario.endswith(SUFFIX):
        _refuse_options(options)
        path = Path(scenario)
        if is_dry:
            return dry_run(path)
        shown = {key: options[key] for key in ("out", "as_json", "show_history")}
        return run_experiment(path, number, **shown)
    if is_dry:
        raise UsageError("an experiment file (.toml) to tell of", scenario, "use `explain` for a property's scenarios")
    return _run_scenario(find_scenario(all_scenarios(), scenario), number, **options)


def _run_scenario(story: Scenario, seed: int, *, world: str | None, out: Path | None, **options: Any) -> int:
    where = WorldKind(world) if world else story.worlds[0]
    if where not in story.worlds:
        raise UsageError(f"a world of {story.name}: {', '.join(story.worlds)}", str(where), "choose one of those")
    name, as_json = options["subject_name"], options["as_json"]
    subject, console = find_subject(name), Console(stderr=as_json)
    question = question_of_one(story, where, seed, options["repeat"])
    campaign = Campaign(question, subject, worlds_for(subject, options["seeds"]), subject_option=name)
    try:
        campaign.conduct(console, is_one=options["repeat"] == 1)
    finally:
        outcome = campaign.outcome()
        if out:
            write_evidence(outcome, out)
    if options["shrink"] and not outcome.interrupted:
        how = Shrinking(subject, name, options["rate"], options["shrink_minutes"], console)
        outcome = how.outcome(outcome, question)
        if out:
            write_evidence(outcome, out)
    shared_options.show(outcome, console, as_json=as_json)
    if options["show_history"]:
        click.echo("".join(result.history.to_lines() for result in outcome.runs), err=as_json, nl=False)
    return outcome.exit_code


def _refuse_options(options: Mapping[str, Any]) -> None:
    """Refuse options that an experiment would ignore. Raises ``UsageError``."""
    is_one = options["seeds"] == options["repeat"] == 1 and not options["shrink"]
    if not is_one or options["world"] not in (None, "live") or options["subject_name"] != REFERENCE:
        expected = "no --world, --seeds, --repeat, --shrink or --subject with an experiment file"
        advice = "leave them out: an experiment is played live, and names its subject itself"
        raise UsageError(expected, "one of them", advice)
