"""Determinism while it is needed: a share of all runs is played once more, in a process that differs in all else.

* That process has another hash seed and another heap, plays the runs in the opposite order, and has played others.
* Which runs are repeated depends on their lines only, so that a campaign of few schedules each repeats some, too.
* A run that was not the same is no verdict on the service: it cannot be replayed, and that is a failure of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from chaos.determinism import HASH_SEEDS, JUNK_MAX, first_difference
from chaos.explore.order import Order, Tally
from chaos.explore.pool import Pool
from chaos.explore.worker import play_trial
from chaos.outcome import Divergence
from chaos.trial import parse_trial

NAMED_MAX = 3
"""So many runs that differ are played once more for their first differing step; more of them say the same."""


def digests_of(lines: Sequence[str], *, subject: str, mutant: str) -> dict[str, int]:
    """Play the lines one after the other and return the digest of each; called in a worker."""
    return {line: play_trial(parse_trial(line), subject=subject, mutant=mutant).digest for line in lines}


def steps_of(line: str, *, subject: str, mutant: str) -> list[str]:
    """Play one line and return its steps; called in a worker."""
    trace = play_trial(parse_trial(line), subject=subject, mutant=mutant, keeps_trace=True).result.trace
    return [" ".join(step.split()) for step in trace.splitlines()]


def another_pool(jobs: int, *, gives_way: bool = False) -> Pool:
    """Return a pool whose workers have another hash seed and heap. Close it in the end."""
    return Pool(jobs, gives_way=gives_way, hash_seed=HASH_SEEDS[1], heap=JUNK_MAX)


class Repeater:
    """Plays again in ``other`` what was played in ``pool``, and names the first step in which the two differ.

    ``places``: what both pools together may do at a time; entered around each call.
    """

    def __init__(self, pool: Pool, other: Pool, places: AbstractAsyncContextManager[object] | None = None) -> None:
        self._pool, self._other = pool, other
        self._places = places or nullcontext()

    async def repeat(self, order: Order, digests: Mapping[str, int]) -> Tally:
        """Return how many of the lines were repeated, and which of them were not the same as in ``digests``."""
        lines, given = list(digests)[::-1], {"subject": order.subject, "mutant": order.mutant}
        if not lines:
            return Tally()
        async with self._places:
            again = await self._other.run(digests_of, lines, **given)
        differing = [line for line in digests if again[line] != digests[line]]
        found = [await self._named(line, **given) for line in differing[:NAMED_MAX]]
        return Tally(repeated=len(lines), divergences=found)

    async def _named(self, line: str, *, subject: str, mutant: str) -> Divergence:
        async with self._places:
            pools = (self._pool, self._other)
            plays = (pool.run(steps_of, line, subject=subject, mutant=mutant) for pool in pools)
            one, other = await asyncio.gather(*plays)
        return Divergence(line, *first_difference(one, other))

    def __repr__(self) -> str:
        return f"Repeater({self._pool!r}, {self._other!r})"
