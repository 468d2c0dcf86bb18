"""A worker process as the service sees it: started, asked one thing at a time, killed with all that it started.

* Its answers are lines on a pipe; too much, too early, after its end or anything but a line is a ``ConversionError``.
* It gets no variable of the environment that begins with ``PYWATS_``: the server's token is not a converter's business.
* ``kill`` takes its whole session and every descendant that can be found. What left the session *and* its parents, as
  a daemon does, cannot be found; nothing waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import psutil

from pywats_reliability.converters import messages
from pywats_reliability.errors import ConversionError

ANSWER_BYTES_MAX = 256 * 1024 * 1024
OUTPUT_BYTES_KEPT = 4096
END_WAIT_S = 2.0
_WORKER = "pywats_reliability.converters.worker"
_PACKAGES = str(Path(__file__).parents[2])
log = logging.getLogger(__name__)


class WorkerProcess:
    """One worker process; who started it kills it and waits for its end. Make one with ``start``."""

    def __init__(self, converter: str, transport: asyncio.SubprocessTransport, pipes: _Pipes) -> None:
        self._converter, self._transport, self._pipes = converter, transport, pipes
        self._was_killed = False

    @classmethod
    async def start(cls, converter: str, environment: Mapping[str, str]) -> WorkerProcess:
        """Start a worker. Raises ``ConversionError`` when the system does not let us."""
        command = (sys.executable, "-P", "-m", _WORKER)
        loop = asyncio.get_running_loop()
        try:
            transport, pipes = await loop.subprocess_exec(
                lambda: _Pipes(converter), *command, env=worker_environment(environment), start_new_session=True
            )
        except OSError as error:
            raise ConversionError("a worker process to start", error.strerror or type(error).__name__) from error
        return cls(converter, transport, pipes)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._transport.get_pid()

    @property
    def is_fit(self) -> bool:
        """Whether it can be asked: it runs, and has said nothing unasked."""
        return not self._was_killed and not self.has_ended and not self._pipes.has_spoken

    async def ask(self, message: messages.Message) -> dict[str, Any]:
        """Return the answer to ``message``. Raises ``ConversionError``; the process is of no use then."""
        if self._pipes.has_spoken:
            raise ConversionError("no answer before the question", "one")
        stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        stdin.write(messages.encode(message))
        return messages.decode(await self._pipes.line())

    def kill(self) -> None:
        """Kill the process and all that it started; at once, and harmless to repeat."""
        if self._was_killed:
            return
        self._was_killed = True
        if self.has_ended:
            return
        family = _family(self.pid)
        _kill_session(self.pid)
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()  # It makes sure that the number still means the same process.

    @property
    def has_ended(self) -> bool:
        """Whether the process is no more."""
        return self._pipes.ended.is_set()

    async def wait_ended(self) -> bool:
        """Return whether the process ended within 2 s, or had ended before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_WAIT_S):
                await self._pipes.ended.wait()
        return self.has_ended

    def __repr__(self) -> str:
        state = "ended" if self.has_ended else "killed" if self._was_killed else "running"
        return f"WorkerProcess({self._converter}, pid {self.pid}, {state})"


class _Pipes(asyncio.SubprocessProtocol):
    """Gathers lines from the worker's answers and the end of its other output."""

    def __init__(self, converter: str) -> None:
        self.ended = asyncio.Event()
        self._output = b""
        self._converter = converter
        self._transport: asyncio.SubprocessTransport | None = None
        self._lines: deque[bytes] = deque()
        self._part = bytearray()
        self._is_too_much = self._is_silent = False
        self._changed = asyncio.Event()

    @property
    def has_spoken(self) -> bool:
        """Whether there is something that nobody has read."""
        return bool(self._lines or self._part)

    async def line(self) -> bytes:
        """Return the next line. Raises ``ConversionError``."""
        while not self._lines:
            if self._is_too_much:
                raise ConversionError(f"an answer of at most {ANSWER_BYTES_MAX} bytes", "more", details=self._shown())
            if self._is_silent or self.ended.is_set():
                raise ConversionError("an answer from the worker process", "its end", details=self._shown())
            self._changed.clear()
            await self._changed.wait()
        return self._lines.popleft()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note whose pipes these are."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what the worker wrote."""
        if fd == 2:
            self._output = (self._output + data)[-OUTPUT_BYTES_KEPT:]
            log.debug("converter %s prints: %s", self._converter, data[:OUTPUT_BYTES_KEPT].decode(errors="replace"))
            return
        if self._is_too_much:
            return
        *lines, rest = data.split(b"\n")
        for end in lines:
            self._lines.append(bytes(self._part) + end)
            self._part.clear()
        self._part += rest
        self._is_too_much = len(self._part) + sum(map(len, self._lines)) > ANSWER_BYTES_MAX
        self._changed.set()

    def pipe_connection_lost(self, fd: int, _error: Exception | None) -> None:
        """Note that no answer will come any more."""
        if fd == 1:
            self._is_silent = True
            self._changed.set()

    def process_exited(self) -> None:
        """Note the end, and end at once what the process has left behind, while its number still means that."""
        assert self._transport is not None, "a process has pipes before it ends"
        _kill_session(self._transport.get_pid())
        self._transport.close()  # Not earlier: closing looks for the end itself, and would take it from the loop.
        self.ended.set()
        self._changed.set()

    def _shown(self) -> str:
        return self._output.decode(errors="replace")


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: without our variables, and able to find this package."""
    kept = {name: value for name, value in environment.items() if not name.upper().startswith("PYWATS_")}
    path = [_PACKAGES, *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(path)}


def _kill_session(pid: int) -> None:
    """Kill what is in the session that the process led: its number stays taken for as long as anything is."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _family(pid: int) -> list[psutil.Process]:
    """Return the process and all that descends from it, as far as that can be seen."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []
