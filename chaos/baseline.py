"""What changed since an earlier campaign: better, worse, weaker or slower. A weakened proof is as bad as a broken one.

* Worse: a property held and does no longer, or is broken and was not. Better: the other way round.
* Weaker: it still holds, but on less: a world less, a tenth fewer schedules or crash states, a fault that no longer
  fires, a checker that no longer has anything to judge, a mutant that is no longer found.
* Slower: the runs of a world took more than twice as long. It is told, and turns nothing red: machines differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from chaos.outcome import Change, ChangeKind, Fact, Outcome, PropertyResult
from chaos.verdict import Verdict

LESS_SHARE = 0.9
SLOWER_TIMES, SLOWER_S = 2.0, 2.0
ORDER = tuple(ChangeKind)


def compared(now: Outcome, before: Outcome, *, allowed: Sequence[str] = ()) -> Outcome:
    """Return ``now`` with what changed since ``before``; changes of properties in ``allowed`` may be for the worse.

    Only properties that both speak of are compared: a narrower question is not a weaker answer.
    """
    earlier = {result.property_id: result for result in before.properties}
    changes = [
        replace(change, allowed=change.subject.partition(" ")[0] in allowed)
        for result in now.properties
        if result.property_id in earlier
        for change in _property(result, earlier[result.property_id])
    ]
    changes += [
        replace(change, allowed=change.subject.partition(" ")[0] in allowed) for change in _mutants(now, before)
    ]
    changes += _slower(now, before)
    header = before.header
    words = f"{header.version} {header.commit} of {header.began_at}, profile {header.profile}, seed {header.seed}"
    return replace(now, against=" ".join(words.split()), changes=tuple(sorted(changes, key=_rank)))


def _rank(change: Change) -> int:
    return ORDER.index(change.kind)


def _property(now: PropertyResult, before: PropertyResult) -> Iterator[Change]:
    new, old = now.verdict, before.verdict
    if new is not old and (Verdict.BROKEN in (new, old) or Verdict.HELD in (new, old)):
        is_better = new is Verdict.HELD or old is Verdict.BROKEN
        kind = ChangeKind.BETTER if is_better else ChangeKind.WORSE
        yield Change(kind, now.property_id, str(old), str(new))
    elif new is old is Verdict.HELD:
        yield from _weaker(now, before)


def _weaker(now: PropertyResult, before: PropertyResult) -> Iterator[Change]:
    for world in dict.fromkeys(run.world for run in before.runs):
        old, new = before.within(world), now.within(world)
        name = f"{now.property_id} ({world})"
        if old.verdict is Verdict.HELD and new.verdict is not Verdict.HELD:
            yield Change(ChangeKind.WEAKER, name, "held", str(new.verdict))
            continue
        for what, had, has in _counts(old, new):
            if has < had * LESS_SHARE:
                yield Change(ChangeKind.WEAKER, name, f"{had:,} {what}", f"{has:,} {what}")
    fired = {fault for run in before.runs for fault, times in run.faults_fired.items() if times}
    fires = {fault for run in now.runs for fault, times in run.faults_fired.items() if times}
    for fault in sorted(fired - fires):
        yield Change(ChangeKind.WEAKER, now.property_id, f"{fault} fired", "it does not")
    for checker in before.checkers:  # None in evidence of before they were told.
        if checker not in now.checkers:
            yield Change(ChangeKind.WEAKER, now.property_id, f"{checker} judged", "it does not")


def _counts(old: PropertyResult, new: PropertyResult) -> Iterator[tuple[str, int, int]]:
    yield "schedules", old.schedules, new.schedules
    for fact in (Fact.CRASH_STATES, Fact.RECOVERIES, Fact.SWEEP_POINTS):
        yield str(fact), _total(old, fact), _total(new, fact)


def _total(result: PropertyResult, fact: Fact) -> int:
    values = [run.facts[fact] for run in result.runs if fact in run.facts]
    return int(sum(value for value in values if not isinstance(value, str)))


def _mutants(now: Outcome, before: Outcome) -> Iterator[Change]:
    if not now.mutants:
        if before.mutants:
            yield Change(ChangeKind.WEAKER, "mutants", f"{len(before.mutants)} were tried", "none")
        return
    found = {mutant.name for mutant in now.mutants if mutant.found}
    asked = {result.property_id for result in now.properties}
    for mutant in before.mutants:
        if mutant.found and mutant.property_id in asked and mutant.name not in found:
            yield Change(ChangeKind.WEAKER, f"{mutant.property_id} mutant {mutant.name}", "found", "not found")


def _slower(now: Outcome, before: Outcome) -> Iterator[Change]:
    scenarios = {(run.scenario, run.world) for run in now.runs} & {(run.scenario, run.world) for run in before.runs}
    for world in sorted({world for _, world in scenarios}):
        new, old = (
            sum(run.took_s for run in outcome.runs if run.world == world and (run.scenario, world) in scenarios)
            for outcome in (now, before)
        )
        if new > old * SLOWER_TIMES and new - old > SLOWER_S:
            yield Change(ChangeKind.SLOWER, f"runs in {world}", f"{old:.1f} s", f"{new:.1f} s")
