"""A child process under test: started behind a gate, watched by events, signalled as itself, ended with its family.

* The gate: the child begins as a shell that waits for one line on its stdin. Only when the child is on the watchdog's
  undo list does it get that line and becomes the program; if the runner dies before, the shell ends by itself. There
  is no instant at which the program runs and nobody would end it.
* Every child leads a session of its own (the terminal's Ctrl-C does not reach it) and carries a mark in its
  environment, by which its descendants are found whatever they do.
* It is signalled by its pid *and* its start, so a pid that is another's by now is never touched.
* Every wait has a deadline, ends at once when the child has ended, and says what it saw, with the end of the log.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import secrets
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from chaos.errors import ChaosError, DeadlineError, ProcessEndedError, UsageError
from chaos.live import process_table, undo
from chaos.live.failpoints import Failpoints, through_bootstrap
from chaos.live.ledger import Ledger, take
from chaos.live.watchdog import Guard, Watchdog

T = TypeVar("T")
GATE = ("/bin/sh", "-c", 'read -r open && exec "$@" </dev/null', "gate")
CLOCK = "FAKETIME_TIMESTAMP_FILE"
END_LIMIT_S = 5.0
POLL_S = 0.01
ANNOUNCEMENT_BYTES_MAX = 64 * 1024
LOG_TAIL_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended: by itself with ``code``, or by ``signal``; the other one is None."""

    code: int | None
    signal: signal.Signals | None

    def __str__(self) -> str:
        return f"exit code {self.code}" if self.signal is None else f"killed by {self.signal.name}"

    @classmethod
    def of(cls, returncode: int) -> ExitStatus:
        """Return the status that a return code of ``asyncio`` or ``subprocess`` stands for."""
        return cls(returncode, None) if returncode >= 0 else cls(None, signal.Signals(-returncode))


class ChildProcess:
    """One child, from its start to its end. Start it with ``ChildProcess.start``, end it with ``close()``.

    Not safe across event loops: all calls belong to the loop that started it.
    """

    def __init__(self, name: str, log: Path, failpoints: Failpoints | None) -> None:
        self.name, self.log, self.failpoints = name, log, failpoints
        self.pid, self.started, self.mark = 0, 0, secrets.token_hex(8)
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[ExitStatus] = loop.create_future()
        self._announced: asyncio.Future[bytes] | None = None
        self._watchdog: Watchdog | None = None
        self._guard: Guard | None = None
        self._clock_guard: Guard | None = None
        if failpoints is not None:
            self._ended.add_done_callback(lambda _: failpoints.hear_end())

    def __repr__(self) -> str:
        return f"ChildProcess({self.name}, pid {self.pid}, {self.status or 'running'})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        watchdog: Watchdog,
        log: Path,
        name: str = "child",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        failpoints: Failpoints | None = None,
        limits: Mapping[str, int] | None = None,
        announces: bool = False,
        stacks: Path | None = None,
        first: str = "",
    ) -> ChildProcess:
        """Start ``argv`` (no shell reads it) and return once it is guarded and on its way into its program.

        ``env`` is added to the runner's environment. stdout and stderr are appended to ``log``. With ``announces`` the
        first line of stdout is kept for ``announced()``. ``failpoints`` are armed before the program runs, and closed
        by ``close()``. With ``stacks`` a Python module answers SIGUSR2 with where it stands, into that file;
        ``first`` is called in it before all else (``chaos.live.bootstrap``). ``limits`` maps names such as
        ``"NOFILE"`` (``resource.RLIMIT_…``) to a soft and hard limit.
        Raises ``UsageError`` when there is no such program; when it is cancelled, nothing is left.
        """
        if shutil.which(argv[0]) is None:
            raise UsageError("a program to start", f"none at {argv[0]}", "install it, or name another")
        command = list(argv)
        options = [*(["--first", first] if first else []), *(["--stacks", str(stacks)] if stacks else [])]
        if failpoints is not None:
            command = failpoints.command(argv, *options)
        elif options:
            command = through_bootstrap(argv, *options)
        child = cls(name, log, failpoints)
        environment = {**os.environ, **(env or {}), process_table.MARK: child.mark}
        try:
            gate = await child._spawn([*GATE, *command], environment, cwd, announces=announces)
            try:
                child._guard_with(watchdog, has_clock=CLOCK in environment)
                for limit, value in (limits or {}).items():
                    resource.prlimit(child.pid, getattr(resource, f"RLIMIT_{limit}"), (value, value))
                os.write(gate, b"open\n")
            finally:
                os.close(gate)  # A gate that closes without having been opened ends the shell behind it.
        except BaseException:
            await child.close()
            raise
        return child

    @property
    def status(self) -> ExitStatus | None:
        """Return how it ended, or None while it runs."""
        return self._ended.result() if self._ended.done() else None

    def send(self, number: signal.Signals) -> None:
        """Signal this very process. Raises ``ProcessEndedError`` when it has ended: nothing was signalled then."""
        if self._ended.done() or not process_table.send_signal(self.pid, self.started, number):
            raise ProcessEndedError(f"{self.name} alive, to send it {number.name}", self.describe())

    def kill(self) -> None:
        """Send SIGKILL to this very process; what it has started lives on until ``close()``."""
        self.send(signal.SIGKILL)

    async def pause(self, deadline_s: float = END_LIMIT_S) -> None:
        """Stop it (SIGSTOP) and return once it stands still."""
        self.send(signal.SIGSTOP)
        await self.ready(self._stands_still, deadline_s, what="stopped")

    def resume(self) -> None:
        """Let it go on after ``pause`` (SIGCONT)."""
        self.send(signal.SIGCONT)

    async def exited(self, deadline_s: float) -> ExitStatus:
        """Wait until it has ended and return how. Raises ``DeadlineError``; cancelling leaves it running."""
        await asyncio.wait([self._ended], timeout=deadline_s)
        if not self._ended.done():
            raise DeadlineError(f"the end of {self.name}", deadline_s, self.describe())
        return self._ended.result()

    async def announced(self, deadline_s: float) -> Mapping[str, Any]:
        """Wait for the first line of its stdout, a JSON object, and return that. The child needs ``announces``.

        Raises ``DeadlineError``, ``ProcessEndedError`` at once, and ``ChaosError`` for a line that is no JSON object.
        """
        if self._announced is None:
            raise UsageError(f"{self.name} started with announces=True", "announces=False", "start it so")
        await asyncio.wait([self._announced], timeout=deadline_s)
        if not self._announced.done():
            raise DeadlineError(f"a first line from {self.name}", deadline_s, self.describe())
        line = self._announced.result()
        if not line:
            await asyncio.wait([self._ended], timeout=END_LIMIT_S)
            raise ProcessEndedError(f"a first line from {self.name}", self.describe())
        try:
            announcement = json.loads(line)
        except ValueError:
            announcement = None
        if not isinstance(announcement, dict):
            raise ChaosError(f"{self.name}: expected a JSON object as first line, found {line[:80]!r}; read its log")
        return announcement

    async def ready(self, check: Callable[[], Awaitable[T]], deadline_s: float, *, what: str = "ready") -> T:
        """Ask ``check`` until its answer is true, and return that. Raises ``DeadlineError`` and ``ProcessEndedError``.

        For what gives no event of its own; it is asked every 10 ms, and its own errors pass through.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while not (answer := await check()):
                    if self._ended.done():
                        raise ProcessEndedError(f"{self.name} {what}", self.describe())
                    await asyncio.wait([self._ended], timeout=POLL_S)
                return answer
        except TimeoutError as error:
            raise DeadlineError(f"{self.name} {what}", deadline_s, self.describe()) from error

    async def accepts(self, address: Path | tuple[str, int], deadline_s: float) -> None:
        """Wait until a connection to the unix socket or ``(host, port)`` succeeds. Raises as ``ready`` does."""

        async def connects() -> bool:
            family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setblocking(False)
                try:
                    await asyncio.get_running_loop().sock_connect(
                        probe, str(address) if isinstance(address, Path) else address
                    )
                except (ConnectionRefusedError, FileNotFoundError, BlockingIOError):
                    return False
                return True

        await self.ready(connects, deadline_s, what=f"accepting at {address}")

    def resources(self, *, folders: Sequence[Path] = ()) -> Ledger:
        """Return what it and its descendants hold now. Raises ``ProcessEndedError``."""
        if self._ended.done():
            raise ProcessEndedError(f"{self.name} to look at", self.describe())
        return take(self.pid, folders=folders)

    def survivors(self) -> list[process_table.Row]:
        """Return what this child has started and is alive now, whoever its parent is by now."""
        family = process_table.find_family(self.pid, self.started, self.mark)
        return [row for row in family if row.pid != self.pid]

    def log_tail(self, lines: int = 20) -> list[str]:
        """Return the last lines of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                return file.read().decode(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []

    def describe(self) -> str:
        """Return in one line how it is and what it said last."""
        state = str(self.status) if self.status else f"pid {self.pid} runs"
        said = " | ".join(line.strip() for line in self.log_tail(3))
        return f"{state}, last said: {said}" if said else f"{state}, said nothing"

    async def close(self) -> None:
        """Kill it with all its family, wait until nobody of it is left, and take it off the undo list. Idempotent.

        Raises ``DeadlineError`` when somebody still lives after 5 s; that one stays on the undo list.
        """
        left = await asyncio.to_thread(self._end_family) if self.started else []
        if self.pid:
            await asyncio.wait([self._ended], timeout=END_LIMIT_S)
        if self.failpoints is not None:
            self.failpoints.close()
        if left or (self.pid and not self._ended.done()):
            raise DeadlineError(f"the end of {self.name} and its family", END_LIMIT_S, f"{left or self.describe()}")
        if self._watchdog is not None and self._guard is not None:
            self._watchdog.forget(self._guard)
            if self._clock_guard is not None:
                undo.remove_segments(self.pid)
                self._watchdog.forget(self._clock_guard)

    def _end_family(self) -> list[process_table.Row]:
        return process_table.end_family(self.pid, self.started, self.mark, END_LIMIT_S)[1]

    def _guard_with(self, watchdog: Watchdog, *, has_clock: bool) -> None:
        started = process_table.start_of(self.pid)
        if started is None:
            raise ProcessEndedError(f"{self.name} at its gate", self.describe())
        self.started = started
        self._watchdog, self._guard = watchdog, watchdog.guard_process(self.pid, started, self.mark)
        if has_clock:
            self._clock_guard = watchdog.guard_clock(self.pid)

    async def _stands_still(self) -> bool:
        row = process_table.read_row(self.pid)
        return row is not None and row.state == "T"

    async def _spawn(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path | None, *, announces: bool) -> int:
        """Start the process and return the writing end of its stdin."""
        stdin, gate = os.pipe()
        log = self.log.open("ab", buffering=0)
        stdout = await self._listen(log) if announces else os.dup(log.fileno())
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: _Exit(self._ended),
                *argv,
                stdin=stdin,
                stdout=stdout,
                stderr=log.fileno(),
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        except BaseException:
            os.close(gate)
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
            if not announces:
                log.close()
        self.pid = transport.get_pid()
        return gate

    async def _listen(self, log: BinaryIO) -> int:
        """Return the writing end of a pipe whose lines go into the log, the first also into the announcement."""
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        announced: asyncio.Future[bytes] = loop.create_future()
        await loop.connect_read_pipe(lambda: _Tee(log, announced), os.fdopen(reading, "rb", 0))
        self._announced = announced
        return writing


class _Exit(asyncio.SubprocessProtocol):
    """Tells a future how the process ended."""

    def __init__(self, ended: asyncio.Future[ExitStatus]) -> None:
        self._ended = ended
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport), "the loop makes it"
        self._transport = transport

    def process_exited(self) -> None:
        assert self._transport is not None, "a process that ends was made"
        returncode = self._transport.get_returncode()
        assert returncode is not None, "it has ended"
        self._ended.set_result(ExitStatus.of(returncode))
        self._transport.close()


class _Tee(asyncio.Protocol):
    """Copies stdout into the log, and its first line into a future (empty when it ends without one)."""

    def __init__(self, log: BinaryIO, first_line: asyncio.Future[bytes]) -> None:
        self._log, self._first_line, self._unread = log, first_line, b""

    def data_received(self, data: bytes) -> None:
        self._log.write(data)
        if not self._first_line.done():
            self._unread += data
            if b"\n" in self._unread or len(self._unread) > ANNOUNCEMENT_BYTES_MAX:
                self._first_line.set_result(self._unread.partition(b"\n")[0])

    def connection_lost(self, _error: Exception | None) -> None:
        self._log.close()
        if not self._first_line.done():
            self._first_line.set_result(b"")
