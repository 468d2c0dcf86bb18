"""A counterexample in words: the operations before the crash with what became of each, and the folder it left."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.crash.log_file import Recording
from chaos.storage.crash_states import CrashState
from chaos.storage.operations import (
    Close,
    Entry,
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
    Unmodelled,
    Visible,
    Write,
)
from chaos.storage.tree import Contents, Tree, difference

SURVIVED, LOST, TORN, SEEN, SYNCED = "kept", "LOST", "TORN", "seen", "sync"
AROUND = 3  # Rows shown before and after each loss, and before the crash.
TEXT_MAX = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One entry before the crash: what became of it, and what it did; without an index, it stands for left-out ones."""

    mark: str
    words: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """The rows up to the crash, and how the folder after it differs from what the program had made."""

    rows: tuple[Row, ...]
    differences: tuple[str, ...]


def story_of(recording: Recording, state: CrashState, *, whole: bool = False) -> Story:
    """Return the story of a state; ``whole``: with every row, not only those around the losses and the crash."""
    namer, rows = Namer(recording.start), list[Row]()
    lost = {loss.index: loss for loss in state.lost}
    for index, entry in enumerate(recording.entries[: state.point]):
        words = namer.words(entry.operation)
        namer.take(entry)
        loss = lost.get(index)
        mark = _mark(entry.operation) if loss is None else LOST if loss.is_whole else TORN
        if not isinstance(entry.operation, Close) or whole:
            rows.append(Row(mark, words + (f": {loss.how}" if loss and not loss.is_whole else ""), index))
    shown = rows if whole else _around_losses(rows)
    return Story(tuple(shown), tuple(difference(namer.contents(), state.contents)))


def _around_losses(rows: list[Row]) -> list[Row]:
    wanted = {len(rows) - 1 - back for back in range(AROUND)}
    for position, row in enumerate(rows):
        if row.mark in {LOST, TORN}:
            wanted.update(range(position - AROUND, position + AROUND + 1))
    shown, left_out = list[Row](), 0
    for position, row in enumerate(rows):
        if position in wanted:
            if left_out:
                shown.append(Row("", f"… {left_out} more"))
            shown.append(row)
            left_out = 0
        else:
            left_out += 1
    return shown


def _mark(operation: Operation) -> str:
    if isinstance(operation, Visible):
        return SEEN
    return SYNCED if isinstance(operation, Sync | SyncAll | SyncFailed) else SURVIVED


class Namer:
    """Says of an operation what it did, with paths instead of nodes."""

    def __init__(self, start: Tree) -> None:
        self._tree = start.copy()
        self._paths = {node: path for path, node in start.paths()} | {0: "."}

    def path_of(self, node: Node) -> str:
        """Return the path that leads to a node by now, or did last."""
        return self._paths[node]

    def take(self, entry: Entry) -> None:
        """Go on to what is there after the entry."""
        operation = entry.operation
        self._tree.apply(operation)
        match operation:
            case MakeFile(folder, name, node) | MakeFolder(folder, name, node) | MakeSymlink(folder, name, node):
                self._paths[node] = self._path(folder, name)
            case Rename(folder, name, to_folder, to_name):
                self._moved(self._path(folder, name), self._path(to_folder, to_name))

    def _moved(self, old: str, new: str) -> None:
        for node, path in self._paths.items():
            if path == old or path.startswith(old + "/"):
                self._paths[node] = new + path[len(old) :]

    def contents(self) -> Contents:
        """Return what is there by now."""
        return self._tree.contents()

    def _path(self, folder: Node, name: str) -> str:
        above = self._paths[folder]
        return name if above == "." else f"{above}/{name}"

    def words(self, operation: Operation) -> str:  # noqa: PLR0911 - one case for each operation
        """Return what an operation does, before it is taken."""
        match operation:
            case MakeFile(folder, name):
                return f"make {self._path(folder, name)}"
            case MakeFolder(folder, name):
                return f"mkdir {self._path(folder, name)}"
            case MakeSymlink(folder, name, _, target):
                return f"symlink {self._path(folder, name)} -> {target}"
            case Write(node, offset, data):
                return f"write {len(data)} bytes at {offset} of {self._paths[node]}"
            case Truncate(node, size):
                return f"cut {self._paths[node]} to {size} bytes"
            case Rename(folder, name, to_folder, to_name):
                return f"rename {self._path(folder, name)} to {self._path(to_folder, to_name)}"
            case Link(folder, name, node):
                return f"link {self._paths[node]} as {self._path(folder, name)}"
            case Unlink(folder, name):
                return f"unlink {self._path(folder, name)}"
            case RemoveFolder(folder, name):
                return f"rmdir {self._path(folder, name)}"
            case _:
                return self._words_of_others(operation)

    def _words_of_others(self, operation: Operation) -> str:
        match operation:
            case Sync(node, data_only):
                return f"{'fdatasync' if data_only else 'fsync'} {self._paths[node]}"
            case SyncFailed(node):
                return f"fsync {self._paths[node]} failed"
            case Visible(name, value):
                text = value.get("text")
                what = (
                    repr(text[:TEXT_MAX]) if isinstance(text, str) else " ".join(f"{k}={v}" for k, v in value.items())
                )
                return f"{name} {what}"
            case Close(node):
                return f"close {self._paths[node]}"
            case Unmodelled(call, reason):
                return f"{call}: {reason}"
            case _:
                return "sync of everything"
