"""A campaign on several machines: which part each of them runs, and one outcome out of the parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from chaos.errors import UsageError
from chaos.outcome import Outcome, by_property

T = TypeVar("T")
IDENTITY = ("version", "subject", "profile", "seed", "commit")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``count``, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that ``"2/3"`` names. Raises ``UsageError``."""
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError("a shard such as 2/3", repr(text), "the first number counts from 1 up to the second")
        return cls(int(found[1]), int(found[2]))

    def of(self, items: Sequence[T]) -> list[T]:
        """Return this shard's items: every ``count``-th, so that long ones are spread."""
        return list(items[self.number - 1 :: self.count])

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of the whole campaign out of its shards' outcomes.

    Raises ``UsageError`` when they are not parts of one campaign. A missing shard makes the whole interrupted: what is
    not there proves nothing.
    """
    first = outcomes[0]
    for outcome in outcomes[1:]:
        for key in IDENTITY:
            ours, theirs = getattr(first.header, key), getattr(outcome.header, key)
            if ours != theirs:
                advice = "merge only what one commit, profile and seed have given"
                raise UsageError(f"shards of one campaign ({key} {ours!r})", repr(theirs), advice)
    missing, twice = _gaps([outcome.header.shard for outcome in outcomes])
    if twice:
        raise UsageError("each shard once", f"{', '.join(twice)} twice", "leave one of them out")
    runs = tuple(sorted((run for o in outcomes for run in o.runs), key=lambda run: (run.scenario, run.world)))
    told = [result for outcome in outcomes for result in outcome.properties]
    ids = list(dict.fromkeys(result.property_id for result in told))
    asked = [i for i in ids if any(r.asked for r in told if r.property_id == i)]
    excused = [i for i in ids if all(r.excused for r in told if r.property_id == i)]
    notes = tuple(dict.fromkeys(note for outcome in outcomes for note in outcome.notes))
    if missing:
        notes += (f"shards {', '.join(missing)} are missing: what they had to prove is not proven",)
    return Outcome(
        replace(first.header, shard="", began_at=min(outcome.header.began_at for outcome in outcomes)),
        by_property(ids, asked, runs, excused=excused),
        runs,
        max(outcome.took_s for outcome in outcomes),
        interrupted=bool(missing) or any(outcome.interrupted for outcome in outcomes),
        notes=notes,
        mutants=tuple(dict.fromkeys(mutant for outcome in outcomes for mutant in outcome.mutants)),
    )


def _gaps(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the shards that are missing, and those that are there twice; a whole campaign has none."""
    shards = [Shard.parse(name) for name in names if name]
    wanted = [Shard(number, shards[0].count) for number in range(1, shards[0].count + 1)] if shards else []
    missing = [str(shard) for shard in wanted if shard not in shards]
    twice = sorted({str(shard) for shard in shards if shards.count(shard) > 1})
    return missing, twice
