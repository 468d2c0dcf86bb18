"""``pywats-chaos compare``: one scenario in each of its worlds, and whether they say the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from chaos.cli import shared_options
from chaos.cli.campaign import Campaign
from chaos.cli.question import question_of_one
from chaos.cli.worlds import worlds_for
from chaos.errors import UsageError
from chaos.evidence import write_evidence
from chaos.outcome import ExitCode, Outcome
from chaos.plan import Run, find_scenario
from chaos.protocols import WorldKind
from chaos.reports.agreement import agreements
from chaos.scenarios import all_scenarios
from chaos.seed import Seed
from chaos.subjects import find_subject

SEED = 20261123
SEEDS = 200


@click.command("compare")
@click.argument("scenario")
@click.option("--seeds", type=click.IntRange(min=1), default=SEEDS, show_default=True, help="Schedules, if simulated.")
@shared_options.seed
@shared_options.subject
@shared_options.as_json
@shared_options.out(default=None)
def compare_command(
    *, scenario: str, seeds: int, seed: int | None, subject_name: str, as_json: bool, out: Path | None
) -> int:
    """Play one scenario in every world that it has, and say where their verdicts disagree.

    Ends with 0 when all of them held, 1 when one is broken (they disagree, or agree on that), 2 when one of them came
    to no verdict.
    """
    story = find_scenario(all_scenarios(), scenario)
    if len(story.worlds) < 2:
        together = [s.name for s in all_scenarios() if len(s.worlds) > 1 and set(s.proves) & set(story.proves)]
        advice = f"compare {together[0]}" if together else "choose one that `pywats-chaos list` shows in two worlds"
        raise UsageError(f"a scenario of several worlds, {story.name} being of {story.worlds[0]}", "one", advice)
    subject, console = find_subject(subject_name), Console(stderr=as_json)
    question = question_of_one(story, story.worlds[0], SEED if seed is None else seed)
    runs = [Run(story, world, Seed(question.seed)) for world in story.worlds]
    campaign = Campaign(replace(question, runs=runs), subject, worlds_for(subject, seeds), subject_option=subject_name)
    try:
        campaign.conduct(console)
    finally:
        outcome = _with_notes(campaign.outcome(), story.worlds)
        if out:
            write_evidence(outcome, out)
    shared_options.show(outcome, console, as_json=as_json)
    is_proven = all(one.is_proven for one in agreements(outcome, tuple(map(str, story.worlds))))
    return outcome.exit_code if outcome.exit_code or is_proven else ExitCode.NOT_PROVEN


def _with_notes(outcome: Outcome, worlds: tuple[WorldKind, ...]) -> Outcome:
    notes: list[str] = []
    for one in agreements(outcome, tuple(map(str, worlds))):
        notes.append(one.words())
        notes += [
            f"{one.property_id}: {fault} fired only in {', '.join(there)}" for fault, there in one.only_in.items()
        ]
    return replace(outcome, notes=tuple(notes))
