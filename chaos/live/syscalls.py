"""Errors, kills and delays at the n-th system call of a real process, through ``strace --inject``.

* ``Syscalls.attached`` lets a fault begin in a process that runs, and end while it goes on: leaving the context lets
  strace go, and the process is as it was. ``started_under`` gives the command line for faults from the first call on.
* strace counts calls per thread, not per process: "the second fsync" is the second one of whichever thread makes it.
* SIGKILL *before* a call: the call is not carried out (the kernel gives up a call that a fatal signal finds at its
  entry). SIGKILL *after*: the call is carried out and held at its exit, and the process is killed while it is held.
* What fired is counted in strace's own log, where every call that was tampered with is marked.
* Where there is no strace, or no ptrace, everything here raises ``NotAvailableError``.
"""

from __future__ import annotations

import asyncio
import functools
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from chaos.errors import DeadlineError, NotAvailableError, ProcessEndedError, UsageError
from chaos.live.process import ChildProcess
from chaos.live.watchdog import Watchdog

NEED = "errors at system calls"
ADVICE = "apt install strace, and allow ptrace (in a container: --cap-add=SYS_PTRACE)"
PROBE_LIMIT_S = 10.0
ATTACH_LIMIT_S = 10.0
HELD_MS = 60_000
POLL_S = 0.005
SYNCS = "fsync,fdatasync,syncfs,sync_file_range"
RENAMES = "rename,renameat,renameat2"
_CALLS = re.compile(r"[a-z0-9_]+(,[a-z0-9_]+)*")
_ERRNO = re.compile(r"E[A-Z0-9]+")
_MARKS = re.compile(r"\((?:INJECTED|DELAYED)(?:, (?:INJECTED|DELAYED))?\)")


@dataclass(frozen=True, slots=True)
class SyscallFault:
    """What happens at which calls: ``calls`` as strace names them, from the ``first`` to the ``last`` (None: all).

    One of: ``error`` (an errno name; the call is not carried out), ``kill_before`` (SIGKILL), ``delay_enter_ms`` and
    ``delay_exit_ms`` (the call is carried out late, or returns late). Raises ``UsageError``.
    """

    calls: str
    error: str = ""
    kill_before: bool = False
    delay_enter_ms: int = 0
    delay_exit_ms: int = 0
    first: int = 1
    last: int | None = None

    def __post_init__(self) -> None:
        if not _CALLS.fullmatch(self.calls):
            raise UsageError("names of system calls, such as fsync,fdatasync", repr(self.calls), "mend them")
        if self.error and not _ERRNO.fullmatch(self.error):
            raise UsageError("the name of an errno, such as ENOSPC", repr(self.error), "mend it")
        if self.first < 1 or (self.last is not None and self.last < self.first):
            raise UsageError("calls counted from 1, first to last", f"{self.first} to {self.last}", "mend them")
        if not (self.error or self.kill_before or self.delay_enter_ms or self.delay_exit_ms):
            raise UsageError("something to happen at the call", "nothing", "give an error, a kill or a delay")

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return what strace is told."""
        parts = [f"inject={self.calls}"]
        parts += [f"error={self.error}"] if self.error else []
        parts += ["signal=SIGKILL"] if self.kill_before else []
        parts += [f"delay_enter={self.delay_enter_ms * 1000}"] if self.delay_enter_ms else []
        parts += [f"delay_exit={self.delay_exit_ms * 1000}"] if self.delay_exit_ms else []
        until = "+" if self.last is None else f"..{self.last}"
        return ("-e", f"trace={self.calls}", "-e", ":".join([*parts, f"when={self.first}{until}"]))


class Syscalls:
    """One log of calls that were tampered with. ``log`` is a file of the run; strace writes it."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __repr__(self) -> str:
        return f"Syscalls({self.log.name}, fired {self.fired})"

    @property
    def fired(self) -> int:
        """Return how many calls were tampered with so far."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return 0
        return len(_MARKS.findall(text)) or int("+++ killed by SIGKILL" in text)

    async def until_fired(self, times: int = 1, *, deadline_s: float) -> None:
        """Wait until that many calls were tampered with. Raises ``DeadlineError``."""
        try:
            async with asyncio.timeout(deadline_s):
                while self.fired < times:  # noqa: ASYNC110 - strace's log gives no event
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise DeadlineError(f"{times} calls tampered with", deadline_s, f"{self.fired}: {self._tail()}") from error

    def started_under(self, fault: SyscallFault, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs ``argv`` with the fault from its first call on, as the same process.

        Raises ``NotAvailableError``.
        """
        # -D: the tracer is a grandchild, so that the child that is watched and signalled is the program itself.
        return [_strace(), "-D", "-f", "-qq", "-o", str(self.log), *fault.arguments, "--", *argv]

    @asynccontextmanager
    async def attached(self, process: ChildProcess, fault: SyscallFault, watchdog: Watchdog) -> AsyncIterator[Syscalls]:
        """Let the fault work in a running process inside the context.

        Raises ``NotAvailableError``, ``ProcessEndedError`` and ``DeadlineError`` when strace does not get hold of it.
        """
        tracer = await self._attach(process, fault, watchdog)
        try:
            yield self
        finally:
            with suppress(ProcessEndedError):  # It ends by itself when the process it traces has ended.
                tracer.send(signal.SIGINT)  # It lets the process go before it ends; SIGKILL would not wait for that.
            await tracer.exited(ATTACH_LIMIT_S)
            await tracer.close()

    async def kill_after(
        self, process: ChildProcess, calls: str, watchdog: Watchdog, *, nth: int = 1, deadline_s: float = 20
    ) -> None:
        """Kill the process right after its ``nth`` such call was carried out, and return once it is gone.

        Raises as ``attached`` does, and ``DeadlineError`` when there is no such call in time.
        """
        held = SyscallFault(calls, delay_exit_ms=HELD_MS, first=nth, last=nth)
        tracer = await self._attach(process, held, watchdog)
        try:
            await self.until_fired(deadline_s=deadline_s)
            process.kill()
        finally:
            await (
                tracer.close()
            )  # It would not report the end before its delay is over: the kernel does, once it is gone.
        await process.exited(deadline_s)

    async def _attach(self, process: ChildProcess, fault: SyscallFault, watchdog: Watchdog) -> ChildProcess:
        """Start strace on a running process and return it once it has got hold of it."""
        line = [_strace(), "-f", "-o", str(self.log), *fault.arguments, "-p", str(process.pid)]
        said = self.log.with_suffix(".strace")
        tracer = await ChildProcess.start(line, watchdog=watchdog, log=said, name="strace")
        try:
            await tracer.ready(lambda: _has_attached(tracer), ATTACH_LIMIT_S, what="attached")
        except BaseException:
            await tracer.close()
            raise
        return tracer

    def _tail(self) -> str:
        try:
            return " | ".join(self.log.read_text(errors="replace").splitlines()[-3:]) or "no call"
        except FileNotFoundError:
            return "no log"


def require_strace() -> None:
    """Return when system calls can be tampered with here. Raises ``NotAvailableError`` with the reason."""
    _strace()


def _strace() -> str:
    path, reason = _probed()
    if reason:
        raise NotAvailableError(NEED, reason, ADVICE)
    return path


@functools.cache
def _probed() -> tuple[str, str]:
    """Return where strace is, and why it cannot be used (empty: it can); found out once, by an injected error."""
    if sys.platform != "linux":
        return "", "they need Linux"
    path = shutil.which("strace")
    if path is None:
        return "", "strace was not found"
    line = [path, "-qq", "-o", "/dev/null", "-e", "trace=exit_group", "-e", "inject=exit_group:delay_enter=1", "true"]
    try:
        subprocess.run(line, capture_output=True, timeout=PROBE_LIMIT_S, check=True)  # noqa: S603 - our own arguments
    except subprocess.CalledProcessError as error:
        return path, f"strace cannot trace: {error.stderr.decode(errors='replace').strip()}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return path, f"strace does not run: {error}"
    return path, ""


async def _has_attached(tracer: ChildProcess) -> bool:
    text = "\n".join(tracer.log_tail())
    if "Operation not permitted" in text:
        raise NotAvailableError(NEED, "strace may not attach to the process", ADVICE)
    if "No such process" in text:
        raise ProcessEndedError("a process to attach to", text.strip())
    return " attached" in text
