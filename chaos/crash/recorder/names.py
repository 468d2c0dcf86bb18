"""The names below the recorded folder, as far as the log has come: which node a path leads to.

* Paths are absolute. What lies outside the folder is resolved through the real file system (its links are taken to
  stay as they are); below it, through the names known here, links and ``..`` included.
* Files that do not count (``ignored`` patterns, matched against the last component) are outside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import lru_cache

from chaos.storage.operations import ROOT, Node

LINKS_MAX = 40  # As the kernel: more symbolic links than this in one path are a loop.


class UnknownPathError(Exception):
    """The path leads to something that the log does not know: log and folder are out of step."""


@dataclass(slots=True)
class Named:
    """A node: a folder's ``entries``, a link's ``target``, or a file (neither) of ``size`` bytes."""

    node: Node
    entries: dict[str, Node] | None = None
    target: str | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name stands or would stand: in ``folder``, leading to ``node`` (None: to nothing yet)."""

    folder: Node
    name: str
    node: Node | None


@dataclass(slots=True)
class NameTree:
    """The nodes and their names. ``root`` is the real path of the recorded folder."""

    root: str
    ignored: Sequence[str] = ()
    nodes: dict[Node, Named] = field(default_factory=lambda: {ROOT: Named(ROOT, entries={})})

    def __repr__(self) -> str:
        return f"NameTree({self.root}, {len(self.nodes)} nodes)"

    def counts(self, path: str) -> bool:
        """Return whether a real path lies in the folder and is not ignored."""
        return path == self.root or (path.startswith(self.root + "/") and not self.is_ignored(path))

    def is_ignored(self, path: str) -> bool:
        """Return whether the last component of a path matches a pattern."""
        return any(fnmatch(os.path.basename(path), pattern) for pattern in self.ignored)

    def new(self, *, folder: bool = False, target: str | None = None) -> Named:
        """Return a new node without a name."""
        named = Named(len(self.nodes), entries={} if folder else None, target=target)
        self.nodes[named.node] = named
        return named

    def entries(self, folder: Node) -> dict[str, Node]:
        """Return the names in a folder. Raises ``UnknownPathError`` when the node is none."""
        entries = self.nodes[folder].entries
        if entries is None:
            raise UnknownPathError(f"node {folder} is no folder")
        return entries

    def place(self, path: str, *, follow: bool = False) -> Place | None:
        """Return where an absolute path leads to, or None outside the folder; ``follow``: through a last link, too.

        Raises ``UnknownPathError`` when a folder on the way is not known.
        """
        return self._walk(path, follow=follow, links=LINKS_MAX)

    def _walk(self, path: str, *, follow: bool, links: int) -> Place | None:
        if not links:
            raise UnknownPathError(f"{path}: too many symbolic links")
        inside = self._below_root(path, follow=follow)
        if inside is None:
            return None
        trail: list[tuple[Node, str]] = [(ROOT, self.root)]
        components = [part for part in inside.split("/") if part not in {"", "."}]
        place = Place(ROOT, "", ROOT)
        for index, name in enumerate(components):
            if name == "..":
                if len(trail) == 1:
                    outside = "/".join((os.path.dirname(self.root), *components[index + 1 :]))
                    return self._walk(outside, follow=follow, links=links - 1)
                trail.pop()
                place = Place(ROOT, "", trail[-1][0])
                continue
            folder, folder_path = trail[-1]
            node = self.entries(folder).get(name)
            place, last = Place(folder, name, node), index == len(components) - 1
            if node is None:
                if not last:
                    raise UnknownPathError(f"{folder_path}/{name} is not known to the log")
            elif (target := self.nodes[node].target) is not None and (follow or not last):
                onward = "/".join((os.path.join(folder_path, target), *components[index + 1 :]))
                return self._walk(onward, follow=follow, links=links - 1)
            elif not last or self.nodes[node].entries is not None:
                trail.append((node, f"{folder_path}/{name}"))
        return None if self.is_ignored(place.name) else place

    def _below_root(self, path: str, *, follow: bool) -> str | None:
        """Return the rest of a path below the folder, with whatever leads there resolved; None outside."""
        if path == self.root or path.startswith(self.root + "/"):
            return path[len(self.root) + 1 :]
        parent, name = os.path.split(path.rstrip("/"))
        real = _real_path(path) if follow else os.path.join(_real_path(parent), name)
        return real[len(self.root) + 1 :] if real == self.root or real.startswith(self.root + "/") else None


@lru_cache(4096)
def _real_path(path: str) -> str:
    return os.path.realpath(path)
