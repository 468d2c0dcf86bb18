"""Plays the crash runs of a plan: each explores one story under every model of its, in a worker process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.crash.explorer import Bounds, Explored, Explorer
from chaos.crash.found import Counterexample, counterexample
from chaos.crash.leavings import Leavings
from chaos.crash.machine import Machine
from chaos.crash.story import CrashStory
from chaos.explore.pool import Pool
from chaos.history import History
from chaos.mutants import find_mutant, planted
from chaos.outcome import Fact, RunResult
from chaos.plan import Run
from chaos.protocols import WorldKind
from chaos.storage import model_named
from chaos.subjects import find_crash_story
from chaos.verdict import Finding, Verdict, combined

SECONDS_MAX = 240.0
FAULT = "disk.crash"


@dataclass(frozen=True, slots=True)
class CrashTally:
    """What one exploration says, as plain values: verdicts by property, counts, and the smallest counterexample."""

    model: str
    verdicts: dict[str, Verdict]
    found: str
    states: int
    recoveries: int
    operations: int
    wrong: dict[str, str]
    table: str = ""
    way: str = ""


def models_of(subject: str, story: str) -> tuple[str, ...]:
    """Return the names of the models under which a story is explored. Raises ``UsageError``."""
    return find_crash_story(subject, story).models


def explore_story(
    subject: str, story_name: str, models: Sequence[str] = (), mutant: str = "", seconds: float = SECONDS_MAX
) -> list[CrashTally]:
    """Explore one story under some models (its own by default), ``seconds`` each; called in a worker.

    All in one place, since what one model leads to the next leads to as well. Raises ``UsageError`` for names that are
    not there.
    """
    story = find_crash_story(subject, story_name)
    bounds = Bounds(seconds=seconds, is_disturbed=story.is_disturbed)
    with planted(find_mutant(mutant) if mutant else None):
        leavings = Leavings(story)
        with Machine(story) as machine:
            explored = [
                Explorer(story, model_named(name), bounds, machine, leavings).explore()
                for name in models or story.models
            ]
        return [_tally(story, found, counterexample(story, found)) for found in explored]


def _tally(story: CrashStory, found: Explored, smallest: Counterexample | None) -> CrashTally:
    verdicts = {property_id: found.verdict(property_id) for property_id in story.proves}
    wrong = {property_id: words for broken in found.broken for property_id, words in broken.wrong.items()}
    return CrashTally(
        found.model.name, verdicts, _said(found), found.states, found.recoveries, found.operations, wrong,
        smallest.table if smallest else "", smallest.way if smallest else "",
    )  # fmt: skip


def _said(found: Explored) -> str:
    words = f"{found.states:,} crash states, {found.recoveries:,} different ones recovered from, under {found.model}"
    return f"{words}; {found.bounds_hit[0]}" if found.bounds_hit else f"{words}; none left out"


class CrashPlayer:
    """A ``chaos.runner.Player`` for the crash world."""

    def __init__(self, pool: Pool, subject: str, *, mutant: str = "") -> None:
        self._pool, self._subject, self._mutant = pool, subject, mutant

    async def __call__(self, run: Run) -> RunResult:
        """Explore the run's story under all its models and return one result for them."""
        began, story = time.monotonic(), run.scenario.name.rpartition("/")[2]
        tallies = await self._pool.run(explore_story, self._subject, story, (), self._mutant)
        return result_of(run, tallies, time.monotonic() - began)

    def __repr__(self) -> str:
        return f"CrashPlayer({self._subject})"


def result_of(run: Run, tallies: list[CrashTally], took_s: float) -> RunResult:
    """Return the result of a run: each property is held when it is under every model."""
    history = History(time.monotonic_ns)
    for tally in tallies:
        history.observe("explored", model=tally.model, found=tally.found, wrong=tally.wrong, way=tally.way)
    states = sum(tally.states for tally in tallies)
    broken = next((tally for tally in tallies if tally.wrong), None)
    story = run.scenario.name.rpartition("/")[2]
    replay = f"pywats-chaos crash-state {story} --model {broken.model} --way {broken.way or '-'}" if broken else ""
    return RunResult(
        run.scenario.name, WorldKind.CRASH, run.seed.number,
        tuple(_finding(property_id, tallies) for property_id in run.scenario.proves),
        {FAULT: states}, took_s, history,
        facts={
            Fact.CRASH_STATES: states,
            Fact.RECOVERIES: sum(tally.recoveries for tally in tallies),
            Fact.OPERATIONS: sum(tally.operations for tally in tallies),
        },
        trace=broken.table if broken else "", replay_line=replay,
    )  # fmt: skip


def _finding(property_id: str, tallies: list[CrashTally]) -> Finding:
    verdict = combined(tally.verdicts.get(property_id, Verdict.NOT_EXERCISED) for tally in tallies)
    decisive = next(t for t in tallies if t.verdicts.get(property_id, Verdict.NOT_EXERCISED) is verdict)
    found = decisive.wrong.get(property_id, decisive.found)
    return Finding(property_id, verdict, "the promise kept in every state that a crash may leave", found)
