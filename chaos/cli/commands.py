"""The commands of ``pywats-chaos``.

Exit codes: 0 all that was asked held, 1 something is broken, 2 something asked for was not exercised, unknown or not
available, 3 usage or environment, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from chaos.catalogue import catalogue, explanation
from chaos.cli.campaign import Question, conduct, question_of, question_of_one
from chaos.cli.crash_command import crash_command
from chaos.cli.proxy_command import proxy_command
from chaos.cli.record_command import record_command
from chaos.errors import ChaosError, UsageError
from chaos.evidence import write_evidence
from chaos.guarantees import guarantees, properties
from chaos.live.wats_server import serve_until_signal
from chaos.outcome import ExitCode, Outcome
from chaos.plan import find_scenario
from chaos.profiles import load_profile, property_ids
from chaos.protocols import WorldKind
from chaos.reports.evidence_json import to_json
from chaos.reports.junit import write_junit
from chaos.reports.markdown import guarantees_page
from chaos.reports.terminal import show_catalogue, show_outcome
from chaos.scenarios import all_scenarios
from chaos.subjects import find_subject

WORLDS = click.Choice([str(kind) for kind in WorldKind])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code; an error is one line on stderr."""
    try:
        code = cli.main(args=arguments, prog_name="pywats-chaos", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        _fail(f"{error.format_message()}{hint}")
    except click.ClickException as error:
        _fail(error.format_message())
    except ChaosError as error:
        _fail(str(error))
    sys.exit(code or 0)


def _fail(words: str) -> NoReturn:
    click.echo(f"pywats-chaos: {words}", err=True)
    sys.exit(ExitCode.USAGE)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="pywats-reliability")
def cli() -> None:
    """Break a service on purpose, and prove that it keeps its promises."""


cli.add_command(proxy_command)


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--markdown", is_flag=True, help="Print a page for the documentation.")
def list_command(*, as_json: bool, markdown: bool) -> None:
    """List properties, scenarios and faults, and what proves what."""
    contents = catalogue(all_scenarios())
    if markdown:
        click.echo(guarantees_page(contents), nl=False)
    elif as_json:
        click.echo(json.dumps(contents, indent=2, ensure_ascii=False))
    else:
        show_catalogue(contents, Console())


@cli.command()
@click.argument("property_id")
def explain(property_id: str) -> None:
    """Say what a property promises, and which faults and scenarios put it to the proof."""
    click.echo(explanation(property_id, all_scenarios()))


@cli.command()
@click.argument("scenario")
@click.option("--world", type=WORLDS, default=None, help="Where to play it (default: its first world).")
@click.option("--seed", type=click.IntRange(min=0), default=20261123, show_default=True, help="Where random begins.")
@click.option("--subject", "subject_name", default="reference", show_default=True, help="The service under test.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON on stdout, progress on stderr.")
@click.option("--history", "show_history", is_flag=True, help="Print the events of the run as well.")
def run(*, scenario: str, world: str | None, seed: int, subject_name: str, as_json: bool, show_history: bool) -> int:
    """Play one scenario and say what it proves."""
    story = find_scenario(all_scenarios(), scenario)
    where = WorldKind(world) if world else story.worlds[0]
    if where not in story.worlds:
        raise UsageError(f"a world of {story.name}: {', '.join(story.worlds)}", str(where), "choose one of those")
    outcome = _conducted(question_of_one(story, where, seed), subject_name, as_json=as_json)
    if show_history:
        click.echo("".join(result.history.to_lines() for result in outcome.runs), err=as_json, nl=False)
    return outcome.exit_code


@cli.command()
@click.option("--property", "chosen", multiple=True, metavar="ID", help="Only this property or guarantee; repeatable.")
@click.option("--profile", "profile_name", default="ci", show_default=True, help="What to run and what must hold.")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Where random begins (default: the profile's).")
@click.option("--subject", "subject_name", default="reference", show_default=True, help="The service under test.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON on stdout, progress on stderr.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to this file.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write the evidence into this folder.")
def verify(*, chosen: tuple[str, ...], profile_name: str, seed: int | None, **outputs: Any) -> int:
    """Prove the guarantees: run the scenarios of a profile and judge what happened."""
    profile = load_profile(profile_name, Path.cwd())
    question = question_of(profile, property_ids(chosen), seed)
    outcome = _conducted(question, outputs["subject_name"], as_json=outputs["as_json"])
    if outputs["junit"]:
        write_junit(outcome, outputs["junit"])
    if outputs["out"]:
        write_evidence(outcome, outputs["out"])
    return outcome.exit_code


def _conducted(question: Question, subject_name: str, *, as_json: bool) -> Outcome:
    console = Console(stderr=as_json)
    outcome = conduct(question, find_subject(subject_name), console)
    titles = {guarantee.id: guarantee.title for guarantee in guarantees()}
    show_outcome(outcome, titles, {p.id: p.promise for p in properties().values()}, console)
    if as_json:
        click.echo(to_json(outcome), nl=False)
    return outcome


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to take reports (0: any free port).")
@click.option("--control-port", type=click.IntRange(0, 65535), default=0, help="Where to be told to misbehave.")
def server(*, host: str, port: int, control_port: int) -> int:
    """Run a WATS server that stores what it takes, counts deliveries, and misbehaves when told to."""
    return serve_until_signal(host, port, control_port)


cli.add_command(record_command)
cli.add_command(crash_command)
