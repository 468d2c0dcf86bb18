"""The resource ledger: what a process and its children hold, taken before and after, so that each leak gets a name.

* Kinds: process, thread, task and timer (of the calling process only), descriptor, socket, file (in folders that belong
  to the run), shared memory; and the resident memory as a whole. Every entry has an identity: the difference is what is
  there after and was not there before, counted, whatever the numbers of descriptors or the order.
* ``created`` says where: for a task the coroutine's file and line and the line it waits at, for a timer what it calls,
  for a thread of this process the outermost function it runs. With ``origins`` (``chaos.live.origins``) also the line
  that opened a file or socket, started a thread or process, or mapped shared memory.
* The watchdog is nobody's leak: it belongs to the runner. Neither are the loop's own descriptors, once it is closed.
* Taking is one look, synchronous, a few milliseconds; waiting until things are quiet is the caller's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import FrameType

import psutil

from chaos.errors import ProcessEndedError
from chaos.live.origins import Origins
from chaos.live.process_table import WATCHDOG

SHARED_MEMORY = "/dev/shm/"  # noqa: S108 - only looked for among what is mapped


class Kind(StrEnum):
    """What can be held."""

    PROCESS = "process"
    THREAD = "thread"
    TASK = "task"
    TIMER = "timer"
    DESCRIPTOR = "descriptor"
    SOCKET = "socket"
    FILE = "file"
    SHARED_MEMORY = "shared memory"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing held: ``identity`` tells it from its like, ``name`` is for people, ``created`` where it came from."""

    kind: Kind
    identity: Hashable
    name: str
    created: str = ""


@dataclass(frozen=True, slots=True)
class Leak:
    """What is held after and was not before, and how often."""

    kind: Kind
    name: str
    created: str
    times: int = 1

    def __str__(self) -> str:
        origin = f", {self.created}" if self.created else ""
        return f"{self.kind} {self.name}{f' ×{self.times}' if self.times > 1 else ''}{origin}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a process held at one instant, and its resident memory."""

    pid: int
    entries: tuple[Entry, ...]
    rss_bytes: int

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {kind}" for kind, count in Counter(entry.kind for entry in self.entries).items())
        return f"pid {self.pid}: {counts}, {self.rss_bytes >> 20} MiB"

    def of(self, kind: Kind) -> tuple[Entry, ...]:
        """Return the entries of one kind."""
        return tuple(entry for entry in self.entries if entry.kind is kind)


def take(pid: int | None = None, *, folders: Sequence[Path] = (), origins: Origins | None = None) -> Ledger:
    """Return what the process (None: this one) holds, the processes it has started, and what is in ``folders``.

    Raises ``ProcessEndedError``. ``folders`` must belong to the run; give ``/dev/shm`` to see unmapped shared memory.
    """
    try:
        process = psutil.Process(pid)
        entries = [*_processes(process), *_descriptors(process), *_mapped(process)]
        rss_bytes: int = process.memory_info().rss
        if process.pid == os.getpid():
            entries += [*_own_threads(), *_own_tasks(), *_own_timers()]
        else:
            entries += _threads(process)
    except psutil.NoSuchProcess as error:
        raise ProcessEndedError(f"process {pid} to look at", "it is gone") from error
    entries += [entry for folder in folders for entry in _files(folder)]
    if origins is not None:
        sockets = origins.of_sockets()
        entries = [_with_origin(entry, origins, sockets) for entry in entries]
    return Ledger(process.pid, tuple(entries), rss_bytes)


def _with_origin(entry: Entry, origins: Origins, sockets: Mapping[int, str]) -> Entry:
    """Return the entry with where it came from, if that was recorded."""
    number, _, rest = entry.name.partition(" ")
    match entry.kind:
        case Kind.SOCKET:
            found = sockets.get(int(number), "")
        case Kind.DESCRIPTOR:
            found = origins.of_path(str(entry.identity).removesuffix(" (deleted)"))
        case Kind.FILE | Kind.SHARED_MEMORY:
            found = origins.of_path(entry.name)
        case Kind.PROCESS:
            found = origins.of_command(rest)
        case Kind.THREAD:
            found = origins.of_thread(entry.name)
        case Kind.TASK if isinstance(entry.identity, weakref.ref):
            found = origins.of_task(entry.identity())
        case _:
            found = ""
    words = ", ".join(part for part in (entry.created, f"made at {found}" if found else "") if part)
    return replace(entry, created=words)


def difference(before: Ledger, after: Ledger) -> tuple[Leak, ...]:
    """Return what ``after`` holds and ``before`` did not, in the order of ``after``."""
    known = Counter((entry.kind, entry.identity) for entry in before.entries)
    leaks: dict[tuple[Kind, Hashable], Leak] = {}
    for entry in after.entries:
        key = (entry.kind, entry.identity)
        if known[key] > 0:
            known[key] -= 1
            continue
        times = leaks[key].times + 1 if key in leaks else 1
        leaks[key] = Leak(entry.kind, entry.name, entry.created, times)
    return tuple(leaks.values())


def _processes(process: psutil.Process) -> Iterator[Entry]:
    for child in process.children(recursive=True):
        try:
            if child.status() == psutil.STATUS_ZOMBIE:
                command = f"{child.name()} (ended, not waited for)"
            elif WATCHDOG in child.environ():
                continue
            else:
                command = " ".join(child.cmdline())[:200] or child.name()
            parent = child.ppid()
        except psutil.NoSuchProcess:
            continue  # It has ended while the ledger was being taken: it is no more held.
        identity = f"{child.pid}/{child.create_time()}"
        yield Entry(Kind.PROCESS, identity, f"{child.pid} {command}", f"started by {parent}")


def _descriptors(process: psutil.Process) -> Iterator[Entry]:
    sockets = {connection.fd: connection for connection in process.net_connections("all")}
    folder = f"/proc/{process.pid}/fd"
    for name in sorted(os.listdir(folder), key=int):
        try:
            target = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:
            continue  # Closed meanwhile; among them the descriptor that this very listing needed.
        if target.startswith("socket:"):
            known = sockets.get(int(name))
            words = _socket_words(known) if known else "not connected"
            yield Entry(Kind.SOCKET, target, f"{name} {words}", target)
        else:
            yield Entry(Kind.DESCRIPTOR, target, f"{name} → {target}")


def _socket_words(connection: object) -> str:
    family = socket.AddressFamily(getattr(connection, "family", 0)).name.removeprefix("AF_")
    kind = socket.SocketKind(getattr(connection, "type", 0)).name.removeprefix("SOCK_")
    ends = [_address(getattr(connection, end, "")) for end in ("laddr", "raddr")]
    status = getattr(connection, "status", psutil.CONN_NONE)
    words = [family.lower(), kind.lower(), " → ".join(end for end in ends if end) or "unnamed"]
    return " ".join([*words, *([] if status == psutil.CONN_NONE else [status])])


def _address(address: object) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and address else str(address or "")


def _mapped(process: psutil.Process) -> Iterator[Entry]:
    maps = Path(f"/proc/{process.pid}/maps").read_text(errors="replace").splitlines()
    for path in sorted({line.split(maxsplit=5)[5] for line in maps if SHARED_MEMORY in line}):
        yield Entry(Kind.SHARED_MEMORY, path, path)


def _threads(process: psutil.Process) -> Iterator[Entry]:
    for thread in process.threads():
        name = Path(f"/proc/{process.pid}/task/{thread.id}/comm")
        try:
            words = name.read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended while the ledger was being taken.
        yield Entry(Kind.THREAD, str(thread.id), f"{thread.id} {words}")


def _own_threads() -> Iterator[Entry]:
    frames = sys._current_frames()  # noqa: SLF001 - documented, and the only way to the frames of other threads
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        yield Entry(Kind.THREAD, f"{thread.ident}/{thread.native_id}", thread.name, _outermost(frame) if frame else "")


def _outermost(frame: FrameType) -> str:
    """Return the first function that a thread was given to run, past what the threading module puts around it."""
    chain: list[FrameType] = []
    walked: FrameType | None = frame
    while walked is not None:
        chain.append(walked)
        walked = walked.f_back
    first = next((step for step in reversed(chain) if step.f_code.co_filename != threading.__file__), chain[0])
    return f"runs {first.f_code.co_qualname} ({_place(first.f_code.co_filename, first.f_code.co_firstlineno)})"


def _own_tasks() -> Iterator[Entry]:
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return  # No loop runs in this thread: there are no tasks to see from here.
    for task in sorted(asyncio.all_tasks(running), key=lambda task: task.get_name()):
        coroutine = task.get_coro()
        code, frame = getattr(coroutine, "cr_code", None), getattr(coroutine, "cr_frame", None)
        identity = weakref.ref(task)  # Not the id: the next task may get that of one that has ended.
        hash(identity)  # A reference can be hashed for the first time only while the task is there.
        if code is None:
            yield Entry(Kind.TASK, identity, task.get_name(), repr(coroutine))
            continue
        waits = f", waits at line {frame.f_lineno}" if frame is not None else ""
        words = f"coroutine {code.co_qualname} ({_place(code.co_filename, code.co_firstlineno)}{waits})"
        yield Entry(Kind.TASK, identity, task.get_name(), words)


def _own_timers() -> Iterator[Entry]:
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return
    for handle in getattr(running, "_scheduled", ()):  # Undocumented; a loop of another kind shows none.
        if handle.cancelled():
            continue
        callback = getattr(handle, "_callback", None)
        called = getattr(callback, "func", callback)
        code = getattr(called, "__code__", None) or getattr(getattr(called, "__func__", None), "__code__", None)
        place = f" ({_place(code.co_filename, code.co_firstlineno)})" if code is not None else ""
        name = getattr(called, "__qualname__", repr(called))
        due_s = handle.when() - running.time()
        yield Entry(Kind.TIMER, weakref.ref(handle), name, f"calls {name}{place} in {due_s:.1f} s")


def _place(file: str, line: int) -> str:
    return f"{Path(file).name}:{line}"


def _files(folder: Path) -> Iterator[Entry]:
    for place, _, names in os.walk(folder):
        for path in [place, *(os.path.join(place, name) for name in sorted(names))]:
            yield Entry(Kind.FILE, path, path)
