"""Locks on simulated files: ``flock`` of an open file, ``lockf`` of a process; both die with their owner.

A lock belongs to what holds it: an open file (shared by its duplicates) or a process number. ``lockf`` locks ranges of
bytes, and closing any descriptor of a file gives up all that the process has locked in it, as POSIX wants it.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.sim.disk.errors import failed
from chaos.sim.disk.inodes import Inode
from chaos.sim.locks import Waiters

if TYPE_CHECKING:
    from chaos.sim.disk.descriptors import OpenFile
    from chaos.sim.kernel import SimKernel

TO_THE_END = 1 << 62


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """One lock: by whom, on which bytes, and whether others may read."""

    owner: object
    is_shared: bool
    start: int = 0
    end: int = TO_THE_END

    def hinders(self, other: Held) -> bool:
        """Whether ``other`` has to wait for it."""
        overlaps = self.start < other.end and other.start < self.end
        return overlaps and self.owner != other.owner and not (self.is_shared and other.is_shared)


class FileLocks:
    """All locks of a disk, by file and kind."""

    def __init__(self, kernel: SimKernel) -> None:
        self._kernel = kernel
        self._held: dict[tuple[str, Inode], list[Held]] = {}
        self._waiting: dict[tuple[str, Inode], Waiters] = {}

    def flock(self, file: OpenFile, operation: int) -> None:
        """Do what ``fcntl.flock`` does. Raises ``OSError`` (EWOULDBLOCK) instead of waiting when told so."""
        key = ("flock", file.inode)
        if operation & fcntl.LOCK_UN:
            self._release(key, lambda held: held.owner is file)
            return
        if not operation & (fcntl.LOCK_SH | fcntl.LOCK_EX):
            raise failed(errno.EINVAL)
        self._take(key, Held(file, bool(operation & fcntl.LOCK_SH)), operation)

    def lockf(self, file: OpenFile, owner: int, operation: int, start: int, length: int) -> None:
        """Do what ``fcntl.lockf`` does for process ``owner``. Raises ``OSError`` (EAGAIN)."""
        key, end = ("lockf", file.inode), start + length if length else TO_THE_END
        if operation & fcntl.LOCK_UN:
            self._release(key, lambda held: held.owner == owner and start < held.end and held.start < end)
            return
        if not operation & (fcntl.LOCK_SH | fcntl.LOCK_EX):
            raise failed(errno.EINVAL)
        is_shared = bool(operation & fcntl.LOCK_SH)
        if not (file.is_readable if is_shared else file.is_writable):
            raise failed(errno.EBADF)
        self._take(key, Held(owner, is_shared, start, end), operation)

    def closed(self, file: OpenFile, owner: int) -> None:
        """Give up what ends with the close of a descriptor."""
        if file.references == 0:
            self._release(("flock", file.inode), lambda held: held.owner is file)
        self._release(("lockf", file.inode), lambda held: held.owner == owner)

    def _take(self, key: tuple[str, Inode], wanted: Held, operation: int) -> None:
        while any(held.hinders(wanted) for held in self._held.get(key, ())):
            if operation & fcntl.LOCK_NB:
                raise failed(errno.EWOULDBLOCK)
            waiters = self._waiting.setdefault(key, Waiters(self._kernel))
            waiters.wait("file lock", None)
        mine = [held for held in self._held.get(key, ()) if held.owner != wanted.owner or not _covers(wanted, held)]
        self._held[key] = [*mine, wanted]

    def _release(self, key: tuple[str, Inode], is_meant: Callable[[Held], bool]) -> None:
        before = self._held.get(key)
        if not before:
            return
        kept = [held for held in before if not is_meant(held)]
        if kept:
            self._held[key] = kept
        else:
            del self._held[key]
        if len(kept) < len(before) and key in self._waiting:
            self._waiting.pop(key).wake_all()

    def __repr__(self) -> str:
        return f"FileLocks({sum(map(len, self._held.values()))} held, {len(self._waiting)} files waited for)"


def _covers(new: Held, old: Held) -> bool:
    return new.start <= old.start and old.end <= new.end
