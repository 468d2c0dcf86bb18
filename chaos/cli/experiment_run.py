"""``pywats-chaos run FILE.toml``: an experiment as a campaign of one run, with the evidence that every run leaves."""

from __future__ import annotations

import asyncio
import datetime as dt
import platform
import shlex
import signal
import time
from importlib import metadata
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from chaos.cli.surroundings import DISTRIBUTION, commit, versions
from chaos.evidence import write_evidence
from chaos.experiment import Document, Experiment, Play, read_experiment, told_in_words
from chaos.experiment.words import promise
from chaos.outcome import Header, Outcome, RunResult, by_property
from chaos.protocols import fault_names
from chaos.reports.evidence_json import to_json
from chaos.reports.headline import title_line
from chaos.reports.terminal import show_outcome
from chaos.seed import Seed

SUFFIX = ".toml"
PROFILE = "experiment"


def dry_run(path: Path) -> int:
    """Print in words what the experiment would do; nothing is started. Raises ``UsageError``."""
    experiment, document = read_experiment(path)
    click.echo(told_in_words(experiment, document.path), nl=False)
    return 0


def run_experiment(path: Path, seed: int, *, out: Path | None, as_json: bool, show_history: bool) -> int:
    """Play an experiment, print and write what it found, and return the exit code. Raises ``UsageError``.

    The evidence is written also when the run was interrupted, or ended by what the experiment gets wrong.
    """
    experiment, document = read_experiment(path)
    play, console = Play(experiment, document, Seed(seed)), Console(stderr=as_json)
    header = _header(experiment, document, seed)
    console.print(Text(title_line(header), style="bold"), soft_wrap=True)
    began, is_interrupted = time.monotonic(), True
    try:
        is_interrupted = asyncio.run(_until_signal(play))
    finally:
        outcome = _outcome(play, header, experiment, document, time.monotonic() - began, interrupted=is_interrupted)
        if out:
            write_evidence(outcome, out)
    show_outcome(outcome, {name: promise(line) for name, line in experiment.steady_state.items()}, console)
    if as_json:
        click.echo(to_json(outcome), nl=False)
    if show_history:
        click.echo(play.history.to_lines(), err=as_json, nl=False)
    return outcome.exit_code


async def _until_signal(play: Play) -> bool:
    """Play it; return whether SIGINT or SIGTERM ended it early. Everything is undone first."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "this coroutine runs in a task"
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await play.run()
    except asyncio.CancelledError:
        return True
    return False


def _header(experiment: Experiment, document: Document, seed: int) -> Header:
    return Header(
        metadata.version(DISTRIBUTION),
        document.path.stem,
        PROFILE,
        platform.python_version(),
        f"{platform.system()} {platform.release()}",
        seed,
        commit=commit(),
        began_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions=versions(),
        limits={"workload, seconds": experiment.workload.within},
    )


def _outcome(
    play: Play, header: Header, experiment: Experiment, document: Document, took_s: float, *, interrupted: bool
) -> Outcome:
    result = RunResult(
        f"{PROFILE}/{document.path.stem}",
        "live",
        header.seed,
        play.findings(),
        fault_names(play.history.faults()),
        took_s,
        play.history,
        play.error,
        play.log,
        replay_line=f"pywats-chaos run {shlex.quote(str(document.path))} --seed {header.seed}",
    )
    names = list(experiment.steady_state)
    return Outcome(header, by_property(names, names, [result]), (result,), took_s, interrupted=interrupted)
