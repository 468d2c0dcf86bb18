"""Plays the runs of a plan, several at once, each in its world, and turns each history into findings.

* A run: open the world, play the scenario under its deadline, leave the world (which undoes every fault and releases
  everything; a failure of that is a failure of the run), then let the checkers judge the history (see ``judging``).
* A world whose runs take another way than one story in one world (many schedules, every crash state) has a ``Player``.
* Cancelling ``execute`` (Ctrl-C) leaves every open world properly before it ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from chaos.coverage import met
from chaos.errors import ChaosError, NotAvailableError
from chaos.history import History
from chaos.judging import NO_FAILURE, Failure, judge, not_available, said, told
from chaos.outcome import RunResult
from chaos.plan import Run
from chaos.protocols import Checker, Explaining, OpenWorld, WorldKind, fault_names
from chaos.verdict import Finding, Verdict

log = logging.getLogger(__name__)

Player = Callable[[Run], Awaitable[RunResult]]
"""Plays one run in its own way: a simulated one is played many times, a crash is enumerated."""


class Listener:
    """Hears of the progress of a campaign; a display overrides what it shows."""

    def started(self, run: Run) -> None:
        """Hear that a run begins."""

    def opened(self, run: Run, history: History) -> None:
        """Hear that a run's world is open; its history grows from now on."""

    def ended(self, run: Run, result: RunResult) -> None:
        """Hear how a run ended."""


class Runner:
    """Executes plans in the given worlds, at most ``jobs`` runs at a time."""

    def __init__(
        self,
        worlds: Mapping[WorldKind, OpenWorld],
        checkers: Mapping[str, Sequence[Checker]],
        *,
        jobs: int,
        listener: Listener | None = None,
        players: Mapping[WorldKind, Player] | None = None,
        players_give_way: bool = False,
    ) -> None:
        """``players_give_way``: they work where they disturb nobody, so that the worlds without one need not wait."""
        self._gives_way = frozenset(players or {}) if players_give_way else frozenset()
        self._players = dict.fromkeys(worlds, self._play) | dict(players or {})
        self._worlds, self._checkers = worlds, checkers
        self._jobs, self._listener = jobs, listener or Listener()
        self.results: list[RunResult] = []

    def __repr__(self) -> str:
        return f"Runner({len(self.results)} runs ended, {self._jobs} at a time)"

    async def execute(self, runs: Sequence[Run]) -> list[RunResult]:
        """Play all runs and return their results; ``results`` has those that ended, also after a cancellation.

        The worlds have their turns one after the other: simulated runs take every core, live ones measure real time.
        Those of players that give way are played beside the others.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._in_turn(runs, self._gives_way), name="runs that give way")
            group.create_task(self._in_turn(runs, frozenset(WorldKind) - self._gives_way), name="runs")
        return self.results

    async def _in_turn(self, runs: Sequence[Run], kinds: frozenset[WorldKind]) -> None:
        for kind in WorldKind:
            if kind in kinds:
                await self._execute([run for run in runs if run.world is kind])

    async def _execute(self, runs: Sequence[Run]) -> None:
        places = asyncio.Semaphore(self._jobs)

        async def play(run: Run) -> None:
            async with places:
                self._listener.started(run)
                result = await self._played(run)
                self.results.append(result)
                self._listener.ended(run, result)

        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(play(run), name=f"run {run.scenario.name}")

    async def _played(self, run: Run) -> RunResult:
        """Play the run; what its player cannot do (its process was killed from outside) leaves one run unknown."""
        try:
            return await self._players[run.world](run)
        except ChaosError as failure:
            log.error("%s: its player failed: %s", run.scenario.name, failure)  # noqa: TRY400 - one line says it all
            words = "a player that comes to an end"
            unknown = tuple(Finding(i, Verdict.UNKNOWN, words, str(failure)) for i in run.scenario.proves)
            name, seed, history = run.scenario.name, run.seed.number, History(time.monotonic_ns)
            return RunResult(name, run.world, seed, unknown, {}, 0.0, history, str(failure))

    async def _play(self, run: Run) -> RunResult:
        began = time.monotonic()
        history, error = History(time.monotonic_ns), NO_FAILURE
        try:
            async with self._worlds[run.world](run.seed) as world:
                history = world.history
                self._listener.opened(run, history)
                error = await told(run.scenario, world)
                if error.words and isinstance(world, Explaining):
                    history.observe("hang", text=await world.explain())
        except NotAvailableError as absent:
            findings = tuple(not_available(property_id, absent) for property_id in run.scenario.proves)
            return RunResult(run.scenario.name, run.world, run.seed.number, findings, {}, 0.0, history, str(absent))
        except Exception as failure:  # A world that cannot be opened or left proves nothing: unknown, with the reason.
            log.exception("%s: the world failed", run.scenario.name)
            error = error if error.words else Failure(said(failure))
        findings = tuple(judge(run.scenario, history, error, self._checkers))
        fired = fault_names(history.faults())
        took_s = time.monotonic() - began
        looks = [*history.observed("hang"), *history.observed("log")]
        log_text = "\n".join(str(look.value["text"]) for look in looks)
        name, seed, cells = run.scenario.name, run.seed.number, dict.fromkeys(met(history), 1)
        return RunResult(name, run.world, seed, findings, fired, took_s, history, error.words, log_text, met=cells)
