"""The state between a running program and its disk: what was done, and which of it is surely durable by now.

Fed with the operations of a log in their order, it holds the tree that programs see (``now``), the tree of what is
durable whatever happens (``base``), and the changes between them, each marked once a sync has made it durable. Changes
leave the list when nothing before them (of names, or of the same file) can still be lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.storage.operations import (
    Link,
    MakeFile,
    MakeFolder,
    MakeSymlink,
    Node,
    Operation,
    RemoveFolder,
    Rename,
    Sync,
    SyncAll,
    SyncFailed,
    Truncate,
    Unlink,
    Write,
)
from chaos.storage.persistence import Persistence
from chaos.storage.tree import Names, Tree, changed


@dataclass(slots=True)
class NameChange:
    """One change of names: ``removed`` (if it still leads to ``node``) and then ``added``, in one step.

    ``replaces``: another file stood under the new name. ``folder`` is the one whose sync makes it durable.
    """

    index: int
    node: Node
    folder: Node
    removed: tuple[Node, str] | None = None
    added: tuple[Node, str] | None = None
    replaces: bool = False
    is_durable: bool = False

    def apply_to(self, names: Names) -> None:
        """Do it to ``names``, which may lack what came before."""
        if self.removed:
            folder, name = self.removed
            if names[folder].get(name) == self.node:
                del names[folder][name]
        if self.added:
            folder, name = self.added
            names[folder][name] = self.node


@dataclass(slots=True)
class DataChange:
    """A write or a truncation. ``is_adrift``: a sync of it failed, and no later one covers it."""

    index: int
    operation: Write | Truncate
    size_before: int
    is_durable: bool = False
    is_adrift: bool = False

    @property
    def grows(self) -> bool:
        """Whether the file became longer."""
        if isinstance(self.operation, Truncate):
            return self.operation.size > self.size_before
        return self.operation.offset + len(self.operation.data) > self.size_before

    @property
    def shrinks(self) -> bool:
        """Whether the file became shorter."""
        return isinstance(self.operation, Truncate) and self.operation.size < self.size_before


class PageCache:
    """What a program sees, what is durable, and the changes between."""

    def __init__(self, model: Persistence, start: Tree) -> None:
        self.model = model
        self.now, self.base = start.copy(), start.copy()
        self.names: list[NameChange] = []
        self.data: dict[Node, list[DataChange]] = {}
        self.journaled: list[NameChange | DataChange] = []
        self._touched: dict[Node, list[int]] = {}

    def note(self, index: int, operation: Operation) -> bool:
        """Take in the operation that stands at ``index`` in its log; return whether it changed what a crash leaves.

        Raises ``OperationLogError`` when the operation contradicts what went before.
        """
        match operation:
            case Write() | Truncate():
                self._change_data(index, operation)
            case Sync(node, data_only, began):
                self._sync(node, index if began is None else began, data_only=data_only)
            case SyncAll(began):
                self._sync_all(index if began is None else began)
            case SyncFailed(node, began):
                self._set_adrift(node, index if began is None else began)
            case _:
                return self._change_name(index, operation)
        return True

    def _change_data(self, index: int, operation: Write | Truncate) -> None:
        node = operation.node
        change = DataChange(index, operation, len(self.now.files.get(node, b"")))
        self.now.apply(operation)
        self.data.setdefault(node, []).append(change)
        self._touch(index, node)
        if isinstance(operation, Truncate):
            self.journaled.append(change)

    def _change_name(self, index: int, operation: Operation) -> bool:
        now, change = self.now, None
        match operation:
            case MakeFile(folder, name, node) | MakeFolder(folder, name, node) | MakeSymlink(folder, name, node):
                change = NameChange(index, node, folder, added=(folder, name))
                self._make(operation)
            case Link(folder, name, node):
                change = NameChange(index, node, folder, added=(folder, name))
            case Unlink(folder, name) | RemoveFolder(folder, name):
                change = NameChange(index, now.find(folder, name), folder, removed=(folder, name))
            case Rename(folder, name, to_folder, to_name):
                node, replaces = now.find(folder, name), to_name in now.folders.get(to_folder, {})
                change = NameChange(index, node, to_folder, (folder, name), (to_folder, to_name), replaces)
        if change is None:
            return False
        now.apply(operation)
        self.names.append(change)
        self.journaled.append(change)
        self._touch(index, change.node, change.folder, *(place[0] for place in (change.removed,) if place))
        return True

    def _make(self, operation: MakeFile | MakeFolder | MakeSymlink) -> None:
        """Let ``base`` know the node: it is there, empty and without a name, whatever becomes of its name."""
        match operation:
            case MakeFile(node=node):
                self.base.files[node] = b""
            case MakeFolder(node=node):
                self.base.folders[node] = {}
            case MakeSymlink(node=node, target=target):
                self.base.symlinks[node] = target

    def _touch(self, index: int, *nodes: Node) -> None:
        for node in nodes:
            self._touched.setdefault(node, []).append(index)

    def _sync(self, node: Node, began: int, *, data_only: bool) -> None:
        covered = [c for c in self.data.get(node, ()) if c.index < began and not c.is_adrift and not c.is_durable]
        for change in covered:
            change.is_durable = True
        if self.model.is_journaled:
            last = next((i for i in reversed(self._touched.get(node, ())) if i < began), -1)
            if any(change.grows for change in covered):
                self._commit(began)
            elif (
                not data_only  # Of a folder, the names are the data.
                or node in self.now.folders
                or any(isinstance(change.operation, Truncate) for change in covered)
            ):
                self._commit(last + 1)
        else:
            for name in self.names:
                name.is_durable = name.is_durable or (name.folder == node and name.index < began)
        self._settle()

    def _sync_all(self, began: int) -> None:
        for changes in self.data.values():
            for change in changes:
                change.is_durable = change.is_durable or (change.index < began and not change.is_adrift)
        for name in self.names:
            name.is_durable = name.is_durable or name.index < began
        if self.model.is_journaled:
            self._commit(began)
        self._settle()

    def _commit(self, below: int) -> None:
        """Make everything journaled before ``below`` durable, and what may not come after it."""
        while self.journaled and self.journaled[0].index < below:
            entry = self.journaled.pop(0)
            entry.is_durable = True
            if isinstance(entry, NameChange) and entry.replaces and self.model.replacing_orders_data:
                for change in self.data.get(entry.node, ()):
                    change.is_durable = change.is_durable or (change.index < entry.index and not change.is_adrift)

    def _set_adrift(self, node: Node, began: int) -> None:
        for change in self.data.get(node, ()):
            change.is_adrift = change.is_adrift or (change.index < began and not change.is_durable)

    def _settle(self) -> None:
        """Move what can no longer be lost, nor be overtaken, into ``base``."""
        while self.names and self.names[0].is_durable:
            self.names.pop(0).apply_to(self.base.folders)
        for node in [node for node, changes in self.data.items() if changes[0].is_durable]:
            changes = self.data[node]
            while changes and changes[0].is_durable:
                self.base.files[node] = changed(self.base.files[node], changes.pop(0).operation)
            if not changes:
                del self.data[node]

    def __repr__(self) -> str:
        waiting = len(self.names) + sum(len(changes) for changes in self.data.values())
        return f"PageCache({self.model}, {waiting} changes not settled)"
