"""The runner's side of the watchdog: what the run makes is written on an undo list in a process that outlives it.

* Write first, act then: a folder is guarded before it exists, a process before it may run its program.
* The list is performed by ``Watchdog.close()``, and by the watchdog process itself when the runner dies in any way.
* Calls are synchronous and short (about 0.1 ms): they must also work in a ``finally`` after the event loop has ended.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.errors import NotAvailableError, RefusedError, WatchdogError
from chaos.live import process_table, undo

ANSWER_LIMIT_S = 5.0
ENTRIES_MAX = 10_000
_ROOT = Path(__file__).parents[2]
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from chaos.live import undo; undo.main()"


@dataclass(frozen=True, slots=True)
class Guard:
    """An entry on the undo list: what it undoes, and its number there."""

    number: int
    what: str


@dataclass(frozen=True, slots=True)
class Undone:
    """What the watchdog still had to undo when it was closed, and what it could not."""

    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class Watchdog:
    """The undo list of this process. Started with ``Watchdog.start()``; closed by ``close()`` or as a context manager.

    Safe to use from several threads. Nothing here is ever undone twice: what was undone by its owner is forgotten.
    """

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process, self._connection = process, connection
        self._lock = threading.Lock()
        self._asked = 0
        self._entries: dict[int, Guard] = {}

    def __repr__(self) -> str:
        return f"Watchdog(pid {self._process.pid}, {len(self._entries)} entries)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def start(cls) -> Watchdog:
        """Start the watchdog process and return at once. Raises ``NotAvailableError`` where there is no ``/proc``."""
        started = process_table.start_of(os.getpid()) if hasattr(os, "pidfd_open") else None
        if started is None:
            raise NotAvailableError("the live world", "this system has no /proc and pidfd", "run it on Linux")
        mine, its = socket.socketpair()
        try:
            arguments = [str(its.fileno()), str(os.getpid()), str(started), temporary_folder()]
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own program
                [sys.executable, "-I", "-S", "-c", _START, str(_ROOT), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                env=_environment(),
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            mine.close()
            raise
        finally:
            its.close()
        mine.settimeout(ANSWER_LIMIT_S)
        return cls(process, mine)

    @property
    def pid(self) -> int:
        """Return the pid of the watchdog process."""
        return self._process.pid

    @property
    def entries(self) -> tuple[Guard, ...]:
        """Return what is on the undo list, oldest first."""
        return tuple(self._entries.values())

    def guard_process(self, pid: int, started: int, mark: str) -> Guard:
        """Have that process killed with its family. Call it before the process may run what it was made for.

        ``mark`` is the value of ``PYWATS_CHAOS_MARK`` in its environment, by which descendants are found.
        """
        return self._guard("process", f"process {pid}", str(pid), str(started), mark)

    def guard_clock(self, pid: int) -> Guard:
        """Have the shared memory removed that libfaketime leaves of that process. Call it before the process runs."""
        return self._guard("clock", f"clock of process {pid}", str(pid))

    def guard_folder(self, path: Path) -> Guard:
        """Have that folder removed. Call it before the folder exists.

        Raises ``RefusedError`` for anything but ``<temporary folder>/pywats-chaos-…``.
        """
        return self._guard("folder", f"folder {path}", str(path))

    def forget(self, guard: Guard) -> None:
        """Take an entry off the list, once it has been undone (or never came to be). Harmless to repeat."""
        if guard.number in self._entries:
            self._ask("forget", str(guard.number))
            del self._entries[guard.number]

    def close(self) -> Undone:
        """Undo all that is left, end the watchdog process, and return what was undone. Idempotent.

        Raises ``WatchdogError`` when the process is gone or silent, or could not undo everything.
        """
        if self._connection.fileno() < 0:
            return Undone()
        try:
            self._connection.settimeout(undo.LIMIT_S + 1)
            number, *lines = self._ask("done")
            undone = Undone(tuple(lines[: int(number)]), tuple(lines[int(number) :]))
        finally:
            self._connection.close()
            self._end()
        self._entries.clear()
        if undone.left:
            raise WatchdogError(f"that it could not undo everything: {', '.join(undone.left)}")
        return undone

    def _end(self) -> None:
        """Wait for the process, which ends by itself once it has answered or its socket is closed."""
        try:
            self._process.wait(undo.LIMIT_S + 1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _guard(self, verb: str, what: str, *arguments: str) -> Guard:
        if any(set("\t\n") & set(argument) for argument in arguments):
            raise RefusedError(f"guarding {what}", "its name has a tab or a line end")
        if len(self._entries) >= ENTRIES_MAX:
            raise RefusedError(f"guarding {what}", f"there are {ENTRIES_MAX} entries on the undo list already")
        self._ask(verb, *arguments)
        guard = Guard(self._asked, what)
        self._entries[guard.number] = guard
        return guard

    def _ask(self, verb: str, *arguments: str) -> list[str]:
        """Send one request and return the words of its answer."""
        with self._lock:
            self._asked += 1
            request = "\t".join([str(self._asked), verb, *arguments])
            try:
                self._connection.sendall(f"{request}\n".encode())
                answer = self._read_line()
            except OSError as error:
                raise WatchdogError(f"{error.strerror or error} ({self._fate()})") from error
        number, verdict, *words = answer.split("\t")
        assert number == str(self._asked), f"the watchdog answered {number} to request {self._asked}"
        if verdict == "no":
            raise RefusedError(" ".join([verb, *arguments]), words[0])
        return words

    def _read_line(self) -> str:
        received = b""
        while not received.endswith(b"\n"):
            part = self._connection.recv(65536)
            if not part:
                raise WatchdogError(f"a closed connection ({self._fate()})")
            received += part
        return received.decode().removesuffix("\n")

    def _fate(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            return f"its process ended with {self._process.wait(0.1)}"
        return f"its process {self._process.pid} runs"


def temporary_folder() -> str:
    """Return the system's temporary folder without links in its path."""
    return os.path.realpath(tempfile.gettempdir())


def _environment() -> Mapping[str, str]:
    """Return an environment in which the watchdog is nobody's child by mark, and is known as a watchdog."""
    inherited = {name: value for name, value in os.environ.items() if name != process_table.MARK}
    return {**inherited, process_table.WATCHDOG: str(os.getpid())}
