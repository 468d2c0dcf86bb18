"""Recording a program: the folder before, the program under strace, its log, and whether that explains the folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from chaos.crash.log_file import Recording
from chaos.crash.recorder.descriptors import OpenFile, Process, Slot
from chaos.crash.recorder.names import Named, NameTree
from chaos.crash.recorder.real_folder import existing_folder, scan
from chaos.crash.recorder.scribe import Start
from chaos.crash.recorder.strace import run_traced
from chaos.crash.recorder.translation import Translated, Translator, parents_in, translated
from chaos.errors import OperationLogError, UsageError
from chaos.storage.tree import Tree, difference

TRACE_PREFIX = "pywats-chaos-trace-"


def record(command: Sequence[str], folder: str = ".", ignored: Sequence[str] = ()) -> Recording:
    """Run a command (in the current folder) and return what it did to ``folder``.

    ``ignored`` are patterns of file names that do not count. An interruption ends the command and keeps the log so far.
    Raises ``NotAvailableError`` without strace, ``UsageError`` when the folder is none.
    """
    root = existing_folder(folder)
    if not command:
        raise UsageError("a command to record", "none", "write it behind --")
    before = scan(root, ignored)
    umask = os.umask(0o077)
    os.umask(umask)
    start = Start(root, tuple(ignored), umask, _streams())
    with tempfile.TemporaryDirectory(prefix=TRACE_PREFIX) as private:
        trace = Path(private, "trace")
        run_traced(command, trace)
        if not trace.stat().st_size:
            raise UsageError("a program that strace can run", repr(command[0]), "give its full path")
        result = translate_file(trace, start, before)
    recording = Recording(before, result.entries, root, tuple(command), result.exit_code, tuple(ignored))
    return compared(recording, scan(root, ignored))


def translate_file(trace: Path, start: Start, before: Tree) -> Translated:
    """Return the entries of a trace file."""
    with trace.open(encoding="ascii", errors="replace") as lines:
        parents = parents_in(lines)
    with trace.open(encoding="ascii", errors="replace") as lines:
        return translate(lines, start, before, parents)


def translate(lines: Iterable[str], start: Start, before: Tree, parents: dict[int, int]) -> Translated:
    """Return the entries of a trace."""
    names = _names(before, start)
    return translated(lines, Translator(start, names, _first_process(names), parents))


def compared(recording: Recording, after: Tree) -> Recording:
    """Return the recording with what its replay and the real folder disagree about."""
    try:
        lines = difference(recording.end(), after.contents())
    except OperationLogError as error:
        lines = [str(error)]
    return Recording(
        recording.start,
        recording.entries,
        recording.folder,
        recording.command,
        recording.exit_code,
        recording.ignored,
        tuple(lines),
    )


def _names(before: Tree, start: Start) -> NameTree:
    nodes = {node: Named(node, size=len(data)) for node, data in before.files.items()}
    nodes |= {node: Named(node, entries=dict(names)) for node, names in before.folders.items()}
    nodes |= {node: Named(node, target=target) for node, target in before.symlinks.items()}
    return NameTree(start.folder, start.ignored, nodes)


def _streams() -> dict[str, str]:
    return {name: _leads_to(number) for number, name in ((1, "stdout"), (2, "stderr"))}


def _leads_to(number: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}").removesuffix(" (deleted)")
    except OSError:
        return ""


def _first_process(names: NameTree) -> Process:
    """Return the program before its first call: a standard stream may lead into the folder."""
    process = Process()
    for number in (0, 1, 2):
        path = _leads_to(number)
        place = names.place(path) if path.startswith("/") and names.counts(path) else None
        if place is not None and place.node is not None:
            appends = bool(_flags(number) & os.O_APPEND)
            process.table[number] = Slot(OpenFile(place.node, os.lseek(number, 0, os.SEEK_CUR), appends))
    return process


def _flags(number: int) -> int:
    with open(f"/proc/self/fdinfo/{number}", encoding="ascii") as lines:
        return int(next(line.split()[1] for line in lines if line.startswith("flags:")), 8)
