"""``pywats-chaos crash``: run anybody's checker on every state that a crash may leave of a recording."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from chaos.crash.check_command import CommandCheck
from chaos.crash.counterexample import LOST, SYNCED, TORN, story_of
from chaos.crash.log_file import Recording, load
from chaos.crash.recorder.real_folder import fill
from chaos.crash.state_check import Judged, Judgement, Options, check_states, state_numbered, states_of
from chaos.errors import UsageError
from chaos.outcome import ExitCode
from chaos.reports.terminal import STYLES
from chaos.storage.crash_states import Limits
from chaos.storage.persistence import MODELS, Persistence, model_named
from chaos.verdict import Verdict, combined

MARK_STYLES = {LOST: "bold red", TORN: "bold yellow", SYNCED: "cyan"}
LINES_MAX = 12
EXIT_CODES = {Verdict.HELD: ExitCode.HELD, Verdict.BROKEN: ExitCode.BROKEN}


@click.command("crash")
@click.argument("log", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--check", "check_line", metavar="COMMAND", help="Run on each state; {dir}, {seen}, {stdout} are filled in."
)
@click.option(
    "--model",
    "model_names",
    multiple=True,
    type=click.Choice([*MODELS, "all"]),
    help="What a crash may lose; repeatable.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=os.cpu_count() or 1, help="Checks at once (default: cores)."
)
@click.option("--limit", type=click.IntRange(1), help="Stop after so many states: the verdict is unknown, or broken.")
@click.option(
    "--check-limit", type=click.FloatRange(0.1), default=60.0, show_default=True, help="Seconds for one check."
)
@click.option(
    "--keep-bad", type=click.Path(file_okay=False, path_type=Path), help="Keep the folders that fail in here."
)
@click.option(
    "--build", type=(click.IntRange(0), click.Path(path_type=Path)), help="Make STATE again as the new folder DIR."
)
@click.option("--whole", is_flag=True, help="Show every operation before the crash.")
def crash_command(*, log: Path, model_names: tuple[str, ...], check_line: str | None, **options: object) -> int:
    """Say what is left of the folder of LOG when the power goes, at any moment and in any legal way.

    The models say what a file system may lose: posix is stricter than any real one. Exit code 0: every state is right,
    1: some are not, 2: unknown.
    """
    recording, models = load(log), _models(model_names)
    if isinstance(build := options["build"], tuple):
        return _build(recording, models[0], *build)
    console = Console()
    if check_line is None:
        return _count(recording, models, console)
    check = CommandCheck.parsed(check_line, float(str(options["check_limit"])))
    judgements = []
    for model in models:
        total = options["limit"]
        limits = Limits(states=int(str(total))) if total else Limits()
        keep = _Keeper(options["keep_bad"] if isinstance(options["keep_bad"], Path) else None, model)
        # To enumerate is quick beside starting a program for each state, and gives the time left.
        count = min(limits.states, sum(1 for _ in states_of(recording, model, limits)))
        with _CheckProgress(model, console, count) as progress:
            heard = _Heard(progress, keep)
            chosen = Options(limits, jobs=int(str(options["jobs"])), heard=heard)
            judgements.append(check_states(recording, model, check, chosen))
        _show(judgements[-1], recording, console, log, whole=bool(options["whole"]))
    _summary(judgements, console)
    verdict = combined(judgement.verdict for judgement in judgements)
    return EXIT_CODES.get(verdict, ExitCode.NOT_PROVEN)


def _models(names: Sequence[str]) -> list[Persistence]:
    chosen = list(MODELS) if "all" in names else list(dict.fromkeys(names)) or ["posix"]
    return [model_named(name) for name in chosen]


def _build(recording: Recording, model: Persistence, number: int, folder: Path) -> int:
    if folder.exists():
        raise UsageError("a folder that is not there yet", str(folder), "choose another; nothing is overwritten")
    state = state_numbered(recording, model, number)
    folder.mkdir(parents=True)
    fill(str(folder), state.contents)
    click.echo(f"state {number} under {model}: {len(state.contents)} paths in {folder}")
    return ExitCode.HELD


def _count(recording: Recording, models: Sequence[Persistence], console: Console) -> int:
    """Without a check, only the number of states is told; nothing is proven."""
    for model in models:
        states = states_of(recording, model)
        count = sum(1 for _ in states)
        bounded = "" if not states.bounds_hit else f" at least; {states.bounds_hit[0]}"
        console.print(f"{model}: {count:,} states of {len(recording.entries):,} entries{bounded}", soft_wrap=True)
    console.print("no --check was given: nothing is proven")
    return ExitCode.NOT_PROVEN


class _CheckProgress:
    """States so far, broken ones, the rate and the time left."""

    def __init__(self, model: Persistence, console: Console, total: int) -> None:
        columns = (
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._model, self._states, self._broken, self._began = model, 0, 0, monotonic()
        self._task = self._progress.add_task(f"{model}", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def heard(self, judged: Judged) -> None:
        """Count one state."""
        self._states += 1
        self._broken += bool(judged.wrong)
        rate = self._states / max(monotonic() - self._began, 1e-9)
        words = f"{self._model}, {self._broken:,} broken, {rate:,.0f}/s"
        self._progress.update(self._task, completed=self._states, description=words)


class _Keeper:
    """Builds the folders that fail once more, in a folder of the person's choice."""

    def __init__(self, folder: Path | None, model: Persistence) -> None:
        self._folder, self._model = folder, model

    def heard(self, judged: Judged) -> None:
        """Keep a state that is wrong."""
        if self._folder is not None and judged.wrong:
            folder = self._folder / f"{self._model}-{judged.number}"
            if folder.exists():
                raise UsageError(
                    "an empty folder for --keep-bad", str(folder), "choose another; nothing is overwritten"
                )
            folder.mkdir(parents=True)
            fill(str(folder), judged.state.contents)


class _Heard:
    def __init__(self, progress: _CheckProgress, keeper: _Keeper) -> None:
        self._progress, self._keeper = progress, keeper

    def __call__(self, judged: Judged) -> None:
        self._progress.heard(judged)
        self._keeper.heard(judged)


def _show(judgement: Judgement, recording: Recording, console: Console, log: Path, *, whole: bool) -> None:
    worst = judgement.smallest
    if worst is None:
        return
    story = story_of(recording, worst.state, whole=whole)
    count = f"{judgement.broken:,} of {judgement.states:,} states"
    title = f"{judgement.model}: broken in {count}; the one with the fewest losses is {worst.number}"
    console.print(Text(title, "bold"), soft_wrap=True)
    table = Table(box=None)
    table.add_column("entry", justify="right")
    table.add_column("")
    table.add_column("operation before the crash", overflow="fold")
    for row in story.rows:
        index = "" if row.index is None else str(row.index)
        table.add_row(index, Text(row.mark, MARK_STYLES.get(row.mark, "")), Text(row.words))
    console.print(table)
    console.print(Text("what the check found: ").append(worst.wrong, "bold"), soft_wrap=True)
    console.print("the folder after the crash, against what the program had made:")
    for line in story.differences[:LINES_MAX] or ("(the same)",):
        console.print(Text(f"  {line}"), soft_wrap=True)
    if (more := len(story.differences) - LINES_MAX) > 0:
        console.print(f"  … {more} more")
    build = f"pywats-chaos crash {shlex.quote(str(log))} --model {judgement.model} --build {worst.number} DIR"
    console.print(Text(f"build it again: {build}"), soft_wrap=True)


def _summary(judgements: Sequence[Judgement], console: Console) -> None:
    for judgement in judgements:
        line = Text(f"{judgement.model!s:<15} ")
        line.append(f"{judgement.verdict:<9}", STYLES[judgement.verdict])
        line.append(f" {judgement.states:,} states, {judgement.broken:,} broken, {judgement.unknown:,} unknown")
        line.append(f", {judgement.took_s:.1f} s")
        console.print(line, soft_wrap=True)
        reasons = [*judgement.doubts, *(f"not exhaustive: {hit}" for hit in judgement.bounds_hit)]
        reasons += [f"state {j.number}: {j.unanswered}" for j in judgement.unanswered[:1]]
        for reason in reasons[:LINES_MAX]:
            console.print(Text(f"  {reason}"), soft_wrap=True)
