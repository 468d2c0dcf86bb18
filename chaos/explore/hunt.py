"""The hunt for mutants, several at once: each must be found by the property that it breaks.

* A mutant is *found* when its own property is broken, whatever the repetition. One that only another property sees is
  found by accident: the proof that should have seen it is blind. One that nothing sees survived.
* The worlds that have scenarios for the property are tried in turn: the simulated one costs the least.
* Those that only live runs can find have hunters of their own, more than there are workers: a live run mostly waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from chaos.explore.chase import Chase, Hunter, Terms, stories_of, worlds_of
from chaos.mutants import Mutant
from chaos.outcome import MutantResult
from chaos.protocols import WorldKind

LIVE_PER_JOB = 2
NOT_HUNTED = "not hunted"
NOT_AVAILABLE = "not available here"


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of one mutant. ``runs`` and ``took_s`` are medians over the hunts that found it (or over all)."""

    name: str
    property_id: str
    sentence: str
    world: str
    runs: float
    took_s: float
    hits: int
    tries: int
    found_by: tuple[str, ...] = ()
    replay: str = ""
    trouble: str = ""
    absent: str = ""

    @property
    def is_found(self) -> bool:
        """Whether its own property saw it every time."""
        return self.hits == self.tries > 0

    @property
    def is_hunted(self) -> bool:
        """Whether there was something to hunt it with, on this machine."""
        return self.tries > 0 and (bool(self.hits) or not self.absent)

    @property
    def word(self) -> str:
        """What is said of it in a word or two."""
        if self.is_found:
            return "found"
        if not self.is_hunted:
            return NOT_AVAILABLE if self.absent else NOT_HUNTED
        if self.trouble:
            return self.trouble
        if self.hits:
            return "found sometimes"
        return "found by accident" if self.found_by else "survived"

    @property
    def cost(self) -> str:
        """What finding it took."""
        if not self.is_hunted:
            return self.absent or "no scenario proves its property there"
        if not self.hits:
            return f"{self.tries} {'hunt' if self.tries == 1 else 'hunts'} in vain, {self.runs:g} runs each"
        some = "" if self.is_found else f", in {self.hits} of {self.tries} hunts"
        return f"{self.runs:g} {'run' if self.runs == 1 else 'runs'}, {self.took_s:.1f} s{some}"

    def result(self) -> MutantResult:
        """Return the same as a part of a campaign's outcome."""
        return MutantResult(
            self.name, self.property_id, self.world, self.is_found, round(self.runs), self.took_s, self.sentence,
            self.replay,
        )  # fmt: skip


class Hunt:
    """Hunts mutants with ``jobs`` hunters, a worker process each, and twice as many that only play live runs."""

    def __init__(self, subject: str, terms: Terms, jobs: int) -> None:
        self._subject, self._terms, self._jobs = subject, terms, jobs

    async def all(self, mutants: Sequence[Mutant]) -> AsyncGenerator[Caught, None]:
        """Yield what became of each mutant, in the order in which that is known; left early, every worker is ended."""
        with contextlib.ExitStack() as stack:
            workers, live = self._hunters(stack, self._jobs), self._hunters(stack, self._jobs * LIVE_PER_JOB)

            async def one(mutant: Mutant) -> Caught:
                free = live if worlds_of(mutant, self._terms) == [WorldKind.LIVE] else workers
                hunter = await free.get()
                try:
                    return caught(mutant, await hunter.hunt(mutant))
                finally:
                    free.put_nowait(hunter)

            tasks = [asyncio.ensure_future(one(mutant)) for mutant in _longest_first(mutants)]  # noqa: TID251
            try:
                for ended in asyncio.as_completed(tasks):
                    yield await ended
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)  # Live worlds are left properly.

    def _hunters(self, stack: contextlib.ExitStack, count: int) -> asyncio.Queue[Hunter]:
        """Return hunters that are free, each closed with the stack; none has a worker before it needs one."""
        free: asyncio.Queue[Hunter] = asyncio.Queue(count)
        for _ in range(count):
            hunter = Hunter(self._subject, self._terms)
            stack.callback(hunter.close)
            free.put_nowait(hunter)
        return free

    def __repr__(self) -> str:
        return f"Hunt({self._subject}, {self._jobs} at a time)"


def _longest_first(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Return them so that none that may take long in live runs begins when the others have ended."""
    limits_s = {m.name: max((s.limit_s for s in stories_of(m, WorldKind.LIVE)), default=0.0) for m in mutants}
    return sorted(mutants, key=lambda mutant: -limits_s[mutant.name])


def caught(mutant: Mutant, chases: Sequence[Chase]) -> Caught:
    """Return what several hunts for one mutant come to together."""
    hits = [chase for chase in chases if chase.is_hit]
    told = hits or chases
    worlds = [chase.world for chase in told if chase.world is not None]
    return Caught(
        mutant.name,
        mutant.property_id,
        mutant.sentence,
        str(statistics.mode(worlds)) if worlds else "–",
        statistics.median(chase.played for chase in told) if told else 0,
        statistics.median(chase.took_s for chase in told) if told else 0.0,
        len(hits),
        len(chases),
        tuple(sorted({other for chase in chases for other in chase.others})),
        hits[0].replay if hits else "",
        next((chase.trouble for chase in chases if chase.trouble), ""),
        next((chase.absent for chase in chases if chase.absent), ""),
    )
