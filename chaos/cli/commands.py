"""The commands of ``pywats-chaos``; each of any size has a module of its own.

Exit codes: 0 all that was asked held, 1 something is broken, 2 something asked for was not exercised, unknown or not
available, 3 usage or environment, 130 interrupted.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence
from typing import NoReturn

import click
from rich.console import Console

from chaos.catalogue import catalogue
from chaos.cli.compare_command import compare_command
from chaos.cli.completion_command import completion
from chaos.cli.crash_command import crash_command
from chaos.cli.crash_state_command import crash_state_command
from chaos.cli.doctor_command import doctor
from chaos.cli.explain_command import explain
from chaos.cli.explore_command import explore_command
from chaos.cli.init_command import init
from chaos.cli.merge_command import merge
from chaos.cli.mutants_command import mutants_command
from chaos.cli.proxy_command import proxy_command
from chaos.cli.record_command import record_command
from chaos.cli.replay_command import replay_command
from chaos.cli.report_command import report
from chaos.cli.run_command import run
from chaos.cli.verify_command import verify
from chaos.errors import ChaosError
from chaos.live.wats_server import serve_until_signal
from chaos.mutants import told_mutants
from chaos.outcome import ExitCode
from chaos.reports.markdown import guarantees_page
from chaos.reports.terminal import show_catalogue
from chaos.scenarios import all_scenarios


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


class Commands(click.Group):
    """A group that suggests the nearest command for one that is not there."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is asked for. Raises ``UsageError`` with what may have been meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            advice = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(self.list_commands(ctx))}"
            said = (
                error.format_message().partition(". Did you mean")[0].rstrip(".")
            )  # Newer versions of click suggest, too.
            raise click.UsageError(f"{said}; {advice}", ctx) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="pywats-reliability")
def cli() -> None:
    """Break a service on purpose, and prove that it keeps its promises."""


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--markdown", is_flag=True, help="Print a page for the documentation.")
def list_command(*, as_json: bool, markdown: bool) -> None:
    """List properties, scenarios and faults, and what proves what."""
    contents = catalogue(all_scenarios(), told_mutants())
    if markdown:
        click.echo(guarantees_page(contents), nl=False)
    elif as_json:
        click.echo(json.dumps(contents, indent=2, ensure_ascii=False))
    else:
        show_catalogue(contents, Console())


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to take reports (0: any free port).")
@click.option("--control-port", type=click.IntRange(0, 65535), default=0, help="Where to be told to misbehave.")
def server(*, host: str, port: int, control_port: int) -> int:
    """Run a WATS server that stores what it takes, counts deliveries, and misbehaves when told to."""
    return serve_until_signal(host, port, control_port)


for command in (
    verify,
    run,
    explain,
    explore_command,
    replay_command,
    compare_command,
    mutants_command,
    crash_command,
    crash_state_command,
    record_command,
    proxy_command,
    doctor,
    merge,
    report,
    init,
    completion,
):
    cli.add_command(command)
