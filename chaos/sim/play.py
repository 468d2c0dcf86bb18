"""Plays one trial: the scenario's story in a simulated world of its own, judged, as a result of its own.

* The story runs in the tester's process and has virtual hours to end in; what stands still for ever (a deadlock) or
  spins (a livelock) is found at once and named.
* What no scenario planted is looked at after every run: an error that nobody took, a process that ended by one.
* It is a plain function, and leaves nothing behind: a campaign plays thousands in one process.
"""

from __future__ import annotations

import pdb
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from chaos.coverage import met, tried
from chaos.errors import OverdueError, UsageError
from chaos.judging import Failure, judge, said, told
from chaos.outcome import Fact, RunResult
from chaos.protocols import Checker, Scenario, WorldKind, fault_names
from chaos.sim.stage import Stage
from chaos.sim.step_faults import Points
from chaos.sim.subject import SimulatedSubject
from chaos.sim.verdicts import SimulationError, StuckError
from chaos.sim.world import SimWorld
from chaos.trial import PlannedFault, Trial
from chaos.verdict import Verdict

STORY_LIMIT_S = 6 * 3600.0
Checkers = Mapping[str, Sequence[Checker]]


@dataclass(frozen=True, slots=True)
class Played:
    """A trial that was played: its result, and the digest of its steps, which a second play must have in common.

    ``plan``: the faults that were planned, drawn or given. ``streams``: the names of the random streams it drew from.
    """

    result: RunResult
    digest: int
    plan: tuple[PlannedFault, ...]
    streams: tuple[str, ...]


def play(
    scenario: Scenario,
    trial: Trial,
    subject: SimulatedSubject,
    checkers: Checkers,
    *,
    keeps_trace: bool = False,
    points: Points | None = None,
) -> Played:
    """Play ``trial`` and return what came of it. ``keeps_trace``: with every step in the result, for a person.

    ``points`` collects where a fault may be put at a step.
    """
    began = time.monotonic()
    stage = Stage(trial, keeps_trace=keeps_trace)
    failures: list[Failure] = []
    worlds: list[SimWorld] = []

    async def tester() -> None:
        world = SimWorld(stage, subject, trial)
        worlds.append(world)
        if points is not None:
            points.watch(stage.kernel, world.subject_process)
        await world.open()
        failures.append(await told(scenario, world, STORY_LIMIT_S))
        stage.kernel.stop()

    with stage:
        failure = _driven(stage, tester) or (failures[0] if failures else Failure("the tester ended without a word"))
        stage.look(*(world.server.tell_requests for world in worlds))
    history = stage.history
    history.close()
    plan, marks = (tuple(worlds[0].plan), dict(worlds[0].marks)) if worlds else ((), {})
    cells = met(history)
    findings = tuple(judge(scenario, history, failure, checkers, is_whole=False))
    result = RunResult(
        scenario.name, WorldKind.SIMULATION, trial.seed, findings, fault_names(history.faults()),
        time.monotonic() - began, history, failure.words, stage.log.text(),
        policy=stage.kernel.policy.name, marks=marks, met=dict.fromkeys(cells, 1),
        tried=dict.fromkeys(tried(findings, cells), 1), trace=stage.trace_text(), disk=tuple(stage.disk_looks.looks),
        facts={Fact.STEPS: stage.kernel.step, Fact.SIMULATED_S: stage.kernel.now_ns / 1e9},
        replay_line=f"pywats-chaos replay '{trial}'", plan="\n".join(map(str, plan)),
    )  # fmt: skip
    return Played(result, stage.kernel.digest, plan, stage.kernel.choices.names)


def _driven(stage: Stage, tester: Callable[[], Awaitable[None]]) -> Failure | None:
    """Let the story happen; return what ended it other than itself."""
    try:
        stage.drive(tester)
    except StuckError as error:
        overdue = OverdueError("an end of the story", STORY_LIMIT_S, str(error))
        return Failure(str(error), overdue, stage.kernel.now_ns)
    except SimulationError as error:
        return Failure(said(error))
    return None


def stop_at_violation(scenario: Scenario, trial: Trial, subject: SimulatedSubject, checkers: Checkers) -> None:
    """Play the trial twice: once to learn when it breaks, once to stop at that moment in the debugger."""
    known = play(scenario, trial, subject, checkers).result
    moments = [finding.at_ns for finding in known.findings if finding.verdict is Verdict.BROKEN]
    if not moments or moments[0] is None:
        raise UsageError("a run that breaks a property at some moment", str(known.verdict), "replay another line")
    stage = Stage(trial)
    world = SimWorld(stage, subject, trial)

    async def tester() -> None:
        await world.open()
        await told(scenario, world, STORY_LIMIT_S)
        stage.kernel.stop()

    with stage:
        stage.kernel.at(moments[0], pdb.set_trace)
        _driven(stage, tester)
