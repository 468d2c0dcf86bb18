"""Crash states as real folders: each one in a place of its own, on the fastest disk there is, removed afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from chaos.crash.recorder.real_folder import fill
from chaos.storage.tree import Contents, Symlink

PREFIX = "pywats-chaos-states-"
MEMORY = "/dev/shm"  # noqa: S108 - a private folder with a random name is made in it
ROOM_BYTES_MIN = 256 << 20


@contextmanager
def workshop(where: str | None = None) -> Iterator[Path]:
    """Make a private folder for states, in ``where`` or in memory when there is room; it is removed in the end."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=where or fastest_place()) as private:
        yield Path(private)


def fastest_place() -> str | None:
    """Return a folder in memory when there is room, or None for the usual temporary folder."""
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM_BYTES_MIN:
        return MEMORY
    return None


def _already_gone(_function: object, _path: str, how: tuple[type[BaseException], BaseException, TracebackType]) -> None:
    """A check may still be tidying up, as when a database connection is collected; what is gone is gone."""
    if not issubclass(how[0], FileNotFoundError):
        raise how[1]


class ChangingFolder:
    """One folder that shows one state after the other, changed only where they differ: for checks that only read.

    Twice as fast as a new folder for each state. A check that writes would spoil the states after its own.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self._shown: dict[str, bytes | Symlink | None] = {}

    def __repr__(self) -> str:
        return f"ChangingFolder({self.path}, {len(self._shown)} paths)"

    def show(self, contents: Contents) -> None:
        """Change the folder to ``contents``. Raises ``OSError``."""
        shown, root = self._shown, str(self.path)
        gone = [path for path, leaf in shown.items() if contents.get(path, _NOTHING) != leaf]
        for path in sorted(gone, reverse=True):  # What is in a folder goes before the folder.
            if shown.pop(path) is None:
                os.rmdir(f"{root}/{path}")
            else:
                os.unlink(f"{root}/{path}")
        fill(root, {path: leaf for path, leaf in contents.items() if path not in shown})
        shown.update(contents)


_NOTHING = object()


@contextmanager
def state_in(folder: Path, contents: Contents) -> Iterator[Path]:
    """Make a new folder with ``contents`` inside the context; the check may do with it what it likes."""
    folder.mkdir()
    try:
        fill(str(folder), contents)
        yield folder
    finally:
        shutil.rmtree(folder, onerror=_already_gone)
