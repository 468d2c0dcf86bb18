"""Plays one story on the stage, in a process of its own, and prints what it found as one JSON line.

python -m chaos.subjects.configurator.probe pages_closed --folder DIR
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import click

from pywats_reliability.errors import GuiUnavailableError
from pywats_reliability.gui.availability import require_qt

STORIES: Mapping[str, str] = {
    "pages_closed": "closing:pages_closed_at_any_instant",
    "steps_fail": "closing:each_step_fails",
    "window_closed": "closing:window_closed_during_each_activity",
    "cycles": "cycles:opened_and_closed_again_and_again",
    "actions": "actions:every_action_under_every_fault",
}


@click.command()
@click.argument("story", type=click.Choice(list(STORIES)))
@click.option("--folder", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--arguments", default="{}", help="The story's arguments, a JSON object; seed is everybody's.")
def main(story: str, folder: Path, arguments: str) -> None:
    """Play one story and print what came of it."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        require_qt(os.environ)
    except GuiUnavailableError as error:
        absent = {"need": "Qt, offscreen", "reason": error.found, "advice": error.to_do}
        click.echo(json.dumps({"not_available": absent}))
        return
    given = json.loads(arguments)
    stage = importlib.import_module("chaos.subjects.configurator.stage")  # It needs Qt.
    played = story_named(story)
    seed = given.pop("seed", 0)
    click.echo(json.dumps(stage.play(folder, lambda on: played(on, **given), seed=seed)))
    sys.stdout.flush()


def story_named(name: str) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return the story of that name, its module loaded now: it needs Qt."""
    module, _, function = STORIES[name].partition(":")
    found: Callable[..., Awaitable[dict[str, Any]]] = getattr(
        importlib.import_module(f"chaos.subjects.configurator.{module}"), function
    )
    return found


if __name__ == "__main__":
    main()
