"""The lock on a data folder: one service at a time, and the second one hears who holds it (H1.9).

The operating system holds the lock (``.lock``) and drops it with its process, so a SIGKILL leaves no obstacle. Beside
it ``.lock.holder`` tells process, computer and start; it is for people, nothing is decided by it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
from pathlib import Path

import filelock

from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError, StoreLockedError
from pywats_reliability.ports import WallClock

log = logging.getLogger(__name__)
LOCK_NAME = ".lock"
HOLDER_NAME = ".lock.holder"
HOLDER_BYTES_MAX = 4096
FULL = (errno.ENOSPC, errno.EDQUOT)


class FolderLock:
    """The exclusive use of a folder. Its methods block for a moment: call them in a worker thread."""

    def __init__(self, folder: Path, disk: Disk, clock: WallClock) -> None:
        self.folder = folder
        self._disk, self._clock = disk, clock
        self._lock = filelock.FileLock(folder / LOCK_NAME, thread_local=False)

    def acquire(self) -> None:
        """Take the lock without waiting. Raises ``StoreLockedError`` naming the holder, or ``DiskError``.

        That a full disk does not take the holder's name is no error, but logged: a start sends what fills it.
        """
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            raise StoreLockedError(self.folder, self._holder()) from None
        except OSError as error:
            raise DiskError("lock", self.folder / LOCK_NAME, error) from error
        try:
            self._introduce()
        except DiskError:
            self._lock.release()
            raise

    def release(self) -> None:
        """Give the lock back; harmless when it is not held. Raises ``DiskError``."""
        if not self._lock.is_locked:
            return
        try:
            self._disk.remove(self.folder / HOLDER_NAME)
        finally:
            try:
                self._lock.release()
            except OSError as error:
                raise DiskError("unlock", self.folder / LOCK_NAME, error) from error

    def _introduce(self) -> None:
        holder = self.folder / HOLDER_NAME
        try:
            self._disk.write_atomically(holder, self._introduction())
        except DiskError as error:
            if error.error_number not in FULL:
                raise
            self._disk.remove(holder)  # A killed service may have left its own words there.
            log.warning("a second service will not be told who holds the folder: %s", error)

    def _introduction(self) -> bytes:
        words = {"pid": os.getpid(), "host": platform.node(), "since": self._clock.now().isoformat(timespec="seconds")}
        return json.dumps(words).encode() + b"\n"

    def _holder(self) -> str:
        try:
            words = json.loads(self._disk.read(self.folder / HOLDER_NAME, bytes_max=HOLDER_BYTES_MAX))
            return f"process {words['pid']} on {words['host']} since {words['since']}"
        except (DiskError, ValueError, KeyError, TypeError):
            return "another process"

    def __repr__(self) -> str:
        return f"FolderLock({self.folder}, {'held' if self._lock.is_locked else 'free'})"
