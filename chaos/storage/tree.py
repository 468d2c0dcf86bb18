"""What a file system holds: nodes and the names that lead to them, and the same as paths with their contents.

* A ``Tree`` knows nodes, so that two names of one file share its contents and a folder without a name keeps its own.
* ``Contents`` is what people and checkers see: path to bytes, to a link's target, or to None for a folder; what no path
  leads to is not in it. Paths are relative, with ``/`` between their parts, in sorted order.
* Modes and times are not part of it: no model says what a crash leaves of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from chaos.errors import OperationLogError
from chaos.storage.operations import (
    ROOT,
    Link,
    MakeFile,
    MakeFolder,
    MakeSymlink,
    Node,
    Operation,
    RemoveFolder,
    Rename,
    Truncate,
    Unlink,
    Write,
)

WORDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link to ``target``, as it stands in ``Contents``."""

    target: str


Contents = Mapping[str, bytes | Symlink | None]
Names = dict[Node, dict[str, Node]]


class Tree:
    """Files, folders and links by node; changed in place, copied cheaply (contents are shared, being immutable)."""

    __slots__ = ("files", "folders", "symlinks")

    def __init__(
        self,
        files: dict[Node, bytes] | None = None,
        folders: Names | None = None,
        symlinks: dict[Node, str] | None = None,
    ) -> None:
        self.files = files if files is not None else {}
        self.folders = folders if folders is not None else {ROOT: {}}
        self.symlinks = symlinks if symlinks is not None else {}

    @classmethod
    def of(cls, contents: Contents) -> Tree:
        """Return the tree with these contents, its nodes numbered in the order of the paths."""
        tree = cls()
        number = ROOT
        folders = {"": ROOT}
        for path, leaf in sorted(contents.items()):
            parent, _, name = path.rpartition("/")
            if parent not in folders:
                raise OperationLogError(f"the folder {parent!r} before what is in it", "no such path")
            number += 1
            tree.folders[folders[parent]][name] = number
            if leaf is None:
                folders[path] = number
                tree.folders[number] = {}
            elif isinstance(leaf, Symlink):
                tree.symlinks[number] = leaf.target
            else:
                tree.files[number] = leaf
        return tree

    def copy(self) -> Tree:
        """Return a tree that changes on its own."""
        folders = {node: dict(names) for node, names in self.folders.items()}
        return Tree(dict(self.files), folders, dict(self.symlinks))

    @property
    def next_node(self) -> Node:
        """Return the smallest number above all nodes."""
        return max(ROOT, *self.files, *self.folders, *self.symlinks) + 1

    def find(self, folder: Node, name: str) -> Node:
        """Return the node of a name. Raises ``OperationLogError`` when it is not there."""
        node = self.folders.get(folder, {}).get(name)
        if node is None:
            raise OperationLogError(f"the name {name!r} in folder {folder}", "no such name")
        return node

    def apply(self, operation: Operation) -> None:
        """Do what ``operation`` does; what changes nothing (a sync, a visible event) is ignored.

        Raises ``OperationLogError`` for a name or node that is not there.
        """
        match operation:
            case MakeFile(folder, name, node):
                self.files[node] = b""
                self._names(folder)[name] = node
            case MakeFolder(folder, name, node):
                self.folders[node] = {}
                self._names(folder)[name] = node
            case MakeSymlink(folder, name, node, target):
                self.symlinks[node] = target
                self._names(folder)[name] = node
            case Write(node) | Truncate(node):
                self.files[node] = changed(self._file(node), operation)
            case Rename(folder, name, to_folder, to_name):
                node = self.find(folder, name)
                del self._names(folder)[name]
                self._names(to_folder)[to_name] = node
            case Link(folder, name, node):
                self._names(folder)[name] = node
            case Unlink(folder, name) | RemoveFolder(folder, name):
                self.find(folder, name)
                del self._names(folder)[name]
            case _:
                pass

    def paths(self) -> Iterator[tuple[str, Node]]:
        """Yield every path with its node, in sorted order."""
        yield from sorted(walk(self.folders))

    def contents(self) -> dict[str, bytes | Symlink | None]:
        """Return what the paths lead to."""
        return {path: self.leaf(node) for path, node in self.paths()}

    def leaf(self, node: Node) -> bytes | Symlink | None:
        """Return what a path to ``node`` shows."""
        if node in self.folders:
            return None
        if node in self.symlinks:
            return Symlink(self.symlinks[node])
        return self.files[node]

    def _names(self, folder: Node) -> dict[str, Node]:
        if folder not in self.folders:
            raise OperationLogError(f"the folder {folder}", "no such node")
        return self.folders[folder]

    def _file(self, node: Node) -> bytes:
        if node not in self.files:
            raise OperationLogError(f"the file {node}", "no such node")
        return self.files[node]

    def __repr__(self) -> str:
        return f"Tree({len(self.files)} files, {len(self.folders)} folders, {len(self.symlinks)} links)"


def walk(names: Mapping[Node, Mapping[str, Node]]) -> Iterator[tuple[str, Node]]:
    """Yield every path that leads from the root over ``names``, and its node, in no order."""
    todo = [("", ROOT)]
    while todo:
        prefix, folder = todo.pop()
        for name, node in names[folder].items():
            yield prefix + name, node
            if node in names:
                todo.append((f"{prefix}{name}/", node))


def changed(data: bytes, operation: Write | Truncate) -> bytes:
    """Return the bytes of a file after a write or a truncation; gaps read as zeros."""
    if isinstance(operation, Truncate):
        return data[: operation.size].ljust(operation.size, b"\0")
    start, end = operation.offset, operation.offset + len(operation.data)
    if not operation.data:
        return data
    return data[:start].ljust(start, b"\0") + operation.data + data[end:]


def contents_key(contents: Contents) -> bytes:
    """Return 16 bytes that two contents have in common when, and only when, they are the same."""
    parts = [_part(path, contents[path]) for path in sorted(contents)]
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def difference(before: Contents, after: Contents) -> list[str]:
    """Return, for people, what changed from ``before`` to ``after``: one line for each path, in order."""
    lines = []
    for path in sorted({*before, *after}):
        if path not in after:
            lines.append(f"- {path} {_words(before[path])}")
        elif path not in before:
            lines.append(f"+ {path} {_words(after[path])}")
        elif before[path] != after[path]:
            lines.append(f"~ {path} {_words(before[path])} → {_words(after[path])}")
    return lines


def listing(contents: Contents) -> list[str]:
    """Return, for people, one line for each path."""
    return [f"{path} {_words(leaf)}" for path, leaf in sorted(contents.items())] or ["(nothing)"]


def _words(leaf: bytes | Symlink | None) -> str:
    if leaf is None:
        return "(folder)"
    if isinstance(leaf, Symlink):
        return f"-> {leaf.target}"
    shown = repr(leaf[:WORDS_MAX])[1:] + ("…" if len(leaf) > WORDS_MAX else "")
    return f"{len(leaf)} bytes {shown}"


@lru_cache(maxsize=65536)
def _part(path: str, leaf: bytes | Symlink | None) -> bytes:
    data = path.encode("utf-8", "surrogateescape")
    return len(data).to_bytes(4, "big") + data + _leaf_digest(leaf)


@lru_cache(maxsize=65536)
def _leaf_digest(leaf: bytes | Symlink | None) -> bytes:
    if leaf is None:
        return b"d" * 17
    if isinstance(leaf, Symlink):
        return b"l" + hashlib.blake2b(leaf.target.encode("utf-8", "surrogateescape"), digest_size=16).digest()
    return b"f" + hashlib.blake2b(leaf, digest_size=16).digest()
