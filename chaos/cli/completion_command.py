"""``pywats-chaos completion``: the lines that make a shell complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM, VARIABLE = "pywats-chaos", "_PYWATS_CHAOS_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print what SHELL must read: `pywats-chaos completion bash >> ~/.bashrc`."""
    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells that we offer"
    click.echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())
