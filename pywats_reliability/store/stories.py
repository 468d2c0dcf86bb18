"""Keeps the stories of records that failed: reads and saves the sidecars beside them, each save durable and whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pywats_reliability.disk import Disk
from pywats_reliability.ports import WallClock
from pywats_reliability.store.batches import Write
from pywats_reliability.store.commits import Commits
from pywats_reliability.store.history import History, read_history
from pywats_reliability.store.names import Record, history_name
from pywats_reliability.workers import Workers


class Stories:
    """The sidecars of one store; ``require_open`` raises when it is closing."""

    def __init__(
        self, disk: Disk, clock: WallClock, workers: Workers, commits: Commits, require_open: Callable[[str], None]
    ) -> None:
        self._disk, self._clock, self._workers, self._commits = disk, clock, workers, commits
        self._require_open = require_open

    async def read(self, folder: Path, record: Record) -> History:
        """Return the story of ``record`` in ``folder``. Raises ``DiskError`` when the disk does not tell it now."""
        doing, path = f"reading the history of report {record.report_id}", folder / history_name(record)
        return await self._workers.run(doing, read_history, self._disk, path)

    async def save(self, folder: Path, record: Record, history: History) -> None:
        """Save it beside ``record`` in ``folder``, or before that goes there. Raises ``DiskError``."""
        self._require_open("save a history")
        name = history_name(record)
        await self._commits.write(Write(folder=folder, name=name, data=history.encoded(), replace=True))

    async def add_attempt(self, folder: Path, record: Record, error: str) -> int:
        """Note a failed attempt and return how many there were. Raises ``DiskError``."""
        history = (await self.read(folder, record)).with_attempt(self._clock.now(), error)
        await self.save(folder, record, history)
        return history.attempts

    async def finish(self, folder: Path, target: Path, record: Record, reason: str) -> None:
        """Save the whole story in ``target`` before the record moves to it: it never stands there without one."""
        history = (await self.read(folder, record)).with_failure(self._clock.now(), reason)
        await self.save(target, record, history)

    def __repr__(self) -> str:
        return f"Stories({self._commits!r})"
