"""Mistakes about the lock of the data folder: they show when a second service takes over, or after a SIGKILL."""

from __future__ import annotations

import os
from typing import Any

import filelock

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.errors import StoreLockedError

LOCK = "pywats_reliability.store.lock:FolderLock"


@mutant("H1.9", subtle="only the end of the holder's process shows it")
def the_lock_is_a_file_that_is_there(service: Replacements) -> None:
    """Takes the folder for locked while the file that names the holder is there: "it is removed at the end"."""

    def acquire(lock: Any) -> None:
        holder = lock.folder / ".lock.holder"
        if holder.exists():
            raise StoreLockedError(lock.folder, lock._holder())
        lock._lock.acquire(blocking=False)
        lock._disk.write_atomically(holder, lock._introduction())

    service.replace(f"{LOCK}.acquire", acquire)


@mutant("H1.9", subtle="only a second service shows it")
def the_lock_of_another_is_broken(service: Replacements) -> None:
    """Removes a lock that it cannot have and makes its own: "whoever held it has crashed"."""

    def acquire(honest: Any, lock: Any) -> None:
        try:
            honest(lock)
        except StoreLockedError:
            os.unlink(lock.folder / ".lock")
            honest(lock)

    service.wrap(f"{LOCK}.acquire", acquire)


@mutant("H1.9", subtle="only a holder that did not clean up shows it")
def the_holder_is_written_once(service: Replacements) -> None:
    """Names the holder only where no name stands: "it is written at the first start"."""

    def acquire(lock: Any) -> None:
        try:
            lock._lock.acquire(blocking=False)
        except filelock.Timeout:
            raise StoreLockedError(lock.folder, lock._holder()) from None
        if not (lock.folder / ".lock.holder").exists():
            lock._disk.write_atomically(lock.folder / ".lock.holder", lock._introduction())

    service.replace(f"{LOCK}.acquire", acquire)
