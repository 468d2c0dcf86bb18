"""The group commit: everybody who waits shares the next batch, and nobody waits for a timer (H1.1).

* One batch at a time. What arrives while it is being committed forms the next one, so a lone producer pays for a plain
  write and 64 of them share one sync. A batch begins at the end of the loop's turn, after all who were just woken.
* What a batch does is its plan's (see ``batches``): stages of jobs for the worker threads. Nothing blocks the loop, and
  no task is needed: the end of one stage starts the next.
* Each entry has its own error; the others of its batch succeed (H1.8). Its end is told to its owner (``on_end``)
  whether or not anybody still waits: a cancelled producer leaves the bookkeeping true.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from pywats_reliability.workers import Workers

log = logging.getLogger(__name__)
BATCH_MAX = 64
NAMED_MAX = 3
Job = Callable[[], None]


@dataclass(slots=True, eq=False, kw_only=True)
class Entry:
    """One operation on its way through a batch. ``on_end`` is called in the loop, exactly once, with the entry."""

    on_end: Callable[[Any], None] | None = None
    error: BaseException | None = None
    future: asyncio.Future[None] | None = None
    is_settled: bool = False

    @property
    def doing(self) -> str:
        """What is being done, and for which report: the name of a thread that blocks at it (C1.4)."""
        return type(self).__name__.lower()

    def settle(self) -> None:
        """End it: first the bookkeeping, then whoever still waits. A second call does nothing."""
        if self.is_settled:
            return
        self.is_settled = True
        if self.on_end is not None:
            self.on_end(self)
        assert self.future is not None, "an entry is settled after it was handed in"
        if self.future.cancelled():
            return
        if self.error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(self.error)


EntryT = TypeVar("EntryT", bound=Entry)
Plan = Callable[[list[EntryT]], Iterator[list[Job]]]
"""The stages of a batch: the jobs of a stage run in parallel; the next stage is asked for when all of them have ended.
The plan itself runs in the loop, its jobs in threads. A job notes errors of the world in the entries: it never raises.
"""


class GroupCommit(Generic[EntryT]):
    """Gathers entries into batches and drives one batch at a time through its plan."""

    def __init__(self, name: str, workers: Workers, plan: Plan[EntryT]) -> None:
        self.name = name
        self.batches = self.entries = 0
        self._workers, self._plan = workers, plan
        self._waiting: deque[EntryT] = deque()
        self._batch: list[EntryT] = []
        self._stages: Iterator[list[Job]] = iter(())
        self._idle = asyncio.Event()
        self._idle.set()

    async def do(self, entry: EntryT) -> None:
        """Return when ``entry`` is done, or raise its error.

        Cancelled before its batch begins, it is not done at all; cancelled later, it is done or has failed unheard.
        """
        loop = asyncio.get_running_loop()
        entry.future = loop.create_future()
        self._waiting.append(entry)
        if self._idle.is_set():
            self._idle.clear()
            loop.call_soon(self._begin)
        await entry.future

    def under_way(self) -> Iterator[EntryT]:
        """Yield what has been handed in and has not ended."""
        return itertools.chain(self._batch, self._waiting)

    async def wait_idle(self) -> None:
        """Return when nothing waits and no batch is under way."""
        await self._idle.wait()

    def _begin(self) -> None:
        while self._waiting and len(self._batch) < BATCH_MAX:
            entry = self._waiting.popleft()
            assert entry.future is not None, "an entry waits with its future"
            if entry.future.cancelled():
                entry.error = asyncio.CancelledError()
                entry.settle()
            else:
                self._batch.append(entry)
        if not self._batch:
            self._idle.set()
            return
        self.batches += 1
        self.entries += len(self._batch)
        self._stages = self._plan(self._batch)
        self._advance(None)

    def _advance(self, ended: asyncio.Future[Any] | None) -> None:
        """Start the next stage, or end the batch. Only a bug raises here: every entry's error, and no dead end."""
        try:
            if ended is not None:
                ended.result()
            jobs = next(self._stages, None)
            if jobs is not None:
                started = [self._workers.start(job, partial(_doing, self._batch)) for job in jobs]
                stage = started[0] if len(started) == 1 else asyncio.gather(*started)
                stage.add_done_callback(self._advance)
                return
        except Exception as error:  # A job that broke is the end of its batch, which is told to everybody in it.
            log.exception("%s: a batch of %d broke", self.name, len(self._batch))
            for entry in self._batch:
                entry.error = entry.error or error
        batch, self._batch = self._batch, []
        for entry in batch:
            entry.settle()
        asyncio.get_running_loop().call_soon(self._begin)  # After all who were just woken: they may come again.

    def __repr__(self) -> str:
        return f"GroupCommit({self.name}, {len(self._waiting)} waiting, {self.entries} in {self.batches} batches)"


def _doing(batch: Sequence[Entry]) -> str:
    more = f" and {len(batch) - NAMED_MAX} more" if len(batch) > NAMED_MAX else ""
    return ", ".join(entry.doing for entry in batch[:NAMED_MAX]) + more
