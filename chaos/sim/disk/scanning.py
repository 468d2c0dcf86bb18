"""What ``os.scandir`` returns for a simulated folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from chaos.sim.disk.inodes import Inode

if TYPE_CHECKING:
    from chaos.sim.disk.path_calls import PathCalls


class FoundEntry:
    """What ``os.scandir`` yields."""

    def __init__(self, calls: PathCalls, name: Any, folder: Any, inode: Inode, dir_fd: int | None) -> None:
        self.name = name
        self.path = os.path.join(folder, name) if folder else name
        self._calls, self._inode, self._dir_fd = calls, inode, dir_fd

    def inode(self) -> int:
        """Return the number of what the name leads to."""
        return self._inode.number

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder."""
        inode = self._seen(follow_symlinks=follow_symlinks)
        return inode is not None and inode.is_folder

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a regular file."""
        inode = self._seen(follow_symlinks=follow_symlinks)
        return inode is not None and inode.is_file

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self._inode.is_link

    def is_junction(self) -> bool:
        """Whether it is a junction, which only Windows has."""
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return what ``os.stat`` gives for its path."""
        return self._calls.stat(self.path, dir_fd=self._dir_fd, follow_symlinks=follow_symlinks)

    def _seen(self, *, follow_symlinks: bool) -> Inode | None:
        if not self._inode.is_link or not follow_symlinks:
            return self._inode
        try:
            return self._calls.there(self.path, dir_fd=self._dir_fd)[1]
        except FileNotFoundError:
            return None

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"


class ScanDir:
    """The iterator, and context manager, that ``os.scandir`` returns."""

    def __init__(self, entries: list[FoundEntry]) -> None:
        self._entries: Iterator[FoundEntry] = iter(entries)

    def __iter__(self) -> ScanDir:
        return self

    def __next__(self) -> FoundEntry:
        return next(self._entries)

    def close(self) -> None:
        """Yield nothing more."""
        self._entries = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()
