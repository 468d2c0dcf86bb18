"""What the commands share: their exit codes, the places they use by default, and how a line for people is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import platformdirs

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
DEFAULT_CONFIG = platformdirs.user_config_path("pywats") / "service.json"
DEFAULT_DATA = platformdirs.user_data_path("pywats") / "reports"

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_CONFIG,
    help="The configuration file (made with defaults if there is none).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def complain(words: object) -> None:
    """Say on stderr, in one line, what is wrong."""
    click.echo(f"pywats-service: {on_one_line(str(words))}", err=True)


def on_one_line(text: str) -> str:
    """Return ``text`` as one line that any terminal takes: what it could not show is escaped."""
    words = " ".join(line.rstrip() for line in text.splitlines())
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in words)


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2))
