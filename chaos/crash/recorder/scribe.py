"""What every part of the translation writes into: the entries so far, the names, the descriptors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.crash.recorder.arguments import CURRENT_FOLDER, Descriptor, descriptor, name_of
from chaos.crash.recorder.calls import Call
from chaos.crash.recorder.descriptors import OpenFile, Process, ProcessTable
from chaos.crash.recorder.names import NameTree, Place
from chaos.storage.operations import Close, Entry, Operation, Unmodelled, Visible


@dataclass(frozen=True, slots=True)
class Start:
    """What is known when the program starts: the folder, its file mode mask, and where its three streams lead."""

    folder: str
    ignored: Sequence[str] = ()
    umask: int = 0o022
    streams: Mapping[str, str] = field(default_factory=dict)


class Scribe:
    """Keeps the log. ``names`` and ``processes`` are changed only by what completed."""

    def __init__(self, start: Start, names: NameTree, first: Process, parents: dict[int, int]) -> None:
        self.start, self.names = start, names
        self.entries: list[Entry] = []
        self.start_ns = self._last_ns = 0  # Set by the first call: times count from there.
        self.processes = ProcessTable(first, parents, self._closed_with_process)

    def __repr__(self) -> str:
        return f"Scribe({len(self.entries)} entries, {self.names!r})"

    def write(self, call: Call, operation: Operation) -> None:
        """Add an operation that completed with ``call``."""
        self._last_ns = max(0, call.time_ns - self.start_ns)
        self.entries.append(Entry(operation, self._last_ns, str(call.pid), call.source))

    def visible(self, call: Call, what: str, value: Mapping[str, object]) -> None:
        """Add something that the outside may have seen."""
        self.write(call, Visible(what, value))

    def printed(self, call: Call, stream: str, text: str) -> None:
        """Add text on a stream; pieces of one line with nothing between them are one event."""
        last = self.entries[-1] if self.entries else None
        if last is not None and isinstance(last.operation, Visible) and last.actor == str(call.pid):
            value = last.operation.value
            if value.get("stream") == stream and not str(value["text"]).endswith("\n"):
                self.entries.pop()
                text = str(value["text"]) + text
        self.visible(call, "printed", {"stream": stream, "text": text})

    def unmodelled(self, call: Call, reason: str) -> None:
        """Add that nobody knows what a call did to the folder."""
        self.write(call, Unmodelled(call.name, reason))

    def _closed_with_process(self, file: OpenFile) -> None:
        self.entries.append(Entry(Close(file.node), self._last_ns, source="the end of the process"))

    def file(self, call: Call, argument: str) -> OpenFile | None:
        """Return the open file that a descriptor leads to; None when that file does not count.

        A descriptor of unknown origin that the kernel shows to lead into the folder makes the log unmodelled.
        """
        seen = descriptor(argument)
        if seen is None or seen.number is None:
            return None
        slot = self.processes.of(call.pid).table.get(seen.number)
        if slot is None and self.names.counts(seen.target):
            self.unmodelled(call, f"descriptor {seen.number} of {seen.target} came from nowhere that was recorded")
        return slot.file if slot else None

    def absolute(self, call: Call, path: str, folder: str | None = None) -> str:
        """Return a path made absolute: from the folder of descriptor ``folder``, or from the current one."""
        if path.startswith("/"):
            return path
        seen = descriptor(folder) if folder else None
        current = self.processes.of(call.pid).current_folder
        if seen is not None and seen.target:
            if seen.number is None:
                current[0] = seen.target
            return os.path.join(seen.target, path)
        return os.path.join(current[0], path)

    def place(self, call: Call, index: int, *, follow: bool = False) -> Place | None:
        """Return where the path at argument ``index`` leads to, from the descriptor before it if there is one."""
        before = call.arguments[index - 1] if index else ""
        relative_to = before if before.startswith(CURRENT_FOLDER) or before[:1].isdigit() else None
        return self.names.place(self.absolute(call, name_of(call.arguments[index]), relative_to), follow=follow)


def target_of(argument: str) -> Descriptor:
    """Return the descriptor of an argument that must be one."""
    seen = descriptor(argument)
    assert seen is not None, f"expected a descriptor in the trace, found {argument[:40]!r}"
    return seen
