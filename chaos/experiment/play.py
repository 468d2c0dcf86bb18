"""Plays an experiment: steady state before, faults under load, healing, steady state after; then the verdicts.

* No fault is injected into a service that is not in its steady state to begin with: the line is broken then already.
* Held is only what held after faults of which every one has fired; a selector that meets nothing ends the run.
* Whatever ends it (an error, a deadline, a cancellation), leaving the stage undoes and releases everything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from chaos.errors import ChaosError, ExperimentError, NotAvailableError, UsageError
from chaos.experiment.document import Document
from chaos.experiment.faults import FaultPlayer
from chaos.experiment.looks import Look, look
from chaos.experiment.model import Experiment, Line
from chaos.experiment.stage import Stage, open_stage
from chaos.experiment.words import promise
from chaos.experiment.workload import hand_over, work
from chaos.history import History
from chaos.judging import not_available
from chaos.seed import Seed
from chaos.verdict import Finding, Verdict

LOOK_EVERY_S = 0.1
BEFORE, DURING, AFTER = "before any fault", "under the faults", "after healing"


@dataclass(frozen=True, slots=True)
class Seen:
    """The look that decides about a line so far, and when it was: a bad one is never replaced by a later one."""

    look: Look
    phase: str
    at_ns: int


class Play:
    """One run of an experiment. ``history`` and ``findings()`` tell what there was, also when ``run`` was ended."""

    def __init__(self, experiment: Experiment, document: Document, seed: Seed) -> None:
        self.history = History(time.monotonic_ns)
        self.log, self.error = "", ""
        self._experiment, self._document, self._seed = experiment, document, seed
        self._seen: dict[str, Seen] = {}
        self._silent: dict[int, str] = {}
        self._troubles: list[str] = []
        self._absent: NotAvailableError | None = None
        self._is_whole = False

    def __repr__(self) -> str:
        return f"Play({self._document.path.name}, {self.history!r})"

    async def run(self) -> None:
        """Play it. Raises ``UsageError`` for what the experiment gets wrong, after the rollback; so does cancelling."""
        stage: Stage | None = None
        try:
            async with open_stage(self._experiment, self._document, self._seed, self.history) as stage:
                try:
                    await self._phases(stage)
                finally:
                    self.log = stage.log_text()
                    await stage.server.tell_requests()
        except UsageError as error:
            self.error = str(error)
            raise
        except NotAvailableError as error:
            self._absent = error
        except ChaosError as error:
            self.error = str(error)
        finally:
            self._troubles += stage.troubles if stage is not None else []

    def findings(self) -> tuple[Finding, ...]:
        """Return a finding for each line of the steady state, named by it."""
        return tuple(self._finding(name, line) for name, line in self._experiment.steady_state.items())

    async def _phases(self, stage: Stage) -> None:
        await stage.start()
        if self._experiment.workload.run is None:
            await hand_over(stage, self._experiment.workload.before, "before")
        if not await self._settle(stage, BEFORE):
            stage.note_its_end()
            return
        await self._under_faults(stage)
        stage.note_its_end()
        await stage.come_back()
        await self._settle(stage, AFTER)
        stage.note_its_end()
        await stage.server.observe()
        await stage.stop()
        for name, line in self._experiment.steady_state.items():
            if line.process is not None:
                self._note(name, await look(line, stage), AFTER)
        self._is_whole = True

    async def _under_faults(self, stage: Stage) -> None:
        """Play all faults and the workload, looking all the time at the lines that must hold meanwhile."""
        events = await stage.server.control.events()
        player = FaultPlayer(stage, events[-1].seq if events else 0)
        try:
            async with asyncio.TaskGroup() as watching:
                watcher = watching.create_task(self._watch(stage), name="watching the steady state")
                async with asyncio.TaskGroup() as group:
                    for number in range(len(self._experiment.fault)):
                        group.create_task(player.play(number), name=f"fault {number + 1}")
                    group.create_task(work(stage), name="workload")
                watcher.cancel()
        except ExceptionGroup as several:
            raise _first_of(several) from several
        finally:
            self._silent = player.silent

    async def _watch(self, stage: Stage) -> None:
        lines = {name: line for name, line in self._experiment.steady_state.items() if line.during}
        while lines:
            for name, line in lines.items():
                self._note(name, await look(line, stage), DURING)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _settle(self, stage: Stage, phase: str) -> bool:
        """Look until every line holds, or the limit has passed; return whether they do."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._experiment.workload.within
        lines = {name: line for name, line in self._experiment.steady_state.items() if line.process is None}
        looks: Mapping[str, Look] = {}
        while True:
            looks = {name: await look(line, stage) for name, line in lines.items()}
            if all(found.holds is not False for found in looks.values()) or loop.time() >= deadline:
                break
            await asyncio.sleep(LOOK_EVERY_S)
        for name, found in looks.items():
            self._note(name, found, phase)
        return all(found.holds is not False for found in looks.values())

    def _note(self, name: str, found: Look, phase: str) -> None:
        earlier = self._seen.get(name)
        event = None
        if earlier is None or earlier.look != found:
            event = self.history.observe("line", line=name, holds=found.holds, found=found.found, phase=phase)
        if earlier is not None and earlier.look.holds is False:
            return
        at_ns = event.time_ns if event is not None else earlier.at_ns if earlier is not None else 0
        self._seen[name] = Seen(found, phase, at_ns)

    def _finding(self, name: str, line: Line) -> Finding:
        if self._absent is not None:
            return not_available(name, self._absent)
        seen, expected = self._seen.get(name), promise(line)
        hint = "; ".join(dict.fromkeys(self._troubles))
        if seen is not None and seen.look.holds is False:
            return Finding(name, Verdict.BROKEN, expected, f"{seen.phase}: {seen.look.found}", hint, seen.at_ns)
        verdict, found = self._proof(seen)
        return Finding(name, verdict, expected, found, hint if hint != found else "")

    def _proof(self, seen: Seen | None) -> tuple[Verdict, str]:
        """Return what the run proves of a line that was not seen broken."""
        troubles = self.error or "; ".join(dict.fromkeys(self._troubles))
        is_steady = not any(other.look.holds is False and other.phase == BEFORE for other in self._seen.values())
        verdict, found = Verdict.NOT_EXERCISED, "it was not looked at"
        if not self._is_whole and not is_steady:
            found = "no fault was injected: there was no steady state"
        elif troubles or not self._is_whole:
            verdict, found = Verdict.UNKNOWN, troubles or "the run did not end"
        elif self._silent:
            words = ", ".join(self._never_fired(number) for number in sorted(self._silent))
            found = f"these faults never fired: {words}"
        elif seen is not None:
            verdict = Verdict.NOT_EXERCISED if seen.look.holds is None else Verdict.HELD
            found = seen.look.found
        return verdict, found

    def _never_fired(self, number: int) -> str:
        label = self._experiment.fault[number].label
        line = self._document.line(("fault", number))
        return f"fault {number + 1} ({label}, line {line}): {self._silent[number]}"


def _first_of(several: ExceptionGroup[Exception]) -> Exception:
    """Return what ended the run: what the experiment gets wrong, if that is among them."""
    wrong = several.subgroup(ExperimentError) or several
    first = wrong.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first
