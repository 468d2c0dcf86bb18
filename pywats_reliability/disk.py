"""The disk: every file call that changes something, and the only place that renames, in one exchangeable class.

* A file appears whole or not at all: written aside (``.<name>.tmp`` in the same folder), synced, renamed (H1.1, H1.8,
  C1.10). A failure at any call removes what was written aside and raises ``DiskError``; the old file, if any, stays.
* A rename is durable once its folder is synced; who needs that calls ``sync_folder`` (or ``write_atomically``).
* ``move`` never overwrites (H1.15). It looks before it renames: enough, as the folders are locked by their one user.
* Nothing but a regular file is ever opened for reading, never through a link, and no open can block (H1.6: a FIFO).
* ``sync_filesystem`` is Linux's ``syncfs``: one call for a whole batch. From 5.8 on it reports write errors; where it
  is missing, older or refused it says no, and every file is synced by itself, which also finds the one that failed.

All methods block: call them in a worker thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from pywats_reliability.errors import DiskError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
READ_CHUNK = 1024 * 1024
SYNCFS_REPORTS_ERRORS = (5, 8)
_NO_READABLE_FILE = frozenset({errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.ENXIO, errno.EISDIR})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | _NO_WAIT
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_WAIT
_FOLDERS_CAN_BE_SYNCED = os.name != "nt"


@dataclass(slots=True, eq=False)
class Aside:
    """A file written aside: open, whole, not synced, not visible under its name yet."""

    path: str
    temporary: str
    descriptor: int


class Entry(NamedTuple):
    """What can be told of a name without opening it; ``size`` in bytes, ``modified_ns`` since 1970."""

    name: str
    is_file: bool
    size: int
    modified_ns: int


class Disk:
    """The disk of this computer. Every method raises ``DiskError`` naming the action and the path."""

    def __init__(self, *, syncfs: Callable[[int], int] | None = None) -> None:
        """Take ``syncfs`` (a descriptor to 0, or an ``OSError``) instead of the operating system's; see `no_syncfs`."""
        self._syncfs = syncfs or find_syncfs()
        self._durable: set[Path] = set()

    @property
    def can_sync_filesystem(self) -> bool:
        """Whether one call may sync a whole batch here."""
        return self._syncfs is not no_syncfs

    def write_aside(self, path: Path | str, data: bytes, *, mode: int = PRIVATE_FILE) -> Aside:
        """Write ``data`` beside ``path`` and keep the file open; the caller publishes or discards it."""
        folder, name = os.path.split(path)
        aside = Aside(os.fspath(path), temporary_name(folder, name), -1)
        try:
            aside.descriptor = _create(aside.temporary, mode)
            _write_all(aside.descriptor, data)
        except OSError as error:
            self.discard(aside)
            raise DiskError("write", Path(path), error) from error
        return aside

    def sync_aside(self, aside: Aside) -> None:
        """Bring the contents of ``aside`` to stable storage."""
        with _telling("sync", aside.path):
            os.fsync(aside.descriptor)

    def publish(self, aside: Aside, *, replace: bool = False) -> None:
        """Give ``aside`` its name; refuses to overwrite unless ``replace``. Durable after ``sync_folder``."""
        with _telling("save", aside.path):
            _close(aside)
            if not replace:
                _refuse_existing(aside.path)
            os.rename(aside.temporary, aside.path)  # noqa: TID251 - the one module that renames

    def discard(self, aside: Aside) -> None:
        """Close and remove what was written aside, as far as the disk lets us: a start removes what is left (H1.8)."""
        try:
            _close(aside)
        except OSError:
            aside.descriptor = -1  # The descriptor is gone even when its close reports an error.
        try:
            os.unlink(aside.temporary)
        except OSError as error:
            if error.errno != errno.ENOENT:
                return  # It carries a leftover's name: the next start removes it, nobody takes it for a record.

    def write_atomically(self, path: Path, data: bytes, *, mode: int = PRIVATE_FILE) -> None:
        """Replace ``path`` by ``data``: after a crash at any instant it is the old file or the new one, whole."""
        aside = self.write_aside(path, data, mode=mode)
        try:
            self.sync_aside(aside)
            self.publish(aside, replace=True)
        except DiskError:
            self.discard(aside)
            raise
        self.sync_folder(path.parent)

    def move(self, source: Path | str, target: Path | str) -> None:
        """Rename ``source`` to ``target``, which must not exist. Not durable before both folders are synced."""
        with _telling(f"move to {target}", source):
            _refuse_existing(target)
            os.rename(source, target)  # noqa: TID251 - the one module that renames

    def remove(self, path: Path | str) -> bool:
        """Remove the file ``path``; false when there was none."""
        with _telling("remove", path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                return False
            return True

    def sync_file(self, path: Path | str) -> None:
        """Bring the contents of the file ``path``, which somebody else wrote, to stable storage."""
        with _telling("sync", path):
            descriptor = os.open(path, _READ)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def sync_folder(self, path: Path | str) -> None:
        """Bring the names in ``path`` to stable storage."""
        if not _FOLDERS_CAN_BE_SYNCED:
            return
        with _telling("sync folder", path):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def sync_filesystem(self, folder: Path | str) -> bool:
        """Bring everything written to the filesystem of ``folder`` to stable storage; false when that did not happen.

        False (not there, refused, or a write error somewhere) means: sync each file by itself and see.
        """
        try:
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                self._syncfs(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return True

    def make_folder(self, *paths: Path) -> None:
        """Make the folders ``paths`` and their parents, for their owner only, one after the other, each durably.

        One that is there already may have been made by a process that was killed before its name was durable: that is
        made up for when it is first asked for. One whose name cannot be made durable is not there afterwards.
        """
        unsure = [path for path in paths if path not in self._durable and path.exists()]
        for folder in dict.fromkeys(path.parent for path in unsure):
            self._sync_if_let(folder)
        self._durable.update(unsure)
        for path in paths:
            for folder in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
                self._make_one(folder)

    def _make_one(self, folder: Path) -> None:
        with _telling("make folder", folder):
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        try:
            self.sync_folder(folder.parent)
        except DiskError:
            with contextlib.suppress(OSError):  # Somebody has put something into it: it stays.
                folder.rmdir()
            raise
        self._durable.add(folder)

    def _sync_if_let(self, folder: Path) -> None:
        """Sync the names in ``folder``, which may be another user's: then we have made nothing in it."""
        try:
            self.sync_folder(folder)
        except DiskError as error:
            if error.error_number not in _DENIED:
                raise

    def read(self, path: Path | str, *, bytes_max: int | None = None) -> bytes:
        """Return the contents of the regular file ``path``, never following a link, never blocking.

        ``DiskError``: ``EINVAL`` for what is no file, ``EFBIG`` for one over ``bytes_max``, ``ELOOP`` for a link.
        """
        with _telling("read", path):
            descriptor = os.open(path, _READ)
            try:
                state = os.fstat(descriptor)
                if not stat.S_ISREG(state.st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                if bytes_max is not None and state.st_size > bytes_max:
                    raise OSError(errno.EFBIG, f"{state.st_size} bytes, limit {bytes_max}")
                return _read_all(descriptor, state.st_size)
            finally:
                os.close(descriptor)

    def is_unreadable(self, path: Path | str, error: DiskError) -> bool:
        """Return whether ``path``, whose ``read`` raised ``error``, will be as unreadable tomorrow.

        So is what is no readable file, and a file whose own mode denies it to us. Any other trouble may pass, also a
        denial: of a network drive that is logged on again, or by a scanner that has the file open.
        """
        return error.error_number in _NO_READABLE_FILE or (error.error_number in _DENIED and _denies_us(path))

    def list_names(self, path: Path | str) -> list[str]:
        """Return the names in ``path``, in no order."""
        with _telling("list", path):
            return os.listdir(path)

    def list_kinds(self, path: Path | str) -> Iterator[tuple[str, bool]]:
        """Yield each name in ``path``, in no order, and whether it is a regular file; nothing is opened."""
        with _telling("list", path), os.scandir(path) as entries:
            for entry in entries:
                yield entry.name, entry.is_file(follow_symlinks=False)

    def look(self, path: Path | str) -> Entry:
        """Return what can be told of ``path`` itself without opening it."""
        with _telling("look at", path):
            state = os.lstat(path)
        return Entry(os.path.basename(path), stat.S_ISREG(state.st_mode), state.st_size, state.st_mtime_ns)

    def exists(self, path: Path | str) -> bool:
        """Return whether the name is there, whatever it stands for (a dangling link exists)."""
        return os.path.lexists(path)

    def free_bytes(self, path: Path | str) -> int:
        """Return how many bytes may still be written to the filesystem of ``path``."""
        with _telling("look at the free space of", path):
            return shutil.disk_usage(path).free

    def __repr__(self) -> str:
        return f"Disk(syncfs={'yes' if self.can_sync_filesystem else 'no'})"


def temporary_name(folder: Path | str, name: str) -> str:
    """Return the path at which ``name`` is written aside in ``folder``."""
    return os.path.join(folder, f".{name}.tmp")


def no_syncfs(descriptor: int) -> int:
    """Stand in where there is no ``syncfs``: every file is then synced by itself."""
    raise OSError(errno.ENOSYS, f"no syncfs here (descriptor {descriptor})")


def find_syncfs() -> Callable[[int], int]:
    """Return the C library's ``syncfs`` where it reports write errors, else ``no_syncfs``."""
    version = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])
    if sys.platform != "linux" or version < SYNCFS_REPORTS_ERRORS:
        return no_syncfs
    library = ctypes.CDLL(None, use_errno=True)

    def syncfs(descriptor: int) -> int:
        if library.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return 0

    return syncfs if hasattr(library, "syncfs") else no_syncfs


class _telling:  # noqa: N801 - reads as a verb; a class, as it stands around every call of a batch
    """Turns an ``OSError`` into a ``DiskError`` that says what was being done."""

    __slots__ = ("action", "path")

    def __init__(self, action: str, path: Path | str) -> None:
        self.action, self.path = action, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, OSError):
            raise DiskError(self.action, Path(self.path), error) from error


def _create(temporary: str, mode: int) -> int:
    try:
        return os.open(temporary, _CREATE, mode)
    except FileExistsError:  # What a failed removal left; the name is ours alone.
        os.unlink(temporary)
        return os.open(temporary, _CREATE, mode)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:  # A disk that fills up writes a part and says so only at the next call.
        rest = rest[os.write(descriptor, rest):]


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size + 1)
    while more := os.read(descriptor, READ_CHUNK):
        data += more
    return data


def _denies_us(path: Path | str) -> bool:
    """Return whether a file's mode keeps us from reading it; false where modes or users do not say."""
    user = getattr(os, "geteuid", None)
    try:
        state = os.lstat(path)
    except OSError:
        return False
    ours = user is not None and state.st_uid == user()
    return user is not None and not state.st_mode & (stat.S_IRUSR if ours else stat.S_IRGRP | stat.S_IROTH)


def _close(aside: Aside) -> None:
    if aside.descriptor >= 0:
        descriptor, aside.descriptor = aside.descriptor, -1
        os.close(descriptor)


def _refuse_existing(path: Path | str) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "the name is taken, and nothing is ever overwritten")
