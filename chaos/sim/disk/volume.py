"""One simulated file system: what its programs see, and the log of what was done, from which a power loss is decided.

* Programs see their own changes at once (the page cache). What was not synced is durable only as far as the persistence
  model says; ``lose_power`` draws one of the states that it allows, 0 being the friendliest: everything survives.
* The log is the one of ``chaos.storage.operations``: with it and ``start``, every crash state can be enumerated.
* Errors name no path: the calls, which know what the caller gave, do that.
"""

from __future__ import annotations

import errno
import stat
import time
from collections.abc import Callable

from chaos.sim.disk.errors import failed
from chaos.sim.disk.inodes import Inode
from chaos.storage import Contents, Losses, PageCache, Persistence, Symlink, Tree, draw_outcome
from chaos.storage.operations import (
    ROOT,
    Close,
    Entry,
    Link,
    MakeFile,
    MakeFolder,
    MakeSymlink,
    Operation,
    RemoveFolder,
    Rename,
    Sync,
    SyncAll,
    SyncFailed,
    Truncate,
    Unlink,
    Visible,
    Write,
)

NAME_BYTES_MAX = 255
FOLDER_MODE = stat.S_IFDIR | 0o755
FILE_MODE = stat.S_IFREG | 0o644
UNSEEN = (Close, Sync, SyncAll, SyncFailed, Visible)
"""What changes nothing that programs see."""


class Volume:
    """See the module. ``capacity_bytes`` limits the contents of its files; None is a disk that never gets full.

    ``changes`` counts what has changed the names and contents that programs see.
    """

    def __init__(
        self,
        persistence: Persistence,
        start: Contents | None = None,
        *,
        device: int = 1,
        capacity_bytes: int | None = None,
    ) -> None:
        self.persistence, self.device, self.capacity_bytes = persistence, device, capacity_bytes
        self.is_read_only = False
        self.changes = 0
        self.log: list[Entry] = []
        self.said_by: Callable[[], tuple[int, str, str]] = _nobody
        self._mount(Tree.of(start or {}), {})

    def _mount(self, tree: Tree, known: dict[int, Inode]) -> None:
        """Begin anew with what ``tree`` holds; modes and times are those of ``known``, where it knows the node."""
        self.start = tree
        self.changes += 1
        self.log = []
        self.inodes: dict[int, Inode] = {}
        now = time.time_ns()
        for _, node in tree.paths():
            if node not in self.inodes:
                self.inodes[node] = self._loaded(tree, node, known.get(node), now)
        self.root = self.inodes[ROOT] = Inode(ROOT, FOLDER_MODE, self.device, times_ns=[now, now, now])
        for folder, names in tree.folders.items():
            if folder in self.inodes:
                self.inodes[folder].names = {name: self.inodes[node] for name, node in names.items()}
        for inode in self.inodes.values():
            inode.links = 0
        for inode in [child for folder in self.inodes.values() for child in folder.names.values()]:
            inode.links += 1
        self.used_bytes = sum(len(inode.data) for inode in self.inodes.values())
        self._next = max(tree.next_node, *(number + 1 for number in known), 1)

    def _loaded(self, tree: Tree, node: int, before: Inode | None, now: int) -> Inode:
        leaf = tree.leaf(node)
        inode = Inode(node, FILE_MODE, self.device, times_ns=[now, now, now])
        if before is not None:
            inode.mode, inode.times_ns = before.mode, list(before.times_ns)
        elif leaf is None:
            inode.mode = FOLDER_MODE
        elif isinstance(leaf, Symlink):
            inode.mode = stat.S_IFLNK | 0o777
        if isinstance(leaf, Symlink):
            inode.target = leaf.target
        elif leaf is not None:
            inode.data = bytearray(leaf)
        return inode

    # What changes names.

    def make_file(self, folder: Inode, name: str, mode: int) -> Inode:
        """Make an empty file, or a socket if ``mode`` says so."""
        inode = self._new(folder, name, mode if stat.S_IFMT(mode) else stat.S_IFREG | mode)
        self._done(MakeFile(folder.number, name, inode.number, inode.mode))
        return inode

    def make_folder(self, folder: Inode, name: str, mode: int) -> Inode:
        """Make an empty folder."""
        inode = self._new(folder, name, stat.S_IFDIR | mode)
        self._done(MakeFolder(folder.number, name, inode.number, mode))
        return inode

    def make_symlink(self, folder: Inode, name: str, target: str) -> Inode:
        """Make a symbolic link."""
        inode = self._new(folder, name, stat.S_IFLNK | 0o777)
        inode.target = target
        self._done(MakeSymlink(folder.number, name, inode.number, target))
        return inode

    def link(self, inode: Inode, folder: Inode, name: str) -> None:
        """Give a file one more name."""
        self._check_new_name(folder, name)
        if inode.is_folder:
            raise failed(errno.EPERM)
        folder.names[name] = inode
        inode.links += 1
        self._changed(folder)
        inode.touch(time.time_ns(), contents=False)
        self._done(Link(folder.number, name, inode.number))

    def unlink(self, folder: Inode, name: str) -> None:
        """Take a name from a file."""
        inode = folder.names[name]
        self._check_writable()
        if inode.is_folder:
            raise failed(errno.EISDIR)
        del folder.names[name]
        self._changed(folder)
        self._done(Unlink(folder.number, name))
        self._unlinked(inode)

    def remove_folder(self, folder: Inode, name: str) -> None:
        """Remove an empty folder."""
        inode = folder.names[name]
        self._check_writable()
        if not inode.is_folder:
            raise failed(errno.ENOTDIR)
        if inode.names:
            raise failed(errno.ENOTEMPTY)
        del folder.names[name]
        self._changed(folder)
        self._done(RemoveFolder(folder.number, name))
        self._unlinked(inode)

    def rename(self, folder: Inode, name: str, to_folder: Inode, to_name: str) -> None:
        """Move a name, replacing what stands under the new one."""
        inode, replaced = folder.names[name], to_folder.names.get(to_name)
        self._check_writable()
        if replaced is inode:
            return
        _check_name(to_name)
        if inode.is_folder and self._is_below(to_folder, inode):
            raise failed(errno.EINVAL)
        if replaced is not None:
            _check_replacing(inode, replaced)
        del folder.names[name]
        to_folder.names.pop(to_name, None)
        to_folder.names[to_name] = inode
        self._changed(folder)
        self._changed(to_folder)
        inode.touch(time.time_ns(), contents=False)
        self._done(Rename(folder.number, name, to_folder.number, to_name))
        if replaced is not None:
            self._unlinked(replaced)

    # What changes contents.

    def write(self, inode: Inode, offset: int, data: bytes) -> int:
        """Write ``data``, or as much of it as there is room for, and return how much."""
        self._check_writable()
        room = self._room(inode, offset + len(data))
        data = data[: max(0, min(len(data), room - offset))]
        if not data:
            raise failed(errno.ENOSPC)
        grown = offset + len(data) - len(inode.data)
        if grown > 0:
            self.used_bytes += grown
            inode.data.extend(bytes(grown))
        inode.data[offset : offset + len(data)] = data
        inode.touch(time.time_ns())
        self._done(Write(inode.number, offset, data))
        return len(data)

    def truncate(self, inode: Inode, size: int) -> None:
        """Cut or extend a file to ``size`` bytes."""
        self._check_writable()
        if size > self._room(inode, size):
            raise failed(errno.ENOSPC)
        self.used_bytes += size - len(inode.data)
        if size < len(inode.data):
            del inode.data[size:]
        else:
            inode.data.extend(bytes(size - len(inode.data)))
        inode.touch(time.time_ns())
        self._done(Truncate(inode.number, size))

    def sync(self, inode: Inode, began: int, *, data_only: bool) -> None:
        """Make durable what a sync that began at entry ``began`` of the log covers."""
        self._done(Sync(inode.number, data_only, began))

    def sync_failed(self, inode: Inode, began: int) -> None:
        """Let a sync have failed: what it would have covered is in the cache, and no later sync will cover it."""
        self._done(SyncFailed(inode.number, began))

    def sync_all(self, began: int) -> None:
        """Make everything durable that was done before entry ``began``."""
        self._done(SyncAll(began))

    def closed(self, inode: Inode) -> None:
        """Note that a descriptor of it was closed; a file without a name and without a descriptor is gone."""
        self._done(Close(inode.number))
        self._forget_if_unused(inode)

    def seen(self, event: Visible) -> None:
        """Note in the log that the outside may have seen something."""
        self._done(event)

    # Power.

    def lose_power(self, below: Callable[[int], int]) -> Losses:
        """Keep what is durable and what ``below`` draws of the rest (0 keeps), and return what did not survive."""
        cache = PageCache(self.persistence, self.start)
        for index, entry in enumerate(self.log):
            cache.note(index, entry.operation)
        tree, losses = draw_outcome(cache, below)
        self._mount(tree, self.inodes)
        return losses

    def remount(self, tree: Tree) -> None:
        """Begin anew with what ``tree`` holds, as on another disk; nothing may be open."""
        self._mount(tree, {})

    def contents(self) -> dict[str, bytes | Symlink | None]:
        """Return what programs see, by path."""
        found: dict[str, bytes | Symlink | None] = {}
        todo = [("", self.root)]
        while todo:
            prefix, folder = todo.pop()
            for name, inode in folder.names.items():
                path = prefix + name
                found[path] = None if inode.is_folder else Symlink(inode.target) if inode.is_link else bytes(inode.data)
                if inode.is_folder:
                    todo.append((path + "/", inode))
        return dict(sorted(found.items()))

    @property
    def free_bytes(self) -> int:
        """Return how much may still be written."""
        return max(0, (self.capacity_bytes if self.capacity_bytes is not None else 1 << 40) - self.used_bytes)

    def _new(self, folder: Inode, name: str, mode: int) -> Inode:
        self._check_new_name(folder, name)
        now = time.time_ns()
        inode = Inode(self._next, mode, self.device, times_ns=[now, now, now])
        self._next += 1
        self.inodes[inode.number] = folder.names[name] = inode
        self._changed(folder)
        return inode

    def _check_new_name(self, folder: Inode, name: str) -> None:
        if name in folder.names:
            raise failed(errno.EEXIST)
        self._check_writable()
        if folder.links == 0 and folder is not self.root:
            raise failed(errno.ENOENT)
        _check_name(name)
        if self.capacity_bytes is not None and self.used_bytes >= self.capacity_bytes:
            raise failed(errno.ENOSPC)

    def _check_writable(self) -> None:
        if self.is_read_only:
            raise failed(errno.EROFS)

    def _room(self, inode: Inode, wanted: int) -> int:
        """Return up to which size the file may grow."""
        if self.capacity_bytes is None:
            return wanted
        return max(len(inode.data), len(inode.data) + self.capacity_bytes - self.used_bytes)

    def _is_below(self, folder: Inode, above: Inode) -> bool:
        return folder is above or any(
            self._is_below(folder, child) for child in above.names.values() if child.is_folder
        )

    def _changed(self, folder: Inode) -> None:
        folder.touch(time.time_ns())

    def _unlinked(self, inode: Inode) -> None:
        inode.links -= 1
        inode.touch(time.time_ns(), contents=False)
        self._forget_if_unused(inode)

    def _forget_if_unused(self, inode: Inode) -> None:
        if inode.links <= 0 and not inode.opened and self.inodes.pop(inode.number, None) is inode:
            self.used_bytes -= len(inode.data)

    def _done(self, operation: Operation) -> None:
        self.log.append(Entry(operation, *self.said_by()))
        if not isinstance(operation, UNSEEN):
            self.changes += 1

    def __repr__(self) -> str:
        return f"Volume({self.persistence}, {len(self.inodes)} inodes, {self.used_bytes} bytes, {len(self.log)} done)"


def _nobody() -> tuple[int, str, str]:
    return 0, "", ""


def _check_name(name: str) -> None:
    if len(name.encode("utf-8", "surrogateescape")) > NAME_BYTES_MAX:
        raise failed(errno.ENAMETOOLONG)


def _check_replacing(inode: Inode, replaced: Inode) -> None:
    if inode.is_folder and not replaced.is_folder:
        raise failed(errno.ENOTDIR)
    if replaced.is_folder and not inode.is_folder:
        raise failed(errno.EISDIR)
    if replaced.names:
        raise failed(errno.ENOTEMPTY)
