"""Plays the runs of a plan, several at once, and turns each history into findings.

* A run: open the world, play the scenario under its deadline, leave the world (which undoes every fault and releases
  everything; a failure of that is a failure of the run), then let the checkers judge the history.
* Not exercised: a fault that the scenario names never fired. Unknown: the scenario did not come to its end, or a
  checker crashed; a checker that sees the promise broken is believed all the same. A subject that did not do in time
  what the scenario waited for (``OverdueError``) has broken the first property that the scenario is to prove.
* The moment of a violation is where the checker begins to see it and goes on to: it is asked again about ever shorter
  beginnings of the history, so checkers need not know.
* Cancelling ``execute`` (Ctrl-C) leaves every open world properly before it ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chaos.errors import NotAvailableError, OverdueError
from chaos.history import History
from chaos.outcome import RunResult
from chaos.plan import Run
from chaos.protocols import Checker, OpenWorld, Scenario, World, WorldKind, fault_names
from chaos.verdict import Finding, Verdict

log = logging.getLogger(__name__)
LOOKED_BACK_MAX = 500
"""How many events back the moment of a violation is looked for: each costs one more judgement."""


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
    ) -> None:
        self._worlds, self._checkers = worlds, checkers
        self._jobs, self._listener = jobs, listener or Listener()
        self.results: list[RunResult] = []

    def __repr__(self) -> str:
        return f"Runner({len(self.results)} runs ended, {self._jobs} at a time)"

    async def execute(self, runs: Sequence[Run]) -> list[RunResult]:
        """Play all runs and return their results; ``results`` has those that ended, also after a cancellation."""
        places = asyncio.Semaphore(self._jobs)

        async def play(run: Run) -> None:
            async with places:
                self._listener.started(run)
                result = await self._play(run)
                self.results.append(result)
                self._listener.ended(run, result)

        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(play(run), name=f"run {run.scenario.name}")
        return self.results

    async def _play(self, run: Run) -> RunResult:
        began = time.monotonic()
        history, error = History(time.monotonic_ns), NO_FAILURE
        try:
            async with self._worlds[run.world](run.seed) as world:
                history = world.history
                self._listener.opened(run, history)
                error = await _story(run.scenario, world)
        except NotAvailableError as absent:
            findings = tuple(_not_available(property_id, absent) for property_id in run.scenario.proves)
            return RunResult(run.scenario.name, run.world, run.seed.number, findings, {}, 0.0, history, str(absent))
        except Exception as failure:  # A world that cannot be opened or left proves nothing: unknown, with the reason.
            log.exception("%s: the world failed", run.scenario.name)
            error = error if error.words else Failure(_said(failure))
        findings = tuple(self._judge(run.scenario, history, error))
        fired = fault_names(history.faults())
        took_s = time.monotonic() - began
        log_text = "\n".join(str(look.value["text"]) for look in history.observed("log"))
        name, seed = run.scenario.name, run.seed.number
        return RunResult(name, run.world, seed, findings, fired, took_s, history, error.words, log_text)

    def _judge(self, scenario: Scenario, history: History, error: Failure) -> list[Finding]:
        fired = fault_names(history.faults())
        silent = [name for name in scenario.faults if not fired.get(name)]
        findings = [
            _checked(property_id, check, history)
            for property_id in scenario.proves
            for check in self._checkers.get(property_id, ())
        ]
        return [
            _weakened(found, error, silent, is_main=found.property_id == scenario.proves[0]) for found in findings
        ]


@dataclass(frozen=True, slots=True)
class Failure:
    """What kept a scenario from its end; ``is_overdue`` when the subject did not do in time what was waited for."""

    words: str
    is_overdue: bool = False


NO_FAILURE = Failure("")


async def _story(scenario: Scenario, world: World) -> Failure:
    """Play the scenario; return what kept it from its end."""
    try:
        async with asyncio.timeout(scenario.limit_s):
            await scenario.play(world)
    except NotAvailableError:
        raise
    except TimeoutError as failure:
        return Failure(f"the scenario did not end within {scenario.limit_s:g} s: {_said(failure)}")
    except OverdueError as failure:
        return Failure(str(failure), is_overdue=True)
    except Exception as failure:  # noqa: BLE001 - whatever a subject does to a scenario is a result, not a crash
        return Failure(_said(failure))
    return NO_FAILURE


def _checked(property_id: str, check: Checker, history: History) -> Finding:
    try:
        found = check(history)
    except Exception as failure:  # noqa: BLE001 - a crashing checker gives unknown, never held
        return Finding(property_id, Verdict.UNKNOWN, "a checker that comes to an end", _said(failure))
    moment_ns = _moment_ns(check, history) if found.verdict is Verdict.BROKEN and found.at_ns is None else found.at_ns
    return replace(found, property_id=property_id, at_ns=moment_ns)


def _moment_ns(check: Checker, history: History) -> int | None:
    """Return the time of the event from which on the checker sees the promise broken; None for an empty history."""
    first = len(history.events)
    while first > max(1, len(history.events) - LOOKED_BACK_MAX) and _sees_it_broken(check, history.prefix(first - 1)):
        first -= 1
    return history.events[first - 1].time_ns if history.events else None


def _sees_it_broken(check: Checker, history: History) -> bool:
    try:
        return check(history).verdict is Verdict.BROKEN
    except Exception:  # noqa: BLE001 - of a beginning without what the checker looks for, nothing can be said
        return False


def _weakened(found: Finding, error: Failure, silent: Sequence[str], *, is_main: bool) -> Finding:
    """Return the finding, but never as held when the run did not end or a fault did not fire."""
    if found.verdict is Verdict.BROKEN:
        return found
    if error.is_overdue and is_main:
        return replace(found, verdict=Verdict.BROKEN, found=error.words)
    if error.words:
        return replace(found, verdict=Verdict.UNKNOWN, found=error.words)
    if silent:
        return replace(found, verdict=Verdict.NOT_EXERCISED, found=f"these faults never fired: {', '.join(silent)}")
    return found


def _not_available(property_id: str, absent: NotAvailableError) -> Finding:
    return Finding(property_id, Verdict.NOT_AVAILABLE, absent.need, f"{absent.reason}; {absent.advice}")


def _said(failure: BaseException) -> str:
    """Return the failure in one line, with the place it came from."""
    frames = traceback.extract_tb(failure.__traceback__)
    place = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    words = str(failure) or "no words"
    return f"{type(failure).__name__}: {words}{place}"


