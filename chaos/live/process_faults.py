"""What can be done to the process of a running subject: paused, left without descriptors, its system calls failed.

Each is a context that undoes itself, and is written into the history when it really took effect.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chaos.history import History
from chaos.live.fault_choice import FaultChoice
from chaos.live.ledger import Kind
from chaos.live.process import ChildProcess
from chaos.live.run_folder import RunFolder
from chaos.live.syscalls import SyscallFault, Syscalls
from chaos.live.watchdog import Watchdog
from chaos.worlds.waiting import until

GONE_LIMIT_S = 30.0
LOG_LINES = 4000


@dataclass(frozen=True, slots=True)
class Reins:
    """What holds a process: itself, its run's folder, watchdog and history, and which faults are done to it."""

    process: ChildProcess
    folder: RunFolder
    watchdog: Watchdog
    history: History
    choice: FaultChoice = field(default_factory=FaultChoice)


class ProcessFaults:
    """Faults of one process."""

    def __init__(self, reins: Reins) -> None:
        self._reins = reins
        self._logs = 0

    def __repr__(self) -> str:
        return f"ProcessFaults({self._reins.process!r}, {self._logs} logs of calls)"

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Let the process stand still (SIGSTOP) inside the context."""
        process, history = self._reins.process, self._reins.history
        if not self._reins.choice.admits("process.pause"):
            yield
            return
        await process.pause()
        history.fault("process.pause")
        try:
            yield
        finally:
            process.resume()
            history.healed("process.pause")

    @asynccontextmanager
    async def limited(self, **limits: int) -> AsyncIterator[None]:
        """Lower soft limits of the running process inside the context, such as ``NOFILE`` or ``FSIZE`` (in bytes)."""
        process, history = self._reins.process, self._reins.history
        limits = {n: value for n, value in limits.items() if self._reins.choice.admits(f"process.limit_{n.lower()}")}
        before = {}
        for name, value in limits.items():
            number = getattr(resource, f"RLIMIT_{name}")
            before[number] = resource.prlimit(process.pid, number)
            resource.prlimit(process.pid, number, (value, before[number][1]))
            history.fault(f"process.limit_{name.lower()}", value=value)
        try:
            yield
        finally:
            if process.status is None:
                for number, limit in before.items():
                    resource.prlimit(process.pid, number, limit)
            for name in limits:
                history.healed(f"process.limit_{name.lower()}")

    @asynccontextmanager
    async def without_descriptors(self) -> AsyncIterator[None]:
        """Let the process have no free file descriptor inside the context."""
        highest = max(int(name) for name in os.listdir(f"/proc/{self._reins.process.pid}/fd"))
        async with self.limited(NOFILE=highest + 1):
            yield

    @asynccontextmanager
    async def without_memory(self, spare_bytes: int = 0) -> AsyncIterator[None]:
        """Let the process get no more than ``spare_bytes`` of further address space inside the context."""
        async with self.limited(AS=_address_space_bytes(self._reins.process.pid) + spare_bytes):
            yield

    @asynccontextmanager
    async def failing_calls(self, fault: SyscallFault) -> AsyncIterator[Syscalls]:
        """Let system calls fail inside the context. Raises ``NotAvailableError`` where there is no strace."""
        calls, history = self._calls(), self._reins.history
        name = f"syscall.{fault.error or 'delay'}"
        if not self._reins.choice.admits(name):
            yield calls
            return
        async with calls.attached(self._reins.process, fault, self._reins.watchdog):
            yield calls
        if calls.fired:
            history.fault(name, calls=fault.calls, times=calls.fired)
        history.healed(name)

    @asynccontextmanager
    async def dies_at_call(self, calls: str, nth: int = 1) -> AsyncIterator[None]:
        """Let the process be killed instead of its n-th such call; leaving waits until it is gone.

        Raises ``NotAvailableError``, and ``DeadlineError`` when it makes no such call.
        """
        log, process = self._calls(), self._reins.process
        if not self._reins.choice.admits("syscall.kill"):
            yield
            process.send(signal.SIGTERM)
            await process.exited(GONE_LIMIT_S)
            return
        fault = SyscallFault(calls, kill_before=True, first=nth, last=nth)
        async with log.attached(process, fault, self._reins.watchdog):
            yield
            await process.exited(GONE_LIMIT_S)
        self._reins.history.fault("syscall.kill", calls=calls, nth=nth)

    async def says(self, text: str, *, limit_s: float = 20) -> None:
        """Wait until the process has logged that. Raises ``OverdueError``."""

        async def tail() -> str:
            return "\n".join(self._reins.process.log_tail(LOG_LINES))

        await until(tail, lambda said: text in said, f"{text!r} in the log", limit_s)

    def resources(self) -> dict[str, int]:
        """Return how much of each kind the process holds now, and observe it as ``resources``."""
        ledger = self._reins.process.resources()
        found = {str(kind): len(ledger.of(kind)) for kind in Kind} | {"rss_bytes": ledger.rss_bytes}
        self._reins.history.observe("resources", **found)
        return found

    def _calls(self) -> Syscalls:
        self._logs += 1
        return Syscalls(self._reins.folder.file(f"calls-{self._reins.process.pid}-{self._logs}"))


def _address_space_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
