"""Real failures that were found once: each with the mutant that puts it back and the run that shows it.

The table is ``old_bugs.toml``. A test plays it whenever the toolkit changes: red with the mutant, not broken without.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

from chaos.errors import UsageError

KEYS = ("what", "commit", "mutant", "run", "model")


@dataclass(frozen=True, slots=True)
class OldBug:
    """One of them. ``commit`` mended it; ``run`` is the line of a trial, or with a ``model`` a story to crash."""

    what: str
    commit: str
    mutant: str
    run: str
    model: str = ""


def old_bugs() -> list[OldBug]:
    """Return the table. Raises ``UsageError`` for a row that says too little or too much."""
    rows = tomllib.loads(resources.files("chaos").joinpath("old_bugs.toml").read_text(encoding="utf-8"))["bug"]
    for row in rows:
        if not set(KEYS[:-1]) <= set(row) <= set(KEYS):
            raise UsageError(f"a bug with {', '.join(KEYS)}", ", ".join(row), "mend old_bugs.toml")
    return [OldBug(**row) for row in rows]
