"""The subject of a live world, running as a child process: every call is an operation in the history."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping

from chaos.history import History
from chaos.live.failpoints import Failpoint, Failpoints
from chaos.live.process_faults import ProcessFaults, Reins
from chaos.protocols import Site, Subject
from chaos.worlds.subject_calls import SubjectCalls
from chaos.worlds.waiting import until

EXIT_LIMIT_S = 150.0


class LiveFailpoint:
    """A failpoint of a running service; its firing is written into the history once somebody waited for it."""

    def __init__(self, place: str, failpoint: Failpoint, history: History) -> None:
        self._place, self._failpoint, self._history = place, failpoint, history
        self._told = 0

    async def fired(self, times: int = 1, *, limit_s: float = 20) -> None:
        """Wait until it has fired that often, and write that into the history. Raises ``DeadlineError``."""
        await self._failpoint.wait_fired(times, deadline_s=limit_s)
        self.tell()

    def tell(self) -> None:
        """Write what has fired since the last time."""
        if (new := self._failpoint.fired - self._told) > 0:
            self._told += new
            self._history.fault(fault_of(self._failpoint.terms), place=self._place, times=new)

    def __repr__(self) -> str:
        return f"LiveFailpoint({self._place}, {self._failpoint!r})"


class LeftOutFailpoint:
    """A failpoint that is left out of this run: nothing fires, and nobody waits for it."""

    async def fired(self, times: int = 1, *, limit_s: float = 20) -> None:
        """Return at once."""

    def tell(self) -> None:
        """Write nothing."""


def fault_of(terms: str) -> str:
    """Return what the fault of a failpoint's terms is called in a history."""
    return f"failpoint.{terms.partition('(')[0].rpartition('*')[2]}"


class LiveService(SubjectCalls):
    """A running subject, as a child process."""

    def __init__(
        self,
        reins: Reins,
        subject: Subject,
        site: Site,
        failpoints: Failpoints | None,
        places: Mapping[str, str],
        draw: Callable[[], bytes],
    ) -> None:
        history = reins.history
        super().__init__(subject, site, history, draw)
        self.process, self.faults = reins.process, ProcessFaults(reins)
        armed = failpoints if failpoints is not None else {}
        self._failpoints: dict[str, LiveFailpoint | LeftOutFailpoint] = {
            place: LiveFailpoint(place, armed[target], history) if target in armed else LeftOutFailpoint()
            for place, target in places.items()
        }
        self._choice = reins.choice

    def failpoint(self, place: str) -> LiveFailpoint | LeftOutFailpoint:
        """Return the failpoint that the service was started with at that place."""
        return self._failpoints[place]

    async def stop(self, *, signals: int = 1) -> None:
        """Send SIGTERM that often and wait until the subject is gone: operation ``stop``, with its exit code.

        A further signal is sent once the subject says that it is stopping: two at the same instant would be one.
        """
        operation = self._history.invoke("stop", signals=signals)
        self.process.send(signal.SIGTERM)
        for _ in range(signals - 1):
            await until(self.status, lambda said: said["status"] == "StopPending", "status StopPending", 10)
            self.process.send(signal.SIGTERM)
            self._history.fault("process.signal", number="SIGTERM")
        status = await self.process.exited(EXIT_LIMIT_S)
        code = status.code if status.code is not None else -1
        operation.ok(exit=str(status), outcome=self._subject.exit_means(code))

    async def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone; where that fault is left out, it is stopped in order."""
        if not self._choice.admits("process.kill"):
            await self.stop()
            return
        self.process.kill()
        await self.process.exited(EXIT_LIMIT_S)
        self._history.fault("process.kill", pid=self.process.pid)

    async def died(self, *, limit_s: float = 20) -> None:
        """Wait until it is gone, or stop it if what kills it is left out. Raises ``DeadlineError``."""
        if any(isinstance(one, LeftOutFailpoint) for one in self._failpoints.values()):
            await self.stop()
            return
        status = await self.process.exited(limit_s)
        for failpoint in self._failpoints.values():
            failpoint.tell()
        self._history.fault("process.kill", exit=str(status))

    def __repr__(self) -> str:
        return f"LiveService({self._subject.name}, {self.process!r})"
