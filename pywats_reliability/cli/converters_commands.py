"""``pywats-service converters``: how the running service's converters are, and starting and stopping one by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pywats_reliability.cli.connection import config_at, patiently, with_service
from pywats_reliability.cli.options import config_option, json_option, on_one_line, say_json
from pywats_reliability.ipc import AsyncIPCClient


@click.group("converters")
def converters_group() -> None:
    """List the converters of the running service; start or stop one until the service's next start."""


@converters_group.command("list")
@config_option
@json_option
def list_converters(config_path: Path, *, as_json: bool) -> int:
    """List the converters, the most urgent first."""
    converters = _asked(config_path, "get_converters", {})
    if as_json:
        say_json(converters)
        return 0
    for converter in converters:
        click.echo(on_one_line(_line(converter)))
        for words in (converter["trouble"], converter["last_error"]):
            if words:
                click.echo(on_one_line(f"  ! {words}"))
    click.echo(f"{len(converters)} converters")
    return 0


@converters_group.command()
@config_option
@click.argument("name")
def start(config_path: Path, name: str) -> int:
    """Let a converter work, also one that is disabled, until the service's next start."""
    _asked(config_path, "start_converter", {"name": name})
    click.echo(on_one_line(f"{name}: started"))
    return 0


@converters_group.command()
@config_option
@click.argument("name")
def stop(config_path: Path, name: str) -> int:
    """Let a converter end after what it is converting, until the service's next start."""
    _asked(config_path, "stop_converter", {"name": name})
    click.echo(on_one_line(f"{name}: stopped"))
    return 0


def _asked(config_path: Path, command: str, arguments: Mapping[str, Any]) -> Any:
    async def ask(client: AsyncIPCClient) -> Any:
        return await patiently(client, command, arguments)

    return with_service(config_at(config_path), ask)


def _line(converter: Mapping[str, Any]) -> str:
    return (
        f"{converter['name']}  {converter['state']}  priority {converter['priority']}  {converter['watch_folder']}"
        f"  {converter['successful']} converted, {converter['errors']} errors, {converter['waiting']} waiting,"
        f" {converter['active']} active"
    )
