"""Everything that one simulated run stands on, put together: kernel, clock, network, disk, seams, log, trace.

* Three hosts' worth of world: the *station*, where the subject and the tester live, and ``wats``, where the server is.
* Used as a context manager around the whole run: inside it the seams are in force, after it nothing is left.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.history import History
from chaos.seed import Seed
from chaos.sim.choices import Script
from chaos.sim.clock import Clock
from chaos.sim.disk import add_disk
from chaos.sim.disk.faults import Rule
from chaos.sim.disk_looks import DiskLooks
from chaos.sim.entropy import Entropy
from chaos.sim.escapes import Escapes
from chaos.sim.failpoints import FailpointSeam
from chaos.sim.kernel import SimKernel
from chaos.sim.net import NetworkSeam, SimulatedNetwork
from chaos.sim.output import Output
from chaos.sim.process_calls import ProcessCalls
from chaos.sim.run_log import RunLog
from chaos.sim.seams import Seam
from chaos.sim.threads import Threads
from chaos.sim.verdicts import DeadlockError, OvertimeError
from chaos.storage import EXT4_ORDERED, POSIX, XFS
from chaos.trial import Trial

STATION = "station"
FOLDER = Path("/station")
OVERTIME_NS = 48 * 3600 * 1_000_000_000
TRACE_LINES_MAX = 200_000
DISK_FAULTS_TOLD = 20
PERSISTENCE = (EXT4_ORDERED, POSIX, XFS)
"""What a power loss may take, by the seed: the kindest file system first."""


class Stage:
    """One run's kernel with everything plugged in. ``keeps_trace``: remember every step, for a person."""

    def __init__(self, trial: Trial, *, keeps_trace: bool = False) -> None:
        self.folder = FOLDER
        self.failpoints, self.clock, self.log = FailpointSeam(), Clock(), RunLog()
        self.escapes = Escapes()
        seams: list[Seam] = [self.escapes, self.log, Output(self.log), self.clock, Entropy(), Threads(), ProcessCalls()]
        seams.append(self.failpoints)
        script = Script(calmed=trial.zeroed)
        self.kernel = SimKernel(Seed(trial.seed), policy=trial.policy, script=script, seams=seams)
        self.disk = add_disk(self.kernel)
        persistence = PERSISTENCE[self.kernel.choices.below("disk/model", len(PERSISTENCE))]
        self.volume = self.disk.mount(self.folder, persistence=persistence)
        self.disk_looks = DiskLooks(self.volume)
        self.network = SimulatedNetwork(self.kernel, report=self._network_fault, socket_files=self.disk)
        self.kernel.network = self.network
        self.kernel.seams.append(NetworkSeam(self.network))
        self.history = History(lambda: self.kernel.now_ns)
        self.disk.faults.on_fired.append(self._disk_fault)
        self._trace: list[str] = []
        if keeps_trace:
            self.kernel.recorder = self._record

    def __enter__(self) -> Self:
        self.kernel.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kernel.__exit__(kind, error, at)

    def drive(self, tester: Callable[[], Awaitable[None]]) -> None:
        """Run ``tester`` as a process of the station until it ends or stops the kernel.

        Raises ``DeadlockError``, ``LivelockError``, ``OvertimeError``, and whatever else ended the tester.
        """
        self.network.place("tester", STATION)
        process = self.kernel.start("tester", tester)
        self.kernel.run(until_ns=OVERTIME_NS, stop_when=lambda: not process.is_alive)
        if process.error is not None:
            raise process.error
        if process.is_alive and not self.kernel.is_stopping:
            if self.kernel.now_ns >= OVERTIME_NS:
                raise OvertimeError(OVERTIME_NS / 1e9, self.kernel.waiting())
            raise DeadlockError(self.kernel.now_ns / 1e9, self.kernel.waiting())

    def look(self, *more: Callable[[], None]) -> None:
        """Observe what no scenario asks for: warnings and errors that were logged, failures that nobody took, ``more``.

        ``more`` observe what others have seen (the server its requests).
        """
        for observe in more:
            observe()
        self.history.observe("logged", records=self.log.as_facts(logging.WARNING))
        unhandled = [
            {"process": process.name, "message": str(context.get("message")), "error": repr(context.get("exception"))}
            for process in self.kernel.processes
            for context in process.unhandled
        ]
        ended = [
            {"process": process.name, "message": "ended by an error", "error": process.traceback()}
            for process in self.kernel.processes
            if process.error is not None
        ]
        escaped = [{"process": "", "message": "an escape", "error": str(error)} for error in self.escapes.found]
        failures = [*unhandled, *ended, *escaped]
        self.history.observe("unhandled", failures=failures)
        complaints = [f"{failure['process']}: {failure['message']}: {failure['error']}" for failure in failures]
        self.history.observe("log", text=self.log.text(), complaints=complaints)

    def trace_text(self) -> str:
        """Return the steps that were kept, a line each."""
        return "\n".join(self._trace)

    def _record(self, step: int, now_ns: int, what: str) -> None:
        self.disk_looks.look(now_ns)
        if len(self._trace) < TRACE_LINES_MAX:
            self._trace.append(f"{step:7} {now_ns / 1e9:14.6f} {what}")

    def _network_fault(self, name: str, has_begun: bool, facts: Mapping[str, Any]) -> None:
        write = self.history.fault if has_begun else self.history.healed
        write(name, **facts)

    def _disk_fault(self, rule: Rule, call: str, path: str) -> None:
        if rule.fired <= DISK_FAULTS_TOLD:
            self.history.fault("disk.fault", call=call, path=path, effect=str(rule.effect))

    def __repr__(self) -> str:
        return f"Stage({self.kernel!r})"
