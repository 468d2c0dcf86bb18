"""Programs recorded for tests, and checks on what they promise."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from chaos.crash.check_command import printed
from chaos.crash.log_file import Recording
from chaos.crash.recorder import record
from chaos.crash.recorder.strace import strace_available
from chaos.errors import NotAvailableError
from chaos.storage.operations import Visible
from tests.crash.recorder.spool_writer import content

WRITER = Path(__file__).with_name("spool_writer.py")
PYTHON = (sys.executable, "-S", "-I")  # Without site packages, a start costs a third.


def recorded(folder: Path, *command: str | Path, ignored: Sequence[str] = ()) -> Recording:
    """Record a command, or skip the test where nothing can be recorded, with the reason."""
    try:
        strace_available()
    except NotAvailableError as error:
        pytest.skip(str(error))
    folder.mkdir(exist_ok=True)
    return record([str(word) for word in command], str(folder), ignored)


def recorded_writer(folder: Path, fault: str = "none", count: int = 2) -> Recording:
    """Record the program that saves items."""
    return recorded(folder, *PYTHON, WRITER, folder, fault, str(count))


def saved_items_are_there(folder: Path, seen: Sequence[Visible]) -> str:
    """Check that every item that was said to be saved is there, whole."""
    for line in printed(seen).decode().splitlines():
        if line.startswith("saved "):
            number = int(line.split()[1])
            item = folder / f"item-{number}"
            if not item.exists():
                return f"item {number} is lost"
            if item.read_bytes() != content(number):
                return f"item {number} is damaged"
    return ""
