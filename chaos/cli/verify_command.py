"""``pywats-chaos verify``: prove the guarantees, and leave the evidence at every exit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from chaos.baseline import compared
from chaos.cli import shared_options
from chaos.cli.campaign import REFERENCE, Campaign, Hunting
from chaos.cli.hunting import hunting_for
from chaos.cli.question import Gate, Question, part_of, question_of
from chaos.cli.worlds import worlds_for
from chaos.errors import UsageError
from chaos.evidence import DOCUMENT, read_evidence, tell_ci, write_evidence
from chaos.outcome import Outcome
from chaos.profiles import Profile, load_profile
from chaos.protocols import WorldKind
from chaos.reports.junit import write_junit
from chaos.shards import Shard
from chaos.subjects import find_subject


@click.command()
@click.option("--property", "chosen", multiple=True, metavar="ID", help="Only this property or guarantee; repeatable.")
@click.option(
    "--profile", "profile_name", default="ci", show_default=True, help="quick, ci, release, soak or your own."
)
@shared_options.seed
@shared_options.subject
@click.option("--require", multiple=True, metavar="IDS", help="What must hold, such as C1,C2 (default: the profile's).")
@click.option("--allow-unknown", multiple=True, metavar="IDS", help="What may be unproven all the same, such as H2.1.")
@click.option("--against", type=click.Path(path_type=Path), help="Earlier evidence: worse or weaker turns it red.")
@click.option("--allow-weaker", multiple=True, metavar="IDS", help="What may be worse or weaker than before.")
@click.option("--shard", metavar="I/N", help="Play only part I of N; `merge` puts the evidence together.")
@click.option("--seeds", type=click.IntRange(min=1), default=None, help="Schedules per simulated scenario.")
@shared_options.repeat(default=None)
@shared_options.repeat_share(default=None)
@click.option("--world", "worlds", type=shared_options.WORLDS, multiple=True, help="Only this world; repeatable.")
@click.option("--minutes", type=click.FloatRange(min=0), default=None, help="Go on from new seeds for so long.")
@click.option(
    "--mutants/--no-mutants", "hunts", default=None,
    help="Hunt the planted mistakes, too; one that survives fails the gate (default: the profile's).",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on where the campaign in --out was interrupted.")
@shared_options.as_json
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to this file, too.")
@shared_options.out(default=shared_options.OUT)
def verify(*, out: Path, against: Path | None, as_json: bool, subject_name: str, **options: Any) -> int:
    """Prove the guarantees: run the scenarios of a profile and judge what happened.

    Ends with 0 when all that was asked for held, 1 when something is broken (or worse or weaker than before), 2 when
    something asked for is not proven, 4 when a run was not the same twice, 130 when interrupted. The evidence is
    written in any case.
    """
    console = Console(stderr=as_json)
    subject = find_subject(subject_name)
    profile = load_profile(options["profile_name"], Path.cwd())
    profile = replace(
        profile,
        repeat=options["repeat"] or profile.repeat,
        worlds=tuple(map(WorldKind, options["worlds"])) or profile.worlds,
    )
    share = profile.repeat_share if options["repeat_share"] is None else options["repeat_share"]
    worlds = worlds_for(subject, options["seeds"] or profile.seeds, repeat_share=share)
    question = _question(profile, options, worlds.kinds)
    before = read_evidence(against) if against else None
    allowed = shared_options.ids_of(options["allow_weaker"])
    earlier = read_evidence(out) if options["resume"] and (out / DOCUMENT).exists() else None
    _writable(out)
    campaign = Campaign(
        question,
        subject,
        worlds,
        earlier=earlier,
        save=lambda outcome: write_evidence(outcome, out),
        subject_option=subject_name,
        hunting=_hunting(question, profile, subject_name, asked=options["hunts"]),
    )
    try:
        campaign.conduct(console)
    finally:  # Also when our own code failed: what had ended by then is evidence.
        outcome = campaign.outcome()
        if before:
            outcome = compared(outcome, before, allowed=allowed)
        try:
            document = _write(outcome, out, options["junit"])
        except UsageError:  # Whatever the disk says, what was found is told.
            shared_options.show(outcome, console, as_json=as_json)
            raise
    shared_options.show(outcome, console, as_json=as_json, document=document)
    console.print(f"evidence: {out / 'report.html'}", soft_wrap=True, highlight=False)
    return outcome.exit_code


def _question(profile: Profile, options: dict[str, Any], kinds: frozenset[WorldKind]) -> Question:
    gate = Gate(shared_options.ids_of(options["require"]), shared_options.ids_of(options["allow_unknown"]))
    chosen = shared_options.ids_of(options["chosen"])
    question = question_of(profile, chosen, options["seed"], gate, kinds, minutes=options["minutes"])
    return part_of(question, Shard.parse(options["shard"])) if options["shard"] else question


def _hunting(question: Question, profile: Profile, subject: str, *, asked: bool | None) -> Hunting | None:
    """Return the hunt to end with, if there is to be one. Raises ``UsageError`` for a subject that has no mutants."""
    if asked and subject != REFERENCE:
        raise UsageError("a subject with mutants", repr(subject), f"leave out --mutants: only {REFERENCE} has any")
    wanted = profile.mutants if asked is None else asked
    return hunting_for(question, subject, profile.worlds) if wanted and subject == REFERENCE else None


def _writable(out: Path) -> None:
    """Find out before the campaign, not after it, that its evidence cannot be written. Raises ``UsageError``."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"a folder to write to at {out}", str(error.strerror or error), "name another --out"
        ) from error


def _write(outcome: Outcome, out: Path, junit: Path | None) -> str:
    document = write_evidence(outcome, out)
    tell_ci(outcome)
    if junit:
        try:
            write_junit(outcome, junit)
        except OSError as error:
            raise UsageError(f"a file to write to at {junit}", str(error.strerror or error), "name another") from error
    return document
