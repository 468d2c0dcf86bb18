"""Stories of the configurator for tests: played in this process, as the probe plays them in one of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chaos.subjects.configurator.probe import story_named
from chaos.subjects.configurator.stage import play


def told_by(folder: Path, story: str, **arguments: Any) -> list[str]:
    """Play a story and return what it found wrong."""
    came_of_it: dict[str, Any] = play(folder, lambda stage: story_named(story)(stage, **arguments))
    wrong: list[str] = came_of_it["wrong"]
    return wrong
