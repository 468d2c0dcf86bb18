"""The faults of an experiment: each waits for its moment, happens, is undone, and says whether it really fired."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from chaos.errors import DeadlineError, ProcessEndedError
from chaos.experiment.model import Fault, ProcessFault, toxic_of
from chaos.experiment.stage import Stage
from chaos.experiment.terms import Moment, When
from chaos.live import process_table
from chaos.live.process import ChildProcess

DOWN_S = 1.0
WAIT_S = 1.0
ENDING = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
EVENTS = {When.REQUESTS: "request_started", When.ANSWERS: "answered"}


class FaultPlayer:
    """Plays the faults of one run. ``silent`` gives for the number of a fault why it never fired."""

    def __init__(self, stage: Stage, after: int) -> None:
        self._stage, self._after = stage, after
        self._server_lock, self._process_lock = asyncio.Lock(), asyncio.Lock()
        self.silent: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"FaultPlayer({len(self._stage.experiment.fault)} faults, {len(self.silent)} silent)"

    async def play(self, number: int) -> None:
        """Play one fault to its end. Raises ``ExperimentError`` when it names something that is not there."""
        fault = self._stage.experiment.fault[number]
        limit_s = self._stage.experiment.workload.within
        try:
            await self._moment(fault.at, limit_s)
            if fault.proxy is not None:
                await self._proxy(fault, limit_s)
            elif fault.server == "down":
                await self._server_down(fault)
            elif fault.server is not None:
                await self._server_rule(fault, limit_s)
            else:
                async with self._process_lock:
                    await self._process(fault, number)
        except (DeadlineError, ProcessEndedError) as error:
            self.silent[number] = str(error)

    async def _moment(self, at: Moment, limit_s: float) -> None:
        if at.when is When.TIME:
            await asyncio.sleep(at.after_s)
        elif at.when is not When.ONCE:
            await self._events(EVENTS[at.when], at.count, self._after, limit_s)

    async def _events(self, kind: str, count: int, after: int, limit_s: float) -> None:
        """Wait until the server has had so many events of a kind. Raises ``DeadlineError``."""
        seen, loop = 0, asyncio.get_running_loop()
        deadline = loop.time() + limit_s
        while seen < count:
            if loop.time() >= deadline:
                raise DeadlineError(f"{count} × {kind} at the server", limit_s, f"{seen} of them")
            for event in await self._stage.server.control.events(after, kind=kind, wait_s=WAIT_S):
                after, seen = event.seq, seen + 1

    async def _proxy(self, fault: Fault, limit_s: float) -> None:
        assert fault.proxy is not None, "a toxic is named"
        assert self._stage.proxy is not None, "a stage has the proxy that a fault needs"
        settings = toxic_of(fault.proxy)
        async with self._stage.proxy.toxic(
            settings.type, stream=settings.stream, toxicity=settings.toxicity, **settings.attributes
        ) as name:
            await self._stage.proxy.fired(name, fault.times, limit_s=limit_s)
            await asyncio.sleep(fault.lasts or 0)

    async def _server_rule(self, fault: Fault, limit_s: float) -> None:
        """Let the server misbehave. One rule at a time: a server's rules are replaced as a whole."""
        assert isinstance(fault.server, dict), "a rule is a table"
        async with self._server_lock:
            server = self._stage.server
            before = await server.control.events(self._after)
            await server.misbehave({**fault.server, "times": fault.times})
            try:
                await self._events("rule_fired", fault.times, before[-1].seq if before else self._after, limit_s)
                await asyncio.sleep(fault.lasts or 0)
            finally:
                await server.misbehave()

    async def _server_down(self, fault: Fault) -> None:
        await self._stage.server.go_down()
        try:
            await asyncio.sleep(fault.lasts or DOWN_S)
        finally:
            await self._stage.server.come_up()

    async def _process(self, fault: Fault, number: int) -> None:
        told, process = fault.process, self._stage.process
        assert told is not None, "what is done to the process is named"
        assert process is not None, "a fault comes after the start"
        if told.of is not None:
            await self._chosen(told, number, process)
        elif told.pause is not None:
            await process.pause()
            self._stage.history.fault("process.pause")
            try:
                await asyncio.sleep(told.pause)
            finally:
                process.resume()
                self._stage.history.healed("process.pause")
        else:
            number_sent = _signal(told)
            await self._stage.signalled(fault.label, number_sent, is_the_end=number_sent in ENDING)
            if told.restart:
                await self._stage.come_back()

    async def _chosen(self, told: ProcessFault, number: int, process: ChildProcess) -> None:
        """Signal the processes of the subject's family that are meant; none is an error of the experiment."""
        assert told.of is not None, "somebody is meant"
        family = [process_table.read_row(process.pid), *process.survivors()]
        rows = [row for row in family if row is not None and told.of in _command_line(row.pid)]
        if not rows:
            lines = [_command_line(row.pid) for row in family if row is not None]
            advice = "choose words of a command line that is there"
            place = ("fault", number, "process", "of")
            expected = f"a process of the subject with {told.of!r} in its command line"
            raise self._stage.document.complaint(place, expected, f"only {lines}", advice)
        numbers = (signal.SIGSTOP,) if told.pause is not None else (_signal(told),)
        sent = sum(process_table.send_signal(row.pid, row.started, one) for row in rows for one in numbers)
        name = self._stage.experiment.fault[number].label
        if not sent:
            raise ProcessEndedError(f"a process with {told.of!r} in its command line alive", "all have ended")
        self._stage.history.fault(name, of=told.of, times=sent)
        if told.pause is not None:
            try:
                await asyncio.sleep(told.pause)
            finally:
                for row in rows:
                    process_table.send_signal(row.pid, row.started, signal.SIGCONT)
                self._stage.history.healed(name)


def _signal(told: ProcessFault) -> signal.Signals:
    return signal.SIGKILL if told.kill is not None or told.signal is None else signal.Signals[told.signal]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
