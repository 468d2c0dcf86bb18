"""What a campaign is to find out: the runs to play, the properties it speaks of, and those that must hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chaos.guarantees import properties
from chaos.plan import Run, plan_runs, provable
from chaos.profiles import Profile
from chaos.protocols import Scenario, WorldKind
from chaos.scenarios import all_scenarios
from chaos.seed import Seed
from chaos.shards import Shard


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold, where it differs from the profile: ``require`` replaces, ``allow_unknown`` is added."""

    require: tuple[str, ...] = ()
    allow_unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """``asked`` are the properties that must hold, ``shown`` those it speaks of, ``excused`` may be unproven.

    ``again`` gives the runs of a further round (from 1), for a campaign that goes on for ``minutes``.
    """

    profile: str
    runs: Sequence[Run]
    shown: tuple[str, ...]
    asked: tuple[str, ...]
    excused: tuple[str, ...]
    jobs: int
    seed: int
    minutes: float = 0
    shard: str = ""
    again: Callable[[int], Sequence[Run]] = lambda _: ()


def question_of(
    profile: Profile,
    chosen: Sequence[str],
    seed: int | None,
    gate: Gate,
    kinds: frozenset[WorldKind],
    *,
    minutes: float | None = None,
) -> Question:
    """Return what ``profile`` asks, of the properties in ``chosen`` instead of its own if there are any."""
    start = profile.seed if seed is None else seed
    worlds = [world for world in profile.worlds if world in kinds]
    longest_s = profile.longest_s or float("inf")
    stories = [story for story in all_scenarios() if story.limit_s <= longest_s]
    shown = tuple(chosen) or profile.properties

    def runs_of(round_number: int) -> list[Run]:
        first = Seed(start) if round_number == 0 else Seed(start).child(f"round {round_number}")
        return plan_runs(stories, properties=shown, worlds=worlds, seed=first, repeat=profile.repeat)

    asked = _asked(profile, chosen, gate, shown, provable(stories, worlds))
    excused = tuple(p for p in shown if p in {*profile.allow_unknown, *gate.allow_unknown})
    lasting = float(profile.minutes) if minutes is None else minutes
    return Question(profile.name, runs_of(0), shown, asked, excused, profile.jobs, start, lasting, again=runs_of)


def part_of(question: Question, shard: Shard) -> Question:
    """Return the shard's part of a question: what its runs do not speak of is left to the other shards."""
    mine = shard.of(question.runs)
    spoken, here = _spoken(question.runs), _spoken(mine)
    excused = tuple(p for p in question.shown if p in question.excused or (p in spoken and p not in here))

    def again(round_number: int) -> Sequence[Run]:
        return shard.of(question.again(round_number))

    return replace(question, runs=mine, excused=excused, shard=str(shard), again=again)


def question_of_one(story: Scenario, world: WorldKind, seed: int, repeat: int = 1) -> Question:
    """Return the question that one scenario answers, played ``repeat`` times, each time from another seed."""
    order = tuple(p for p in properties() if p in story.proves)
    runs = plan_runs([story], properties=(), worlds=[world], seed=Seed(seed), repeat=repeat)
    return Question("one scenario", runs, order, order, (), 1, seed)


def question_of_many(stories: Sequence[Scenario], world: WorldKind, seed: int) -> Question:
    """Return the question that several scenarios answer in one world."""
    order = tuple(p for p in properties() if any(p in story.proves for story in stories))
    runs = [Run(story, world, Seed(seed)) for story in stories]
    return Question("explore", runs, order, order, (), 1, seed)


def _asked(
    profile: Profile, chosen: Sequence[str], gate: Gate, shown: tuple[str, ...], proven: set[str]
) -> tuple[str, ...]:
    required = gate.require or (profile.require if isinstance(profile.require, tuple) else ())
    if required and not chosen:
        return tuple(p for p in shown if p in required)
    if chosen or profile.require == "all":
        return shown
    return tuple(p for p in shown if p in proven)


def _spoken(runs: Sequence[Run]) -> set[str]:
    return {property_id for run in runs for property_id in run.scenario.proves}
