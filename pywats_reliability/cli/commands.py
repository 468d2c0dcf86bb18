"""The commands of ``pywats-service``: run, submit, status, stop, restart; other nouns have modules of their own.

Exit codes: 0 done (of ``run``: stopped cleanly), 1 refused or failed, 2 wrong usage or bad input, 3 the stop was
forced, 4 the stop itself failed, 130 interrupted. An error is one line on stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from pywats_reliability.cli.config_commands import config_group
from pywats_reliability.cli.connection import config_at, patiently, with_service
from pywats_reliability.cli.converters_commands import converters_group
from pywats_reliability.cli.doctor import doctor
from pywats_reliability.cli.gui_command import gui
from pywats_reliability.cli.import_command import import_folder
from pywats_reliability.cli.options import BAD_INPUT, DEFAULT_DATA, FAILED, INTERRUPTED, complain, config_option
from pywats_reliability.cli.process import run_service
from pywats_reliability.cli.queue_commands import queue_group
from pywats_reliability.client_service import AsyncClientService
from pywats_reliability.client_service.settings import ipc_address
from pywats_reliability.errors import (
    ConfigError,
    IPCReportInvalidError,
    ReliabilityError,
    ReportInvalidError,
)
from pywats_reliability.ipc import AsyncIPCClient
from pywats_reliability.report import parse_report

REPORT_BYTES_MAX = 1_000_000
"""What fits into an IPC message of 1 MiB beside the rest of it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = cli.main(args=arguments, prog_name="pywats-service", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        _fail(error.format_message(), BAD_INPUT)
    except (ConfigError, ReportInvalidError, IPCReportInvalidError) as error:
        _fail(str(error), BAD_INPUT)
    except ReliabilityError as error:
        _fail(str(error), FAILED)
    except OSError as error:
        _fail(f"expected the system to carry the command out, found: {error}; mend that and try again", FAILED)
    sys.exit(code or 0)


def _fail(words: str, code: int) -> NoReturn:
    complain(words)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pywats-reliability")
def cli() -> None:
    """Keep test reports until a WATS server has them."""


for command in (queue_group, config_group, converters_group, import_folder, doctor, gui):
    cli.add_command(command)


@cli.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA,
    help="The folder for reports: pending/ sent/ failed/ quarantine/.",
)
@config_option
@click.option("--json-log", is_flag=True, help="Log lines as JSON instead of key=value.")
def run(data: Path, config_path: Path, *, json_log: bool) -> int:
    """Run the service until SIGTERM or Ctrl-C; a second one cancels the uploads in flight."""
    return run_service(data, config_path, _announce, json_log=json_log)


def _announce(service: AsyncClientService) -> None:
    where = {"ipc": str(ipc_address(service.config)), "data": str(service.data)}
    click.echo(json.dumps({"status": service.status, **where}))


@cli.command()
@config_option
@click.option("--priority", type=click.IntRange(1, 10), default=5, show_default=True, help="1 is the most urgent.")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def submit(files: tuple[Path, ...], config_path: Path, priority: int) -> int:
    """Hand over reports (WSJF, JSON) to the running service; each is durable when its id is printed."""

    async def hand_over(client: AsyncIPCClient) -> int:
        code = 0
        for path in files:
            try:
                arguments = {"report": _text_of(path), "priority": priority}
                answer = await patiently(client, "submit", arguments)
                click.echo(f"{answer['id']}  {path}")
            except ReliabilityError as error:
                is_bad = isinstance(error, ReportInvalidError | IPCReportInvalidError)
                code = BAD_INPUT if is_bad and code != FAILED else FAILED
                click.echo(f"pywats-service: {path}: {error}", err=True)
        return code

    return with_service(config_at(config_path), hand_over)


def _text_of(path: Path) -> str:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ReportInvalidError("a readable file", error.strerror or type(error).__name__) from error
    if len(body) > REPORT_BYTES_MAX:
        expected = f"at most {REPORT_BYTES_MAX} bytes (larger files: copy them into the pending/ folder)"
        raise ReportInvalidError(expected, f"{len(body)} bytes")
    return parse_report(body).body.decode()


@cli.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print all that the service says, as JSON.")
def status(config_path: Path, *, as_json: bool) -> int:
    """Say how the running service is, and why."""

    async def ask(client: AsyncIPCClient) -> Any:
        return await patiently(client, "get_status", {})

    answer = with_service(config_at(config_path), ask)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return 0
    queue = answer["pending_queue"]
    click.echo(f"{answer['status']}, server {answer['api_status']}, up {answer['uptime_seconds']:.0f} s")
    click.echo(
        f"{queue['queued_files']} pending of {queue['max_queue_size']}, {queue['active_uploads']} being sent,"
        f" {queue['successful']} sent, {queue['stuck_files']} failed"
    )
    for reason in answer["reasons"]:
        click.echo(f"! {reason}")
    if waiting := answer.get("needs_restart"):
        click.echo(f"in force with the next start only: {', '.join(waiting)}")
    return 0


@cli.command()
@config_option
def stop(config_path: Path) -> int:
    """Ask the running service to stop; it finishes what is in flight first."""
    return _request(config_path, "stop")


@cli.command()
@config_option
def restart(config_path: Path) -> int:
    """Ask the running service to stop, as `stop` does, and to start again with the settings of its file."""
    return _request(config_path, "restart")


def _request(config_path: Path, command: str) -> int:
    async def ask(client: AsyncIPCClient) -> Any:
        return await patiently(client, command, {})

    with_service(config_at(config_path), ask)
    click.echo(f"{command} requested")
    return 0
