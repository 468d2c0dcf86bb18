"""What a worker process does: plays the seeds of an order, shrinks a failure, plays one trial again.

Everything here is a plain function of plain values, called in a process whose hash seed is pinned.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaos.checkers import all_checkers
from chaos.explore.order import Order, Tally, is_repeated
from chaos.mutants import find_mutant, planted
from chaos.outcome import RunResult
from chaos.plan import find_scenario
from chaos.scenarios import all_scenarios
from chaos.shrink import Shrinker, Shrunk
from chaos.sim.plan_kinds import find_kind
from chaos.sim.play import Played, play
from chaos.sim.remains import collected_afterwards
from chaos.sim.step_faults import Points, checked
from chaos.subjects import find_simulated
from chaos.trial import Trial, parse_trial
from chaos.verdict import Verdict

SHRINK_BUDGET = 200
REFERENCE = "reference"


def play_order(order: Order) -> Tally:
    """Play the seeds of ``order`` until one breaks a property or the order's time is over."""
    tally, began = Tally(), time.monotonic()
    for seed in range(order.first_seed, order.first_seed + order.seeds):
        trial = Trial(order.scenario, seed, order.policy)
        played = play_trial(trial, subject=order.subject, mutant=order.mutant)
        tally.add(played.result, str(trial), played.digest)
        if is_repeated(str(trial), order.repeat_share):
            tally.to_repeat[str(trial)] = played.digest
        if tally.is_broken or time.monotonic() - began > order.seconds_max:
            break
    return tally


def play_line(line: str, *, subject: str = "reference", mutant: str = "") -> Tally:
    """Play the trial of one line, as an order of its own."""
    tally = Tally()
    played = play_trial(parse_trial(line), subject=subject, mutant=mutant)
    tally.add(played.result, line, played.digest)
    return tally


def points_of(line: str, faults: Sequence[str], *, subject: str = "reference", mutant: str = "") -> list[str]:
    """Return the trial of ``line`` as lines, one for each of the faults at each step where there can be one."""
    trial, points = parse_trial(line), Points()
    play_trial(trial, subject=subject, mutant=mutant, points=points)
    return [str(replace(trial, step=fault)) for name in faults for fault in points.faults(name)]


def play_trial(
    trial: Trial,
    *,
    subject: str = "reference",
    mutant: str = "",
    keeps_trace: bool = False,
    points: Points | None = None,
) -> Played:
    """Play one trial of a scenario by name. Raises ``UsageError`` for names (of faults, too) that are not there."""
    scenario = find_scenario(all_scenarios(), trial.scenario)
    for fault in trial.plan or ():
        find_kind(fault.name)
    if trial.step is not None:
        checked(trial.step)
    with planted(find_mutant(mutant) if mutant else None), collected_afterwards():
        played = play(scenario, trial, find_simulated(subject), all_checkers(), keeps_trace=keeps_trace, points=points)
    line = played.result.replay_line + _more("subject", subject, REFERENCE) + _more("mutant", mutant, "")
    return replace(played, result=replace(played.result, replay_line=line))


def _more(option: str, value: str, usual: str) -> str:
    """Return what the replay line needs besides the trial to play the same."""
    return "" if value == usual else f" --{option} {value}"


def signature(result: RunResult) -> str | None:
    """Return how a run fails: the first broken property and what was expected there (None: it does not)."""
    broken = [finding for finding in result.findings if finding.verdict is Verdict.BROKEN]
    return f"{broken[0].property_id}: {broken[0].expected}" if broken else None


@dataclass(frozen=True, slots=True)
class Small:
    """The smallest failing run that was found: played once more, with its trace."""

    shrunk: Shrunk
    played: Played
    faults_before: int


def shrink_trial(line: str, *, subject: str = "reference", mutant: str = "", budget: int = SHRINK_BUDGET) -> Small:
    """Return the smallest trial found that fails as the one in ``line`` does; that one itself if it does not fail."""
    trial = parse_trial(line)
    first = play_trial(trial, subject=subject, mutant=mutant)
    known = signature(first.result)
    planned = trial if trial.plan is not None else trial.with_plan(first.plan)
    planned = replace(planned, policy=first.result.policy)

    def signature_of(candidate: Trial) -> str | None:
        return signature(play_trial(candidate, subject=subject, mutant=mutant).result)

    if known is None:
        shrunk = Shrunk(trial, 1, is_complete=True)
    else:
        shrunk = Shrinker(signature_of, streams=first.streams, budget=budget).shrink(planned, known)
    played = play_trial(shrunk.trial, subject=subject, mutant=mutant, keeps_trace=True)
    return Small(shrunk, played, len(first.plan))
