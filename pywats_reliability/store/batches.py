"""What a batch of writes and a batch of moves do on the disk, stage by stage.

* Writing (H1.1, H1.8): each aside; sync them all (one ``syncfs`` where they are many and the disk can, a plain sync
  when there is one, else a sync of each in parallel); rename each; sync each folder once; only then is anybody woken.
  What cannot be made durable is removed again, and is an error for its own producer alone. A write whose producer is
  gone may be withdrawn until it gets its name: that is one instant, which ``withdraw`` and the renaming agree on.
* Moving: rename each and wake at once who needs no durability (a lost move to ``sent/`` means a resend with the same
  id, H1.5); sync the folders once; wake the others (``failed/`` keeps its story, H1.4).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pywats_reliability.disk import Aside, Disk
from pywats_reliability.errors import FREE_DISK, DiskError, QueueFullError
from pywats_reliability.store.commit import Entry, Job
from pywats_reliability.store.limits import Places
from pywats_reliability.store.names import named

log = logging.getLogger(__name__)
SYNCFS_FROM = 4


@dataclass(slots=True, eq=False, kw_only=True)
class Write(Entry):
    """A file to be made durable. ``replace`` allows overwriting; ``needs_room`` minds the free disk space."""

    folder: Path
    name: str
    data: bytes
    replace: bool = False
    needs_room: bool = False
    aside: Aside | None = None
    is_withdrawn: bool = False
    is_being_named: bool = False

    @property
    def doing(self) -> str:
        """See ``Entry``."""
        return f"saving {named(self.name)} in {self.folder.name}/"


@dataclass(slots=True, eq=False, kw_only=True)
class Move(Entry):
    """A file to be renamed; one that is gone counts as moved. ``remove`` is a sidecar that ends with the move."""

    source: Path
    target: Path
    remove: Path | None = None
    must_be_durable: bool = False
    was_gone: bool = False

    @property
    def doing(self) -> str:
        """See ``Entry``."""
        return f"moving {named(self.source.name)} from {self.source.parent.name}/ to {self.target.parent.name}/"


class WritePlan:
    """The stages of a batch of writes. ``places`` knows the limit of free disk space, and hears how much there is."""

    def __init__(self, disk: Disk, parallel: int, places: Places) -> None:
        self._disk, self._parallel, self._places = disk, parallel, places
        self._naming = threading.Lock()

    def withdraw(self, write: Write) -> bool:
        """Take back a write that nobody waits for any more; false when it has its name, or is just getting it."""
        with self._naming:
            write.is_withdrawn = not write.is_being_named
            return write.is_withdrawn

    def __call__(self, batch: list[Write]) -> Iterator[list[Job]]:
        """Yield one stage where one call syncs, or three where each file is synced by itself."""
        if len(batch) == 1 or (self._disk.can_sync_filesystem and len(batch) >= SYNCFS_FROM):
            yield [partial(self._commit, batch)]
            return
        yield [partial(self._write, batch)]
        yield [partial(self._sync, batch[n:: self._parallel]) for n in range(min(self._parallel, len(batch)))]
        yield [partial(self._publish, batch)]

    def _commit(self, batch: list[Write]) -> None:
        self._write(batch)
        written = [write for write in batch if write.aside]
        if len(written) < SYNCFS_FROM or not self._disk.sync_filesystem(batch[0].folder):
            self._sync(batch)
        self._publish(batch)

    def _write(self, batch: list[Write]) -> None:
        if any(write.needs_room for write in batch) and self._places.limits.min_free_disk_bytes:
            self._refuse_without_room(batch)
        for write in batch:
            if write.error is None:
                try:
                    write.aside = self._disk.write_aside(f"{write.folder}/{write.name}", write.data)
                except DiskError as error:
                    write.error = error

    def _refuse_without_room(self, batch: list[Write]) -> None:
        try:
            free = self._disk.free_bytes(batch[0].folder)
        except DiskError as error:
            for write in batch:
                write.error = error
            return
        self._places.note_free_disk_bytes(free)
        least = self._places.limits.min_free_disk_bytes
        for write in batch:
            if write.needs_room and free - len(write.data) < least:
                write.error = QueueFullError(free, least, FREE_DISK)
            else:
                free -= len(write.data)

    def _sync(self, batch: Iterable[Write]) -> None:
        for write in batch:
            if write.aside:
                try:
                    self._disk.sync_aside(write.aside)
                except DiskError as error:
                    self._give_up(write, error)

    def _publish(self, batch: list[Write]) -> None:
        published: dict[Path, list[Write]] = {}
        for write in batch:
            if write.aside and self._may_be_named(write):
                try:
                    self._disk.publish(write.aside, replace=write.replace)
                    published.setdefault(write.folder, []).append(write)
                except DiskError as error:
                    self._give_up(write, error)
        for folder, writes in published.items():
            try:
                self._disk.sync_folder(folder)
            except DiskError as error:
                self._withdraw(writes, error)

    def _may_be_named(self, write: Write) -> bool:
        with self._naming:
            write.is_being_named = not write.is_withdrawn
        if write.is_withdrawn:
            self._give_up(write, asyncio.CancelledError())
        return write.is_being_named

    def _give_up(self, write: Write, error: BaseException) -> None:
        assert write.aside is not None, "only what was written aside can be given up"
        write.error = error
        self._disk.discard(write.aside)
        write.aside = None

    def _withdraw(self, writes: list[Write], error: DiskError) -> None:
        """Take the names away again. A file that cannot be removed stays, whole: the next scan adopts it."""
        for write in writes:
            write.error = error
            if not write.replace:
                try:
                    self._disk.remove(write.folder / write.name)
                except DiskError as second:
                    error.add_note(f"and {second}")


class MovePlan:
    """The stages of a batch of moves."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def __call__(self, batch: list[Move]) -> Iterator[list[Job]]:
        """Yield the renames, wake who may go on, yield the syncs."""
        yield [partial(self._rename, batch)]
        for move in batch:
            if move.error or not move.must_be_durable:
                move.settle()
        if any(not move.error for move in batch):
            yield [partial(self._sync, [move for move in batch if not move.error])]

    def _rename(self, batch: list[Move]) -> None:
        for move in batch:
            try:
                self._disk.move(move.source, move.target)
            except DiskError as error:
                if error.error_number != errno.ENOENT or self._disk.exists(move.source):
                    move.error = error
                    continue
                move.was_gone = True
            if not move.must_be_durable:
                self._remove_sidecar(move)

    def _remove_sidecar(self, move: Move) -> None:
        if move.remove is None:
            return
        try:
            self._disk.remove(move.remove)
        except DiskError as error:
            log.warning("the record has moved, its old sidecar stays until the next start: %s", error)

    def _sync(self, batch: list[Move]) -> None:
        folders = {folder: None for move in batch for folder in (move.target.parent, move.source.parent)}
        for folder in folders:
            try:
                self._disk.sync_folder(folder)
            except DiskError as error:
                log.warning("moved, but a power loss may undo it: %s", error)
                for move in batch:
                    move.error = move.error or error
        for move in batch:  # Not before: a power loss may undo the move, and the record needs its sidecar then.
            if move.must_be_durable and not move.error:
                self._remove_sidecar(move)
