"""The seam to the calls by which a process deals with itself and with other processes: pids, signals, exits."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaos.sim.library_state import LibraryState
from chaos.sim.seams import PatchingSeam
from chaos.sim.verdicts import NotSimulatedError

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel
    from chaos.sim.process import SimProcess

PARENT_NUMBER = 1
REFUSED = {
    signal: ("alarm", "setitimer", "pause", "sigwait", "sigtimedwait", "pthread_kill", "pthread_sigmask"),
    os: ("fork", "forkpty", "execv", "execve", "posix_spawn", "posix_spawnp", "killpg", "wait", "waitpid", "system"),
}


class ProcessCalls(PatchingSeam):
    """Serves ``signal`` and the process calls of ``os`` to code of a simulated process."""

    def enter(self, kernel: SimKernel) -> None:
        """Come into force."""
        self._libraries = LibraryState()
        super().enter(kernel)

    def leave(self) -> None:
        """Put everything back."""
        super().leave()
        self._libraries.leave()

    def _getpid(self, process: SimProcess) -> int:
        self._libraries.belongs_to(process)
        return process.number

    def patch(self, kernel: SimKernel) -> None:
        """Replace them."""

        def inside(owner: Any, name: str, simulated: Callable[..., Any]) -> None:
            def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
                def call(*args: Any, **kwargs: Any) -> Any:
                    if kernel.is_inside():
                        return simulated(kernel.current, *args, **kwargs)
                    return real(*args, **kwargs)

                return call

            self.patches.wrap(owner, name, wrapped)

        inside(signal, "signal", _signal)
        inside(signal, "getsignal", lambda process, number: process.signals.handler(number))
        inside(signal, "raise_signal", lambda process, number: _kill(process, process.number, number))
        inside(signal, "set_wakeup_fd", lambda _process, _fd, **_: -1)
        inside(signal, "siginterrupt", lambda _process, _number, _flag: None)
        inside(os, "getpid", self._getpid)
        inside(os, "getppid", lambda _process: PARENT_NUMBER)
        inside(os, "kill", _kill)
        inside(os, "abort", lambda process: process.exit_now(-signal.SIGABRT))
        inside(os, "_exit", lambda process, status: process.exit_now(status))
        for owner, names in REFUSED.items():
            for name in names:
                inside(owner, name, _refusal(f"{owner.__name__}.{name}()"))


def _signal(process: SimProcess, number: int, handler: Any) -> Any:
    if process.kernel.strand not in (None, process.main_strand):
        raise ValueError("signal only works in main thread of the main interpreter")
    return process.signals.handle(number, handler)


def _kill(process: SimProcess, number: int, signal_number: int) -> None:
    target = process.kernel.process_numbered(number)
    if target is None or not target.is_alive:
        raise ProcessLookupError(3, "No such process")
    if signal_number:
        target.send_signal(signal_number)


def _refusal(call: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> None:
        raise NotSimulatedError(call, "give the other process to the world as a process of its own")

    return refuse
