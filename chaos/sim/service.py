"""The subject of a simulated world, as a simulated process: every call is an operation in the history."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping

from chaos.errors import OverdueError
from chaos.history import History
from chaos.protocols import Site, Subject
from chaos.sim.failpoints import SimFailpoint
from chaos.sim.kernel import SimKernel
from chaos.sim.net import SimulatedNetwork
from chaos.sim.process import SimProcess
from chaos.worlds.subject_calls import SubjectCalls
from chaos.worlds.waiting import until

EXIT_LIMIT_S = 150.0


class SimService(SubjectCalls):
    """A running subject, as a simulated process."""

    def __init__(
        self,
        kernel: SimKernel,
        process: SimProcess,
        subject: Subject,
        site: Site,
        history: History,
        failpoints: Mapping[str, SimFailpoint],
        draw: Callable[[], bytes],
    ) -> None:
        super().__init__(subject, site, history, draw)
        self.process = process
        self._kernel, self._failpoints = kernel, failpoints

    def failpoint(self, place: str) -> SimFailpoint:
        """Return the failpoint that the service was started with at that place."""
        return self._failpoints[place]

    def open_sockets(self) -> int:
        """Return how many sockets it holds at this instant."""
        network = self._kernel.network
        assert isinstance(network, SimulatedNetwork), "a simulated world has the simulated network"
        return len(network.table(self.process).sockets)

    async def stop(self, *, signals: int = 1) -> None:
        """Send SIGTERM that often and wait until the subject is gone: operation ``stop``, with its exit code.

        A further signal is sent once the subject says that it is stopping: two at the same instant would be one.
        Raises ``OverdueError`` when it is still there long after every limit.
        """
        operation = self._history.invoke("stop", signals=signals)
        self.process.send_signal(signal.SIGTERM)
        for _ in range(signals - 1):
            await until(self.status, lambda said: said["status"] == "StopPending", "status StopPending", 10)
            self.process.send_signal(signal.SIGTERM)
            self._history.fault("process.signal", number="SIGTERM")
        code = await self.exited(EXIT_LIMIT_S)
        operation.ok(exit=str(code), outcome=self._subject.exit_means(code))

    async def kill(self) -> None:
        """End it with SIGKILL: the page cache stays, nothing of it runs any more."""
        self.process.kill()
        self._history.fault("process.kill", pid=self.process.number)

    async def lose_power(self) -> None:
        """End it with its whole machine: of the disk only what was made durable is certain."""
        self.process.kill(power_lost=True)
        self._history.fault("process.power", pid=self.process.number)

    async def died(self, *, limit_s: float = 20) -> None:
        """Wait until it is gone, by a fault that kills it. Raises ``DeadlineError``."""
        code = await self.exited(limit_s)
        self._history.fault("process.kill", exit=str(code))

    async def exited(self, limit_s: float) -> int:
        """Return its exit code once it is gone. Raises ``OverdueError``."""
        process = self.process
        try:
            async with asyncio.timeout(limit_s):
                await self.gone()
        except TimeoutError as error:
            raise OverdueError(f"the end of {process.name}", limit_s, "it still runs") from error
        assert process.exit_code is not None, "who is gone has left an exit code"
        return process.exit_code

    async def gone(self) -> None:
        """Wait until its process has ended, however long that takes."""
        here, gone = self._kernel.current, asyncio.Event()
        assert here is not None, "a simulated process waits for another"
        self.process.on_end.append(lambda _: self._kernel.deliver(here, gone.set))
        if self.process.is_alive:
            await gone.wait()

    def __repr__(self) -> str:
        return f"SimService({self._subject.name}, {self.process!r})"
