"""Open files of a simulated process: descriptions, which duplicates share, and the numbers that lead to them."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from chaos.sim.disk.errors import failed
from chaos.sim.disk.inodes import Inode
from chaos.sim.disk.volume import Volume

FIRST_DESCRIPTOR = 100_000
"""Simulated descriptors begin here, above every real one; below it, numbers are real."""
DESCRIPTORS_MAX = 1024


@dataclass(slots=True, eq=False)
class OpenFile:
    """What ``open`` made: a place in a file, shared by all duplicates of its descriptor. ``path`` is for rules."""

    volume: Volume
    inode: Inode
    flags: int
    path: str
    offset: int = 0
    references: int = 0

    @property
    def is_readable(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def is_writable(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & os.O_ACCMODE != os.O_RDONLY


class Descriptors:
    """The table of one process; like the real one, it gives the lowest free number."""

    def __init__(self, most: int = DESCRIPTORS_MAX) -> None:
        self.most = most
        self._open: dict[int, OpenFile] = {}
        self._lowest = FIRST_DESCRIPTOR

    def add(self, file: OpenFile) -> int:
        """Return a number for ``file``. Raises ``OSError`` (EMFILE) when the table is full."""
        self.check_room()
        number = self._lowest
        while number in self._open:
            number += 1
        self._lowest = number + 1
        self.put(number, file)
        return number

    def check_room(self) -> None:
        """Raise ``OSError`` (EMFILE) when there is no number left."""
        if len(self._open) >= self.most:
            raise failed(errno.EMFILE)

    def put(self, number: int, file: OpenFile) -> None:
        """Let ``number``, which is free, lead to ``file``."""
        self._open[number] = file
        file.references += 1
        file.inode.opened += 1

    def get(self, number: int) -> OpenFile:
        """Return the file of a number. Raises ``OSError`` (EBADF)."""
        if (file := self._open.get(number)) is None:
            raise failed(errno.EBADF)
        return file

    def remove(self, number: int) -> OpenFile:
        """Free a number and return the file it led to. Raises ``OSError`` (EBADF)."""
        file = self.get(number)
        del self._open[number]
        self._lowest = min(self._lowest, number)
        file.references -= 1
        file.inode.opened -= 1
        return file

    def numbers(self) -> list[int]:
        """Return the numbers in use."""
        return list(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def __repr__(self) -> str:
        return f"Descriptors({len(self)} of {self.most} open)"


def is_simulated(number: object) -> bool:
    """Whether a number is one of ours."""
    return isinstance(number, int) and number >= FIRST_DESCRIPTOR
