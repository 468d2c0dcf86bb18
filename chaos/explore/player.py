"""Plays the simulated runs of a plan: each stands for many seeds, spread over worker processes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chaos.explore.order import Order, Tally
from chaos.explore.pool import Pool
from chaos.explore.repeat import Repeater
from chaos.explore.worker import play_line, play_order, shrink_trial
from chaos.judging import concerned
from chaos.outcome import Fact, RunResult
from chaos.plan import Run
from chaos.protocols import Scenario, WorldKind
from chaos.trial import Trial
from chaos.verdict import Finding, Verdict

CHUNK = 25
SEEDS_AT_LEAST = 200
"""Where a fault or a mark is still missing, so many schedules are played before that is said."""
Heard = Callable[[Order, Tally], None]
Known = Callable[[str], Sequence[Trial]]
"""Gives the trials of a scenario that failed before: they are played first."""


@dataclass(frozen=True, slots=True)
class Search:
    """How a scenario is searched: so many seeds from the run's own on, by this policy; a failure is shrunk or not.

    ``quiet``: end as soon as so many schedules in a row have shown nothing new (0: play all the seeds).
    ``repeat_share``: this share of the runs (0 to 1) is repeated in another process, where there is one.
    """

    seeds: int = 50
    policy: str = "portfolio"
    shrinks: bool = True
    mutant: str = ""
    seconds_max: float = math.inf
    quiet: int = 0
    repeat_share: float = 0.0


class SimulationPlayer:
    """A ``chaos.runner.Player`` for the simulated world. ``heard`` is called after every chunk of seeds.

    ``other`` is where a share of the runs is repeated (``Search.repeat_share``; see ``another_pool``). ``cut_short``
    has a result for each run that was cancelled: what was played of it by then proves nothing but what it broke.
    """

    def __init__(
        self,
        pool: Pool,
        subject: str,
        search: Search,
        heard: Heard | None = None,
        known: Known = lambda _: (),
        *,
        other: Pool | None = None,
    ) -> None:
        self._pool, self._subject, self._search, self._heard, self._known = pool, subject, search, heard, known
        self._places = asyncio.Semaphore(pool.jobs)
        self._repeater = Repeater(pool, other, self._places) if other is not None else None
        self.cut_short: list[RunResult] = []

    async def __call__(self, run: Run) -> RunResult:
        """Play the run's seeds, stop at the first failure, and return one result that stands for all."""
        search, began, tally = self._search, time.monotonic(), Tally()
        order = Order(
            run.scenario.name, run.seed.number, search.seeds, self._subject, search.mutant, search.policy,
            search.seconds_max, search.repeat_share if self._repeater else 0.0,
        )  # fmt: skip
        try:
            await (self._until_quiet(order, tally) if search.quiet else self._play(order, tally))
            while not tally.is_over and is_incomplete(run.scenario, tally) and tally.played < SEEDS_AT_LEAST:
                order = replace(order, first_seed=order.first_seed + order.seeds, seeds=CHUNK)
                await self._play(order, tally)
            result = await self._shrunk(tally) if tally.is_broken and search.shrinks else tally.shown
        except asyncio.CancelledError:
            if tally.shown is not None:
                self.cut_short.append(cut_short(run.scenario, tally, tally.shown, time.monotonic() - began))
            raise
        assert result is not None, "an order has at least one seed"
        return summed_up(run.scenario, tally, result, time.monotonic() - began)

    async def _play(self, order: Order, total: Tally) -> None:
        """Play an order and add what came of it to ``total``, until something breaks or was not the same twice."""
        for trial in self._known(order.scenario):
            again = await self._pool.run(play_line, str(trial), subject=order.subject, mutant=order.mutant)
            total.join(again)
            if total.is_broken:
                return
        waiting = {asyncio.ensure_future(self._part(part)) for part in order.parts(CHUNK)}  # noqa: TID251 - awaited
        try:
            for ended in asyncio.as_completed(waiting):
                total.join(await ended)
                if self._heard is not None:
                    self._heard(order, total)
                if total.is_over:
                    break
        finally:
            for future in waiting:
                future.cancel()

    async def _part(self, order: Order) -> Tally:
        """Play a part of an order, and repeat what is to be repeated of it."""
        async with self._places:
            tally = await self._pool.run(play_order, order)
        if self._repeater is not None:
            tally.join(await self._repeater.repeat(order, tally.to_repeat))
        return tally

    async def _until_quiet(self, order: Order, total: Tally) -> None:
        """Play parts of the order until the last ``quiet`` schedules have come to nothing that others had not."""
        silent, began = 0, time.monotonic()
        for part in order.parts(CHUNK * self._pool.jobs):
            known = len(total.seen)
            await self._play(part, total)
            silent = 0 if len(total.seen) > known else silent + part.seeds
            is_late = time.monotonic() - began > self._search.seconds_max
            if total.is_over or silent >= self._search.quiet or is_late:
                break

    async def _shrunk(self, tally: Tally) -> RunResult:
        """Return the smallest failing run that was found, with its trace."""
        subject, mutant = self._subject, self._search.mutant
        small = await self._pool.run(shrink_trial, tally.failure_line, subject=subject, mutant=mutant)
        plan = "\n".join(str(fault) for fault in small.shrunk.trial.plan or ())
        return replace(small.played.result, plan=plan, shrunk_from=small.faults_before)


def missing(scenario: Scenario, tally: Tally) -> list[str]:
    """Return what the scenario asks for and no run came to, in words: faults that must fire, marks to be reached."""
    absent = [f"the fault {name} never fired" for name in scenario.faults if not tally.faults.get(name)]
    return absent + [f"the mark {name!r} was never reached" for name in scenario.marks if not tally.marks.get(name)]


def is_incomplete(scenario: Scenario, tally: Tally) -> bool:
    """Return whether more schedules may come to what these have not: a fault, a mark, something for a checker."""
    idle = any(finding.is_idle for finding in concerned(list(tally.findings.values()), scenario.judged_by))
    return idle or bool(missing(scenario, tally))


def summed_up(scenario: Scenario, tally: Tally, shown: RunResult, took_s: float) -> RunResult:
    """Return one result for all the runs of a tally; what never fired and was never reached was not exercised.

    What is broken is told as in ``shown``, the run that its replay line plays again.
    """
    absent = missing(scenario, tally)
    broken = {finding.key: finding for finding in shown.findings if finding.verdict is Verdict.BROKEN}
    findings = concerned(list((tally.findings | broken).values()), scenario.judged_by)
    return replace(
        shown,
        world=WorldKind.SIMULATION,
        findings=tuple(_weakened(finding, absent, tally.played) for finding in findings),
        faults_fired=dict(tally.faults),
        marks=dict(tally.marks),
        met=dict(tally.met),
        tried=dict(tally.tried),
        facts=dict(tally.facts) | {"different schedules": len(tally.digests)} | _repeated(tally),
        divergences=tuple(tally.divergences),
        took_s=took_s,
        stands_for=tally.played,
    )


def cut_short(scenario: Scenario, tally: Tally, shown: RunResult, took_s: float) -> RunResult:
    """Return one result for what was played of a run before it was cancelled: unknown, but for what is broken."""
    whole = summed_up(scenario, tally, shown, took_s)
    words = f"interrupted: {tally.played:,} schedules were played, and none broke it"
    findings = tuple(
        finding if finding.verdict is Verdict.BROKEN
        else replace(finding, verdict=Verdict.UNKNOWN, found=words, is_idle=False)
        for finding in whole.findings
    )  # fmt: skip
    return replace(whole, findings=findings, error="" if tally.is_broken else words)


def _repeated(tally: Tally) -> dict[str, int]:
    return {Fact.REPEATED: tally.repeated} if tally.repeated else {}


def _weakened(finding: Finding, absent: list[str], played: int) -> Finding:
    if finding.is_idle:
        return replace(finding, found=f"{finding.found}, in {played:,} schedules")
    if finding.verdict is not Verdict.HELD or not absent:
        return finding
    return replace(finding, verdict=Verdict.NOT_EXERCISED, found="; ".join(absent))
