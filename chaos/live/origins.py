"""Where things come from: while it records, the place in the code that opened each file, socket, thread and process.

* An audit hook sees them being made, a wrapper sees threads start; neither is taken away again, but both are silent
  while nobody records. A place, ``file.py:12 in function``, is the innermost one outside of Python's library and ours.
* Files and shared memory are known by path, sockets by their objects, threads by name, processes by command line.
* Tasks raise no event: those of the loop that runs at the beginning are seen by a task factory around the loop's own.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import sysconfig
import threading
import weakref
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

RECORDED_MAX = 100_000
_LIBRARY = (sysconfig.get_path("stdlib"), "<frozen", os.path.dirname(__file__))
_recorders: list[Origins] = []
_is_installed = False


class Origins:
    """Records inside its context. Not for production: it costs a few microseconds for each thing that is opened."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}
        self._sockets: dict[int, str] = {}
        self._threads: dict[str, str] = {}
        self._commands: dict[str, str] = {}
        self._tasks: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()
        self._factory: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"Origins({len(self._paths)} paths, {len(self._sockets)} sockets, {len(self._threads)} threads)"

    def __enter__(self) -> Self:
        _install()
        _recorders.append(self)
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return self  # No loop runs here: there are no tasks to see.
        self._factory = self._loop.get_task_factory()
        self._loop.set_task_factory(self._make_task)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _recorders.remove(self)
        if self._loop is not None:
            self._loop.set_task_factory(self._factory)

    def of_path(self, path: str) -> str:
        """Return where a file, folder or piece of shared memory was made or opened last; empty when unknown."""
        return self._paths.get(path, "")

    def of_sockets(self) -> dict[int, str]:
        """Return where the sockets that are open now were made, by descriptor."""
        found = {}
        for thing in gc.get_objects():
            if isinstance(thing, socket.socket) and thing.fileno() >= 0 and id(thing) in self._sockets:
                found[thing.fileno()] = self._sockets[id(thing)]
        return found

    def of_thread(self, name: str) -> str:
        """Return where a thread was started."""
        return self._threads.get(name, "")

    def of_command(self, command: str) -> str:
        """Return where a process of that command line was started."""
        return self._commands.get(command, "")

    def of_task(self, task: object) -> str:
        """Return where a task was made."""
        return self._tasks.get(task, "")

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **given: Any) -> Any:
        task = self._factory(loop, work, **given) if self._factory else asyncio.Task(work, loop=loop, **given)
        self._tasks[task] = _place(sys._getframe(1))  # noqa: SLF001 - as in ``note``
        return task

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Write down one event of the audit hook."""
        note = _NOTES.get(event)
        if note is not None and len(self._paths) < RECORDED_MAX:
            note(self, arguments, _place(sys._getframe(2)))  # noqa: SLF001 - documented, and the only way to a caller

    def _note_path(self, arguments: tuple[Any, ...], place: str) -> None:
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike):
            self._paths[os.path.abspath(os.fsdecode(path))] = place

    def _note_map(self, arguments: tuple[Any, ...], place: str) -> None:
        descriptor = arguments[0]
        if isinstance(descriptor, int) and descriptor >= 0:
            self._paths[os.readlink(f"/proc/self/fd/{descriptor}")] = place

    def _note_socket(self, arguments: tuple[Any, ...], place: str) -> None:
        self._sockets[id(arguments[0])] = place

    def note_thread(self, name: str, place: str) -> None:
        """Write down that a thread of that name was started there."""
        self._threads[name] = place

    def _note_process(self, arguments: tuple[Any, ...], place: str) -> None:
        command = arguments[1]
        words = [command] if isinstance(command, str | bytes) else list(command)
        self._commands[" ".join(os.fsdecode(word) for word in words)] = place


_NOTES: dict[str, Callable[[Origins, tuple[Any, ...], str], None]] = {
    "open": Origins._note_path,  # noqa: SLF001 - of its own class
    "os.mkdir": Origins._note_path,  # noqa: SLF001
    "tempfile.mkstemp": Origins._note_path,  # noqa: SLF001
    "tempfile.mkdtemp": Origins._note_path,  # noqa: SLF001
    "mmap.__new__": Origins._note_map,  # noqa: SLF001
    "socket.__new__": Origins._note_socket,  # noqa: SLF001
    "subprocess.Popen": Origins._note_process,  # noqa: SLF001
}


def _install() -> None:
    global _is_installed  # noqa: PLW0603 - a hook cannot be taken away: there must be one only
    if not _is_installed:
        _is_installed = True
        sys.addaudithook(_on_event)
        threading.Thread.start = _start_noted  # type: ignore[method-assign]  # before Python 3.12 it raises no event


_start_thread = threading.Thread.start


def _start_noted(self: threading.Thread) -> None:
    for recorder in _recorders:
        recorder.note_thread(self.name, _place(sys._getframe(1)))  # noqa: SLF001 - as in ``note``
    _start_thread(self)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if _recorders and event in _NOTES:
        for recorder in _recorders:
            recorder.note(event, arguments)


def _place(frame: FrameType | None) -> str:
    """Return the innermost place outside of Python's library and of this toolkit's own parts."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_LIBRARY) or file.endswith("leak_probe.py"):
            return f"{os.path.basename(file)}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return ""
