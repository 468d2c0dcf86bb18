"""``pywats-chaos record``: run any program and write down what it did to a folder."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from chaos.crash.log_file import Recording, save
from chaos.crash.recorder import record
from chaos.errors import UsageError
from chaos.storage.operations import Visible

DOUBTS_SHOWN = 5
KILLED = 128


@click.command("record", context_settings={"ignore_unknown_options": True})
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("recording.jsonl"))
@click.option("--dir", "folder", default=".", show_default=True, help="Only what happens below this folder counts.")
@click.option("--ignore", "ignored", multiple=True, metavar="PATTERN", help="Names that do not count; repeatable.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def record_command(*, output: Path, folder: str, ignored: tuple[str, ...], command: tuple[str, ...]) -> int:
    """Run COMMAND and record what it does to a folder, and what the outside sees of it meanwhile.

    Then `pywats-chaos crash` says what a power cut would have left. The exit code is the program's own.
    """
    if not output.parent.is_dir():
        raise UsageError("a folder for the log", str(output.parent), "make it first, or choose another with --output")
    # The log itself may lie in the folder, from an earlier recording as well: it never counts.
    recording = record(command, folder, (*ignored, output.name))
    save(recording, output)
    _tell(recording, output)
    if recording.exit_code is None:
        return KILLED + _signal_of(recording)
    return recording.exit_code


def _tell(recording: Recording, output: Path) -> None:
    visible = sum(isinstance(entry.operation, Visible) for entry in recording.entries)
    operations = len(recording.entries) - visible
    words = f"{operations:,} operations and {visible:,} visible events in {os.fspath(output)}"
    doubts = recording.doubts
    if not doubts:
        click.echo(f"pywats-chaos: recorded {words}; their replay is equal to the folder", err=True)
        return
    click.echo(f"pywats-chaos: recorded {words}, but every verdict on it is unknown:", err=True)
    for doubt in doubts[:DOUBTS_SHOWN]:
        click.echo(f"  {doubt}", err=True)
    if len(doubts) > DOUBTS_SHOWN:
        click.echo(f"  and {len(doubts) - DOUBTS_SHOWN} more", err=True)


def _signal_of(recording: Recording) -> int:
    names = [
        str(entry.operation.value.get("signal"))
        for entry in recording.entries
        if isinstance(entry.operation, Visible) and entry.operation.name == "exited"
    ]
    return int(signal.Signals[names[-1]]) if names and names[-1] in signal.Signals.__members__ else 0
