"""One campaign: a plan played in the worlds this machine has, from the command line to an outcome."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import platform
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from rich.console import Console
from rich.text import Text

from chaos.checkers import all_checkers
from chaos.cli.display import LiveProgress, PlainProgress
from chaos.guarantees import properties
from chaos.live.world import open_live_world
from chaos.outcome import Header, Outcome, RunResult, by_property
from chaos.plan import Run, plan_runs, provable
from chaos.profiles import Profile
from chaos.protocols import OpenWorld, Scenario, Subject, WorldKind
from chaos.runner import Listener, Runner
from chaos.scenarios import all_scenarios
from chaos.seed import Seed


@dataclass(frozen=True, slots=True)
class Question:
    """What a campaign is to find out. ``asked`` are the properties that must hold; ``shown`` those it speaks of."""

    profile: str
    runs: Sequence[Run]
    shown: tuple[str, ...]
    asked: tuple[str, ...]
    jobs: int
    seed: int


def question_of(profile: Profile, chosen: Sequence[str], seed: int | None) -> Question:
    """Return what ``profile`` asks, narrowed to the properties in ``chosen`` (all if empty)."""
    start = profile.seed if seed is None else seed
    stories = all_scenarios()
    shown = tuple(p for p in profile.properties if not chosen or p in chosen)
    proven = provable(stories, profile.worlds)
    asked = shown if chosen or profile.require == "all" else tuple(p for p in shown if p in proven)
    runs = plan_runs(stories, properties=shown, worlds=profile.worlds, seed=Seed(start), repeat=profile.repeat)
    return Question(profile.name, runs, shown, asked, profile.jobs, start)


def question_of_one(story: Scenario, world: WorldKind, seed: int) -> Question:
    """Return the question that one scenario answers."""
    order = tuple(p for p in properties() if p in story.proves)
    return Question("one scenario", [Run(story, world, Seed(seed))], order, order, 1, seed)


def header_of(question: Question, subject: Subject) -> Header:
    """Return what identifies this campaign."""
    version = metadata.version("pywats-reliability")
    system = f"{platform.system()} {platform.release()}"
    return Header(version, subject.name, question.profile, platform.python_version(), system, question.seed)


def conduct(question: Question, subject: Subject, console: Console) -> Outcome:
    """Play the runs, showing progress on ``console``, and return the outcome; Ctrl-C ends it with what there is."""
    header = header_of(question, subject)
    console.print(Text(title_line(header), style="bold"), soft_wrap=True)
    worlds: dict[WorldKind, OpenWorld] = {WorldKind.LIVE: functools.partial(open_live_world, subject)}
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        total = len(question.runs)
        display: Listener = PlainProgress(console, total)
        if console.is_terminal:
            display = stack.enter_context(LiveProgress(console, total))
        runner = Runner(worlds, all_checkers(), jobs=question.jobs, listener=display)
        interrupted = _executed(runner, question.runs)
    return _outcome(header, question, runner.results, time.monotonic() - began, interrupted=interrupted)


def title_line(header: Header) -> str:
    """Return the line that opens every report."""
    python = f"Python {header.python}"
    parts = (header.subject, f"profile {header.profile}", python, header.platform, f"seed {header.seed}")
    return f"pywats-reliability {header.version} · " + " · ".join(parts)


def _executed(runner: Runner, runs: Sequence[Run]) -> bool:
    """Execute the runs; return whether SIGINT or SIGTERM ended them early. Every world is left properly first."""

    async def until_signal() -> bool:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "this coroutine runs in a task"
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            await runner.execute(runs)
        except asyncio.CancelledError:
            return True
        return False

    return asyncio.run(until_signal())


def _outcome(
    header: Header, question: Question, results: Sequence[RunResult], took_s: float, *, interrupted: bool
) -> Outcome:
    order = {(run.scenario.name, run.seed.number): place for place, run in enumerate(question.runs)}
    ordered = tuple(sorted(results, key=lambda r: (r.scenario, order.get((r.scenario, r.seed), 0))))
    told = by_property(question.shown, question.asked, ordered)
    return Outcome(header, told, ordered, took_s, interrupted=interrupted)
