"""A real folder as a tree: what is in it before the program starts, and after."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from fnmatch import fnmatch

from chaos.errors import UsageError
from chaos.storage.operations import ROOT, Node
from chaos.storage.tree import Contents, Symlink, Tree

DIFFERENCES_MAX = 5


def scan(folder: str, ignored: Sequence[str] = ()) -> Tree:
    """Return everything below a folder; two names of one file lead to one node. Ignored patterns are left out.

    Raises ``UsageError`` for what holds neither bytes nor names (sockets and pipes are passed over), ``OSError`` for
    what cannot be read.
    """
    tree, known = Tree(), dict[tuple[int, int], Node]()
    numbers = iter(range(1, 1 << 62))
    todo = [(folder, ROOT)]
    while todo:
        path, parent = todo.pop()
        with os.scandir(path) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            if any(fnmatch(entry.name, pattern) for pattern in ignored):
                continue
            status = entry.stat(follow_symlinks=False)
            if not (stat.S_ISREG(status.st_mode) or entry.is_dir(follow_symlinks=False) or entry.is_symlink()):
                continue
            node = known.setdefault((status.st_dev, status.st_ino), next(numbers))
            tree.folders[parent][entry.name] = node
            if entry.is_dir(follow_symlinks=False):
                tree.folders[node] = {}
                todo.append((entry.path, node))
            elif entry.is_symlink():
                tree.symlinks[node] = os.readlink(entry.path)
            elif node not in tree.files:
                tree.files[node] = read_whole(entry.path)
    return tree


def read_whole(path: str) -> bytes:
    """Return the bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


def fill(folder: str, contents: Contents) -> None:
    """Write contents into an empty folder that is there. Raises ``OSError``."""
    for path, leaf in contents.items():  # In sorted order: a folder comes before what is in it.
        target = f"{folder}/{path}"
        if leaf is None:
            os.mkdir(target)
        elif isinstance(leaf, Symlink):
            os.symlink(leaf.target, target)
        else:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                rest = memoryview(leaf)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            finally:
                os.close(descriptor)


def existing_folder(path: str) -> str:
    """Return the real path of a folder. Raises ``UsageError`` when it is none."""
    real = os.path.realpath(path)
    if not os.path.isdir(real):
        raise UsageError("a folder that is there", path, "make it first, or name another with --dir")
    return real
