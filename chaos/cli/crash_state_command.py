"""``pywats-chaos crash-state``: look at one crash state of a story again, and build its folder."""

from __future__ import annotations

from pathlib import Path

import click

from chaos.crash.found import node_at, table_of
from chaos.crash.recorder.real_folder import fill
from chaos.errors import UsageError
from chaos.mutants import find_mutant, planted
from chaos.outcome import ExitCode
from chaos.storage import MODELS, model_named
from chaos.subjects import find_crash_story


@click.command("crash-state")
@click.argument("story")
@click.option("--model", "model_name", type=click.Choice([*MODELS]), default="posix", show_default=True)
@click.option("--way", default="-", help="The crashes that lead to it, as the run of `verify` names them; - is none.")
@click.option("--build", "folder", type=click.Path(path_type=Path), help="Make the folder again, as a new one.")
@click.option("--subject", default="reference", show_default=True)
@click.option("--mutant", default="", help="Plant a mutant first.")
@click.option("--whole", is_flag=True, help="Show every operation before a crash.")
def crash_state_command(
    story: str, model_name: str, way: str, folder: Path | None, subject: str, mutant: str, *, whole: bool
) -> int:
    """Show what a crash left of STORY, what was lost, and what is wrong when the program starts on that.

    Exit code 0: nothing is wrong there, 1: something is.
    """
    told, model = find_crash_story(subject, story), model_named(model_name)
    if folder is not None and folder.exists():
        raise UsageError("a folder that is not there yet", str(folder), "choose another; nothing is overwritten")
    with planted(find_mutant(mutant) if mutant else None):
        broken = node_at(told, model, "" if way == "-" else way)
        click.echo(table_of(told, model, broken, is_whole=whole))
    if folder is not None:
        folder.mkdir(parents=True)
        fill(str(folder), broken.node.contents)
        click.echo(f"built in {folder}")
    return ExitCode.BROKEN if broken.wrong else ExitCode.HELD
