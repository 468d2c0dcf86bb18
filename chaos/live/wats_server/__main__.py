"""``python -m chaos.live.wats_server``: the WATS server for tests, as a child process."""

from __future__ import annotations

import sys

import click

from chaos.errors import ChaosError
from chaos.live.wats_server.process import MODULE, announce_on, run
from chaos.wats_server.memory import MEBIBYTE, ServerSettings
from chaos.wats_server.replies import AnswerShape

EXIT_USAGE = 3
SHAPES = [str(shape) for shape in AnswerShape]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to take reports (0: any free port).")
@click.option("--control-port", type=click.IntRange(0, 65535), default=0, help="Where to be told to misbehave.")
@click.option("--announce", metavar="FD", default="-", help="Where to write the ports: a descriptor, or -.")
@click.option("--exit-with-stdin", is_flag=True, help="End when standard input ends.")
@click.option("--token", envvar="PYWATS_CHAOS_TOKEN", help="Ask for this after `Authorization: Basic`.")
@click.option("--answer-shape", type=click.Choice(SHAPES), default=SHAPES[0], show_default=True, help="How to say yes.")
@click.option("--body-mib", type=click.IntRange(1, 1024), default=32, show_default=True, help="Largest report.")
@click.option("--stored-mib", type=click.IntRange(1), default=1024, show_default=True, help="All reports together.")
def command(
    *,
    host: str,
    port: int,
    control_port: int,
    announce: str,
    exit_with_stdin: bool,
    token: str | None,
    answer_shape: str,
    body_mib: int,
    stored_mib: int,
) -> int:
    """Take reports on one loopback port, be told to misbehave on another, until a signal or stdin's end."""
    settings = ServerSettings(
        token=token,
        answer_shape=AnswerShape(answer_shape),
        body_bytes_max=body_mib * MEBIBYTE,
        stored_bytes_max=stored_mib * MEBIBYTE,
    )
    where = announce_on(announce)
    return run(host, port, control_port, settings=settings, announce=where, exit_with_stdin=exit_with_stdin)


def main() -> None:
    """Run the command line; what is wrong is one line on stderr and exit code 3."""
    try:
        code = command.main(prog_name=f"python -m {MODULE}", standalone_mode=False)
    except (ChaosError, click.ClickException) as error:
        click.echo(error.format_message() if isinstance(error, click.ClickException) else str(error), err=True)
        code = EXIT_USAGE
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
