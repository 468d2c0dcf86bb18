"""The two group commits of a store, for what is written and what is moved, and what can be told of them meanwhile."""

from __future__ import annotations

import asyncio

from pywats_reliability.disk import Disk
from pywats_reliability.store.batches import Move, MovePlan, Write, WritePlan
from pywats_reliability.store.commit import GroupCommit
from pywats_reliability.store.limits import Places
from pywats_reliability.workers import Workers


class Commits:
    """What goes to the disk in batches. An operation's end is told to its ``on_end`` whoever still waits."""

    def __init__(self, disk: Disk, workers: Workers, places: Places) -> None:
        self._plan = WritePlan(disk, workers.threads, places)
        self._writes: GroupCommit[Write] = GroupCommit("writes", workers, self._plan)
        self._moves: GroupCommit[Move] = GroupCommit("moves", workers, MovePlan(disk))

    async def write(self, write: Write) -> None:
        """Return when it is durable, or raise its error. Cancelled, it goes on."""
        await self._writes.do(write)

    async def write_unless_cancelled(self, write: Write) -> None:
        """As ``write``; cancelled before the file has its name, it never gets one."""
        try:
            await self._writes.do(write)
        except asyncio.CancelledError:
            self._plan.withdraw(write)
            raise

    async def move(self, move: Move) -> None:
        """Return when it is done (and durable, if it must be), or raise its error. Cancelled in its batch, it goes on.

        Cancelled before its batch begins, it is not done, and ``on_end`` hears of the cancellation.
        """
        await self._moves.do(move)

    async def wait_idle(self) -> None:
        """Return when nothing waits and nothing is under way."""
        await self._writes.wait_idle()
        await self._moves.wait_idle()

    def is_naming(self, report_id: str) -> bool:
        """Return whether a file of that report is getting its name, or has just got it: that cannot be withdrawn."""
        named = (write.name for write in self._writes.under_way() if write.is_being_named)
        return any(report_id in name for name in named)

    def is_moving(self, report_id: str) -> bool:
        """Return whether a file of that report is being moved, or is to be."""
        return any(report_id in move.source.name for move in self._moves.under_way())

    def __repr__(self) -> str:
        return f"Commits({self._writes!r}, {self._moves!r})"
