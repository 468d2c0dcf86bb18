"""``pywats-service gui``: the configurator, where Qt is installed; where it is not, one line says what to install."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import click

from pywats_reliability.cli.options import DEFAULT_DATA, config_option
from pywats_reliability.gui.availability import require_qt


@click.command()
@config_option
@click.option("--data", type=click.Path(path_type=Path), default=DEFAULT_DATA, help="The folder for reports.")
@click.option("--dark/--light", "is_dark", default=None, help="The look, if not the system's.")
@click.option(
    "--translations",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with pywats_<locale>.qm.",
)
def gui(config_path: Path, data: Path, *, is_dark: bool | None, translations: Path | None) -> int:
    """Open the configurator; it works with a running service, and waits for one that is not running."""
    require_qt(os.environ)
    application = importlib.import_module("pywats_reliability.gui.application")  # It needs Qt, an extra.
    code: int = application.run_configurator(config_path, data, os.environ, is_dark=is_dark, translations=translations)
    return code
