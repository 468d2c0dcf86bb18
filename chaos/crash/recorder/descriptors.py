"""Which descriptor of which process leads to which file of the recorded folder, through dup, fork, threads and exec.

* Only descriptors of files and folders that count are kept. A description is shared by all its duplicates: one
  position.
* A table is shared by the threads of a process (``CLONE_FILES``), copied by a fork; a child's table is made when its
  parent's call *begins*, for the child may be seen to act before that call ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.crash.recorder.arguments import number_of
from chaos.crash.recorder.calls import Call
from chaos.storage.operations import Node


@dataclass(slots=True)
class OpenFile:
    """An open file description: ``position`` in bytes; ``appends`` and ``syncs`` as it was opened."""

    node: Node
    position: int = 0
    appends: bool = False
    syncs: bool = False
    data_only: bool = False


@dataclass(slots=True)
class Slot:
    """One descriptor: what it leads to, and whether executing a program closes it."""

    file: OpenFile
    closes_at_exec: bool = False


Table = dict[int, Slot]


@dataclass(slots=True)
class Process:
    """A process or thread: its descriptors and its current folder (a list of one path), each perhaps shared."""

    table: Table = field(default_factory=dict)
    current_folder: list[str] = field(default_factory=lambda: [os.getcwd()])


class ProcessTable:
    """The processes of a recording. ``closed`` is told of every descriptor that is closed with its process."""

    def __init__(self, first: Process, children_of: dict[int, int], closed: Callable[[OpenFile], None]) -> None:
        self._first: Process | None = first
        self._parents = children_of
        self._closed = closed
        self._processes: dict[int, Process] = {}
        self._unborn: dict[int, Process] = {}  # By the parent, which can make one at a time.

    def __repr__(self) -> str:
        return f"ProcessTable({len(self._processes)} processes)"

    def of(self, pid: int) -> Process:
        """Return a process; one never seen before is the first, or the child of a fork under way."""
        if (process := self._processes.get(pid)) is None:
            process = self._unborn.pop(self._parents.get(pid, -1), None)
            if process is None:
                process, self._first = self._first or Process(), None
            self._processes[pid] = process
        return process

    def fork_begins(self, call: Call) -> None:
        """Take down what the child gets; ``call`` is a fork, vfork, clone or clone3."""
        parent, words = self.of(call.pid), " ".join(call.arguments)
        table = parent.table if "CLONE_FILES" in words else _copied(parent.table)
        folder = parent.current_folder if "CLONE_FS" in words else list(parent.current_folder)
        self._unborn[call.pid] = Process(table, folder)

    def fork_ends(self, call: Call) -> None:
        """Give the child its number, unless it has been seen before."""
        child = self._unborn.pop(call.pid, None)
        if child is not None and call.succeeded and call.result:
            self._processes[call.result] = child

    def executes(self, pid: int) -> None:
        """Close what exec closes; the table is the process's own from now on."""
        process = self.of(pid)
        kept = {number: slot for number, slot in process.table.items() if not slot.closes_at_exec}
        self._processes[pid] = Process(kept, process.current_folder)

    def unshares(self, pid: int, flags: str) -> None:
        """Give a thread a table or a current folder of its own."""
        process = self.of(pid)
        if "CLONE_FILES" in flags:
            process.table = _copied(process.table)
        if "CLONE_FS" in flags or "CLONE_NEWNS" in flags:
            process.current_folder = list(process.current_folder)

    def gone(self, pid: int) -> None:
        """Forget a process; descriptors that nobody shares any more are closed with it."""
        process = self._processes.pop(pid, None)
        if process is not None and not any(other.table is process.table for other in self._processes.values()):
            for slot in process.table.values():
                self._closed(slot.file)

    def changed_folder(self, pid: int, path: str) -> None:
        """Write down where relative paths of a process (and of those that share it) begin from now on."""
        self.of(pid).current_folder[0] = path


def _copied(table: Table) -> Table:
    return {number: Slot(slot.file, slot.closes_at_exec) for number, slot in table.items()}


def closed_range(call: Call, table: Table) -> list[int]:
    """Return the descriptors that a ``close_range`` closes, or marks to be closed at exec."""
    first, last = number_of(call.arguments[0]), number_of(call.arguments[1])
    return [number for number in table if first <= number <= last]
