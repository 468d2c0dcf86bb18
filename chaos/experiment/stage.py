"""The place of one experiment: its folder, server, proxy and subject, all of it on the undo list before it exists."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from chaos.errors import ChaosError, DeadlineError, ProcessEndedError
from chaos.experiment.document import Document
from chaos.experiment.model import Experiment, Ready, Rollback, program_of
from chaos.experiment.terms import filled
from chaos.history import History, Running
from chaos.live.fault_proxy import LiveProxy
from chaos.live.process import ChildProcess, ExitStatus
from chaos.live.run_folder import RunFolder
from chaos.live.server import LiveServer
from chaos.live.watchdog import Watchdog
from chaos.seed import Seed

ANSWER_LIMIT_S = 5.0
END_LIMIT_S = 10.0
LOG_LINES = 4000


@asynccontextmanager
async def open_stage(experiment: Experiment, document: Document, seed: Seed, history: History) -> AsyncIterator[Stage]:
    """Open the place of one run; leaving it runs the rollback, ends every process and removes the folder."""
    async with AsyncExitStack() as stack:
        watchdog = await asyncio.to_thread(Watchdog.start)
        stack.push_async_callback(asyncio.to_thread, watchdog.close)
        folder = RunFolder.create(watchdog)
        stack.push_async_callback(asyncio.to_thread, folder.remove)
        server = await LiveServer.start(watchdog, folder.file("server.log"), history)
        stack.push_async_callback(server.close)
        proxy = None
        if experiment.has_proxy:
            log, number = folder.file("proxy.log"), seed.child("proxy").number
            proxy = await LiveProxy.start(watchdog, log, history, server.url, number)
            stack.push_async_callback(proxy.close)
        stage = Stage(experiment, document, seed, history, folder, watchdog, server, proxy)
        stack.push_async_callback(stage.close)
        yield stage


class Stage:
    """What a run works on. Its coroutines belong to one event loop."""

    def __init__(
        self,
        experiment: Experiment,
        document: Document,
        seed: Seed,
        history: History,
        folder: RunFolder,
        watchdog: Watchdog,
        server: LiveServer,
        proxy: LiveProxy | None,
    ) -> None:
        self.experiment, self.document, self.seed, self.history = experiment, document, seed, history
        self.server, self.proxy = server, proxy
        self.accepted: dict[str, str] = {}
        self.troubles: list[str] = []
        self.ended: ExitStatus | None = None
        self.left: list[str] = []
        self.process: ChildProcess | None = None
        self._folder, self._watchdog, self._log = folder, watchdog, folder.file("subject.log")
        self._children: list[ChildProcess] = []
        self._is_meant_to_run = False
        trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # Loopback speaks no TLS; loading roots is slow.
        self.http = httpx.AsyncClient(timeout=ANSWER_LIMIT_S, trust_env=False, verify=trusting_nobody)
        self._values = {
            "data": str(folder.folder("data")),
            "server": proxy.url if proxy else server.url,
            "port": str(_free_port()),
            "here": str(document.path.resolve().parent),
        }
        for path in experiment.subject.folders.values():
            Path(self.filled(path)).mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"Stage({self.document.path.name}, {len(self._children)} processes, {len(self.accepted)} accepted)"

    def filled(self, text: str) -> str:
        """Return the text with its placeholders replaced."""
        return filled(text, self._values)

    def folder(self, name: str) -> Path:
        """Return one of the subject's folders."""
        return Path(self.filled(self.experiment.subject.folders[name]))

    async def start(self) -> None:
        """Start the subject and return once it is ready. Raises ``DeadlineError`` and ``ProcessEndedError``."""
        subject, operation = self.experiment.subject, self.history.invoke("start")
        said_before = len(self.log_text())
        environment = {name: self.filled(value) for name, value in subject.environment.items()}
        self.process = await self._run(subject.start, self._log, environment)
        await self.process.ready(lambda: self._is_ready(subject.ready, said_before), subject.ready.within)
        self._is_meant_to_run = True
        operation.ok(pid=self.process.pid)

    async def command(self, argv: Sequence[str], limit_s: float) -> tuple[ExitStatus, str]:
        """Run a command of the experiment to its end; return how it ended and its last line. Raises as ``exited``."""
        log = self._folder.file(f"command-{len(self._children)}.log")
        process = await self._run(argv, log, {})
        try:
            status = await process.exited(limit_s)
            return status, (process.log_tail(1) or ["nothing"])[0][:200]
        finally:
            await process.close()
            self._children.remove(process)

    async def stop(self) -> None:
        """Tell the subject to stop, as the experiment says, and note how it ended and what it left behind."""
        if self.process is None or self.process.status is not None:
            return
        subject, operation = self.experiment.subject, self.history.invoke("stop", signal=self.experiment.subject.stop)
        self._is_meant_to_run = False
        self.process.send(signal.Signals[subject.stop])
        try:
            self.ended = await self.process.exited(subject.stop_within)
        except DeadlineError as error:
            operation.unknown()
            self.troubles.append(f"the subject did not end within {subject.stop_within:g} s: {error.seen}")
            return
        operation.ok(exit=str(self.ended))
        self.left = [str(row) for row in self.process.survivors()]

    async def signalled(self, name: str, number: signal.Signals, *, is_the_end: bool) -> None:
        """Send the subject a signal as a fault; if that is its end, wait for it and end what it left.

        Raises ``ProcessEndedError`` when it has ended already. One that does not end is a trouble of the run.
        """
        assert self.process is not None, "a fault comes after the start"
        self.process.send(number)
        self.history.fault(name, signal=number.name)
        if not is_the_end:
            return
        self._is_meant_to_run = False
        try:
            await self.process.exited(self.experiment.subject.stop_within)
        except DeadlineError as error:
            self.troubles.append(str(error))
            return
        await self.process.close()

    async def come_back(self) -> None:
        """Start the subject again if it does not run; a subject that does not get ready is a trouble of the run."""
        if self.process is None or self.process.status is None or self._is_meant_to_run:
            return
        try:
            await self.start()
        except (DeadlineError, ProcessEndedError) as error:
            self.troubles.append(str(error))

    def note_its_end(self) -> None:
        """Note as a trouble that the subject ended although nobody ended it."""
        if self._is_meant_to_run and self.process is not None and self.process.status is not None:
            self.troubles.append(f"the subject ended by itself: {self.process.describe()}")
            self._is_meant_to_run = False

    def accept(self, report_id: str, body: bytes, operation: Running) -> None:
        """Write that the subject has taken a report over."""
        self.accepted[report_id] = hashlib.sha256(body).hexdigest()
        operation.ok(report_id=report_id)

    def aside(self, name: str) -> Path:
        """Return a path in the folder of the run, beside the subject's data."""
        return self._folder.file(name)

    def log_text(self) -> str:
        """Return what the subject has said so far (its last 4,000 lines at most)."""
        if self.process is None:
            return ""
        return "\n".join(self.process.log_tail(LOG_LINES))

    async def answer(self, url: str) -> int | None:
        """Ask a URL of the subject and return the status, None when there was no answer."""
        try:
            return (await self.http.get(self.filled(url))).status_code
        except httpx.TransportError:
            return None

    async def close(self) -> None:
        """Run the rollback, then end every process with its family. Raises what would not end."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.http.aclose)
            for child in self._children:
                stack.push_async_callback(child.close)
            for part in reversed(self.experiment.rollback):
                stack.push_async_callback(self._roll_back, part)
        self._children.clear()

    async def _roll_back(self, part: Rollback) -> None:
        words = " ".join(map(self.filled, part.run))
        try:
            status, said = await self.command(part.run, part.within)
        except ChaosError as error:
            self.troubles.append(f"rollback `{words}`: {error}")
            return
        self.history.observe("rollback", command=words, exit=str(status))
        if status.code != 0:
            self.troubles.append(f"rollback `{words}`: {status}, said {said}")

    async def _run(self, argv: Sequence[str], log: Path, environment: dict[str, str]) -> ChildProcess:
        program = program_of(argv[0], self.document.path)
        process = await ChildProcess.start(
            [self.filled(program), *map(self.filled, argv[1:])],
            watchdog=self._watchdog,
            log=log,
            name=Path(program).name,
            env=environment,
            cwd=Path(self._values["data"]),
        )
        self._children.append(process)
        return process

    async def _is_ready(self, ready: Ready, said_before: int) -> bool:
        if ready.http is not None:
            return await self.answer(ready.http) in range(200, 300)
        if ready.file is not None:
            return os.path.exists(self.filled(ready.file))  # noqa: ASYNC240 - a look at one name
        if ready.says is not None:
            return ready.says in self.log_text()[said_before:]
        assert ready.tcp is not None, "it is one of the four"
        return await _connects(self.filled(ready.tcp))


async def _connects(url: str) -> bool:
    parts = httpx.URL(url)
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            _, writer = await asyncio.open_connection(parts.host, parts.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _free_port() -> int:
    """Return a port on which nobody listens now; the subject gets the same one at each start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
