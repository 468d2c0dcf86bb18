"""Traces written by hand, as strace would print them, and the log that follows from them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from chaos.crash.recorder.recording import translate
from chaos.crash.recorder.scribe import Start
from chaos.crash.recorder.translation import Translated, parents_in
from chaos.storage.operations import Operation, Visible
from chaos.storage.tree import Contents, Tree

ROOT = "/spool"
STDOUT = "pipe:[7]"


def hexadecimal(text: str) -> str:
    """Return a text as ``-xx`` prints it."""
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def trace_line(number: int, line: str) -> str:
    """Return a line for ``"1 write(3</spool/a>, 'text', 4) = 4"``: process, call; strings and paths are encoded."""
    pid, call = line.split(" ", 1)
    encoded = re.sub(r"'([^']*)'", lambda text: f'"{hexadecimal(text.group(1))}"', call)
    encoded = re.sub(r"<(?!unfinished|\.\.\.)([^>]*)>", lambda path: f"<{hexadecimal(path.group(1))}>", encoded)
    return f"{pid} {number}.{number:09d} {encoded}\n"


def translated_trace(*lines: str, before: Contents | None = None, ignored: tuple[str, ...] = ()) -> Translated:
    """Return what follows from lines such as ``"1 fsync(3</spool/a>) = 0"``."""
    whole = [trace_line(number, line) for number, line in enumerate(lines, 1)]
    start = Start(ROOT, ignored, streams={"stdout": STDOUT})
    return translate(whole, start, Tree.of(before or {}), parents_in(whole))


def operations(*lines: str, before: Contents | None = None, ignored: tuple[str, ...] = ()) -> list[Operation]:
    """Return the operations of a trace."""
    return [entry.operation for entry in translated_trace(*lines, before=before, ignored=ignored).entries]


def visible(*lines: str) -> list[tuple[str, Mapping[str, object]]]:
    """Return the visible events of a trace."""
    return [(op.name, op.value) for op in operations(*lines) if isinstance(op, Visible)]


def opens(descriptor: int, name: str, flags: str = "O_RDWR|O_CREAT|O_CLOEXEC", pid: int = 1) -> str:
    """Return the line that opens a file of the folder."""
    return f"{pid} openat(AT_FDCWD</spool>, '{name}', {flags}, 0644) = {descriptor}</spool/{name}>"


def writes(descriptor: int, name: str, text: str, pid: int = 1) -> str:
    """Return the line that writes a text."""
    return f"{pid} write({descriptor}</spool/{name}>, '{text}', {len(text)}) = {len(text)}"
