"""Which paths are simulated, and the way from a path to what stands there, over folders and links."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Any

from chaos.sim.disk.errors import failed
from chaos.sim.disk.inodes import Inode
from chaos.sim.disk.volume import Volume

LINKS_FOLLOWED_MAX = 40
PATH_BYTES_MAX = 4096


@dataclass(slots=True)
class Place:
    """Where a path leads: ``name`` in ``folder``, and what stands there, if anything.

    ``name`` is empty for a mounted folder itself, ``.`` and ``..``: these can be neither made, removed nor renamed.
    """

    volume: Volume
    folder: Inode
    name: str
    inode: Inode | None


class OutsideError(Exception):
    """A link, or ``..``, led out of all mounted folders."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


class Mounts:
    """The mounted folders. A relative path begins at the first of them."""

    def __init__(self) -> None:
        self.volumes: dict[str, Volume] = {}
        self._inside: list[tuple[str, str]] = []

    def add(self, path: str, volume: Volume) -> None:
        """Mount ``volume`` at the absolute ``path``, which lies neither in nor above another."""
        assert path.startswith("/"), f"expected an absolute path, found {path!r}"
        path = os.path.normpath(path)
        assert not any(_holds(path, other) or _holds(other, path) for other in self.volumes), "mounts do not nest"
        self.volumes[path] = volume
        self._inside.append((path, f"{path.rstrip('/')}/"))

    @property
    def home(self) -> str:
        """Return where relative paths begin."""
        return next(iter(self.volumes))

    def holding(self, path: str) -> str | None:
        """Return the mounted folder that ``path`` (absolute, or relative to ``home``) lies in, or is."""
        if not path.startswith("/"):
            return self.home
        if path.startswith("//"):
            path = "/" + path.lstrip("/")
        for mount, inside in self._inside:
            if path.startswith(inside) or path == mount:
                return mount
        return None

    def is_above(self, path: str) -> bool:
        """Whether ``path`` is a folder that leads to a mounted one."""
        path = os.path.normpath(path)
        return any(_holds(path, mount) for mount in self.volumes)

    def find(self, path: str, shown: Any, *, follow: bool = True, start: tuple[Volume, Inode] | None = None) -> Place:
        """Return where ``path`` leads; ``shown`` is how the caller gave it, for errors.

        ``start`` is where a relative path begins. Raises ``OSError`` where a folder on the way is missing or is none,
        and ``OutsideError``.
        """
        if not path:
            raise failed(errno.ENOENT, shown)
        if len(path) > PATH_BYTES_MAX:
            raise failed(errno.ENAMETOOLONG, shown)
        if "\0" in path:
            raise ValueError("embedded null byte")
        walker = _Walker(self, shown)
        place = walker.walk(path, start, follow=follow or path.endswith("/"))
        if path.endswith("/") and place.inode is not None and not place.inode.is_folder:
            raise failed(errno.ENOTDIR, shown)
        return place

    def __repr__(self) -> str:
        return f"Mounts({', '.join(self.volumes)})"


class _Walker:
    def __init__(self, mounts: Mounts, shown: Any) -> None:
        self._mounts, self._shown = mounts, shown
        self._links = 0

    def walk(self, path: str, start: tuple[Volume, Inode] | None, *, follow: bool) -> Place:
        volume, way, rest = self._begin(path, start)
        todo = [part for part in rest.split("/") if part][::-1]
        place = Place(volume, way[-1], "", way[-1])
        while todo:
            name = todo.pop()
            folder = way[-1]
            if not folder.is_folder:
                raise failed(errno.ENOTDIR, self._shown)
            if name in (".", ".."):
                self._up(way, path, is_up=name == "..")
                place = Place(volume, way[-1], "", way[-1])
                continue
            inode = folder.names.get(name)
            place = Place(volume, folder, name, inode)
            if inode is None:
                if todo:
                    raise failed(errno.ENOENT, self._shown)
                return place
            if inode.is_link and (todo or follow):
                target = self._followed(inode)
                if target.startswith("/"):
                    volume, way, target = self._begin(target, None)
                    place = Place(volume, way[-1], "", way[-1])
                todo += [part for part in target.split("/") if part][::-1]
                continue
            way.append(inode)
        return place

    def _begin(self, path: str, start: tuple[Volume, Inode] | None) -> tuple[Volume, list[Inode], str]:
        if not path.startswith("/") and start is not None:
            return start[0], [start[1]], path
        mount = self._mounts.holding(path)
        if mount is None:
            raise OutsideError(path)
        volume = self._mounts.volumes[mount]
        path = "/" + path.lstrip("/") if path.startswith("/") else path
        return volume, [volume.root], path.removeprefix(mount)

    def _followed(self, inode: Inode) -> str:
        self._links += 1
        if self._links > LINKS_FOLLOWED_MAX:
            raise failed(errno.ELOOP, self._shown)
        return inode.target

    def _up(self, way: list[Inode], path: str, *, is_up: bool) -> None:
        if not is_up:
            return
        if len(way) == 1:
            raise OutsideError(path)
        way.pop()


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
