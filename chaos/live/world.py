"""The live world: real processes, real signals, real sockets, a real disk; one folder, one server, one subject a run.

* Everything is on a watchdog's undo list before it exists: it is undone also when this very process is killed.
* Leaving the world ends every process with all its descendants, closes what was opened, and removes the folder.
* Ports are chosen by the system; addresses are loopback; paths are inside the run's folder.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.errors import DeadlineError, OverdueError
from chaos.history import History
from chaos.live import foreign_files
from chaos.live.failpoints import Failpoints
from chaos.live.fault_choice import FaultChoice
from chaos.live.fault_proxy import LiveProxy
from chaos.live.hang_report import hang_report
from chaos.live.process import ChildProcess
from chaos.live.process_faults import Reins
from chaos.live.run_folder import RunFolder
from chaos.live.server import LiveServer
from chaos.live.service import LiveService, fault_of
from chaos.live.wall_clock import WallClock
from chaos.live.watchdog import Watchdog
from chaos.protocols import Site, StartLine, Subject, WorldKind
from chaos.seed import Seed
from chaos.worlds.hands import Hands
from chaos.worlds.looks import WorldLooks

START_LIMIT_S = 30.0
PROBE_LIMIT_S = 120.0
COMPLAINTS = (
    "exception was never retrieved",
    "was never awaited",
    "Task was destroyed but it is pending",
    "Exception ignored in",
    "Unhandled exception in event loop",
    "Fatal error on transport",
    "socket.send() raised exception",
)
"""What Python itself says of an exception that nobody took care of."""
LOG_SHOWN_LINES = 400
TEMPORARY = "tmp"  # What the subject makes in its temporary folder goes with the run's, also when it is killed.


@asynccontextmanager
async def open_live_world(
    subject: Subject, seed: Seed, choice: FaultChoice | None = None, *, first: str = ""
) -> AsyncIterator[LiveWorld]:
    """Open a world for one run; leaving it ends and removes everything in it. ``choice``: which faults happen.

    ``first`` is called in every Python process that the run starts, before its program (``chaos.live.bootstrap``).
    """
    async with AsyncExitStack() as stack:
        watchdog = await asyncio.to_thread(Watchdog.start)
        stack.push_async_callback(asyncio.to_thread, watchdog.close)
        folder = RunFolder.create(watchdog)
        stack.push_async_callback(asyncio.to_thread, folder.remove)
        history = History(time.monotonic_ns)
        server = await LiveServer.start(watchdog, folder.file("server.log"), history, choice)
        stack.push_async_callback(server.close)
        world = LiveWorld(subject, seed, folder, watchdog, server, history, choice, first=first)
        stack.push_async_callback(world.close)
        yield world


class LiveWorld(WorldLooks, Hands):
    """One run's place (see ``chaos.protocols.World``)."""

    kind = WorldKind.LIVE

    def __init__(
        self,
        subject: Subject,
        seed: Seed,
        folder: RunFolder,
        watchdog: Watchdog,
        server: LiveServer,
        history: History,
        choice: FaultChoice | None = None,
        *,
        first: str = "",
    ) -> None:
        super().__init__(subject, seed, history)
        self._choice = choice or FaultChoice()
        self.server = server
        self.site = Site(folder.path, server.url, {})
        self._folder, self._watchdog, self._first = folder, watchdog, first
        self._children: list[ChildProcess] = []
        self._started: ChildProcess | None = None
        self._proxy: LiveProxy | None = None
        self._log, self._stacks = folder.file("service.log"), folder.file("stacks.txt")

    async def start(
        self, *, failpoints: Mapping[str, str] | None = None, clock: WallClock | None = None, **settings: Any
    ) -> LiveService:
        """Start the subject (with its earlier settings and those given) and return it once it says that it runs.

        ``failpoints``: what happens at places that the subject knows by a word, or by a dotted name of its code.
        ``clock``: what it takes for the time of day. Raises ``DeadlineError`` and ``ProcessEndedError``.
        """
        self.site = replace(self.site, settings={**self.site.settings, **settings})
        self.history.observe("settings", **self.site.settings)
        operation = self.history.invoke("start")
        places = {place: self._target(place) for place in failpoints or {}}
        armed = self._armed({places[place]: terms for place, terms in self._admitted(failpoints or {}).items()})
        line = self.subject.start_line(self.site)
        if clock is not None:
            line = replace(line, environment={**line.environment, **clock.environment})
        process = await self._run(line, armed, stacks=self._stacks)
        self._started = process
        await process.announced(START_LIMIT_S)
        operation.ok(pid=process.pid)
        reins = Reins(process, self._folder, self._watchdog, self.history, self._choice)
        return LiveService(reins, self.subject, self.site, armed, places, self._draw)

    async def explain(self) -> str:
        """Return where the subject stands: its tasks and threads, what it holds, what it said, the last fault."""
        if self._started is None:
            return "nothing was started"
        return await hang_report(self._started, self._stacks, self.history)

    def _target(self, place: str) -> str:
        """Return the dotted name behind a place; a name like ``package.module:function`` is one already."""
        return place if "." in place.partition(":")[0] else self.subject.failpoint(place)

    async def start_another(self, **settings: Any) -> str:
        """Start one more on the same folders, which must end by itself; observe ``another`` and return what it said.

        Raises ``OverdueError`` when it does not end.
        """
        site = replace(self.site, settings={**self.site.settings, **settings})
        process = await self._run(self.subject.start_line(site), None, log="another.log")
        try:
            status = await process.exited(START_LIMIT_S)
        except DeadlineError as error:
            raise OverdueError("the end of a second service", START_LIMIT_S, error.seen) from error
        said = " ".join(process.log_tail())
        self.history.observe("another", exit=str(status), said=said)
        return said

    async def aside(self, module: str, *arguments: str) -> ChildProcess:
        """Run a Python module of the toolkit as a process of the world; its first line is to be JSON."""
        line = StartLine(module, arguments, {})
        return await self._run(line, None, log="aside.log")

    async def start_and_die(self, place: str) -> None:
        """Start the subject with a failpoint that kills it while it starts, and wait until it is gone."""
        target = self.subject.failpoint(place)
        armed = self._armed(self._admitted({target: "kill"}))
        process = await self._run(self.subject.start_line(self.site), armed, stacks=self._stacks)
        self._started = process
        if armed is None:
            await process.announced(START_LIMIT_S)
            process.send(signal.SIGTERM)
        await process.exited(START_LIMIT_S)
        fired = armed[target].fired if armed is not None else 0
        if fired:
            self.history.fault("failpoint.kill", place=place, times=fired)
            self.history.fault("process.kill", exit=str(process.status))

    def sample_reports(self, count: int) -> list[bytes]:
        """Return that many different reports with ids (as many as the run's workload allows), drawn from the seed."""
        return super().sample_reports(count if self._choice.workload is None else min(count, self._choice.workload))

    def plant_foreign_files(self) -> dict[str, str]:
        """Put files into pending/ that nobody of ours wrote, and return their names with their fingerprints."""
        planted = foreign_files.plant(self.folder("pending"))
        self.history.fault("disk.foreign_file", times=len(planted))
        return planted

    def observe_quarantine(self, planted: Mapping[str, str]) -> None:
        """Observe ``quarantine``: what became of files that were planted."""
        self.history.observe("quarantine", files=foreign_files.look(self.folder("quarantine"), planted))

    def file(self, name: str) -> Path:
        """Return the path of a file of the run; it need not exist."""
        return self._folder.file(name)

    def observe_remains(self) -> None:
        """Observe ``remains``: what is left of the subject's processes and sockets, and what it said last."""
        child = self._started
        assert child is not None, "something was started before one looks at what remains of it"
        survivors = [str(row) for row in child.survivors()]
        socket = [path for path in [Path(self.subject.ipc_address(self.site))] if path.exists()]
        ended = child.status is not None
        said = "\n".join(child.log_tail(LOG_SHOWN_LINES))
        self.history.observe("remains", ended=ended, processes=survivors, files=[str(p) for p in socket], said=said)

    async def proxied(self) -> LiveProxy:
        """Put a fault proxy between the subject and the server and return it; call it before the first start."""
        if self._proxy is None:
            log, seed = self._folder.file("proxy.log"), self.seed.child("proxy").number
            self._proxy = await LiveProxy.start(self._watchdog, log, self.history, self.server.url, seed, self._choice)
            self.site = replace(self.site, server_url=self._proxy.url)
        return self._proxy

    async def stored_at_server(self) -> set[str]:
        """Return the ids of the reports that the server has stored."""
        return {i for i, known in (await self.server.control.deliveries()).items() if known.stored}

    async def observe_deliveries(self) -> None:
        """Observe ``deliveries``, as the server knows them now."""
        await self.server.observe()

    async def probe(self, name: str, **arguments: Any) -> Mapping[str, Any]:
        """Run one of the subject's in-process probes as a process of its own and return what it reports."""
        process = await self._run(self.subject.probe_line(name, self.site, arguments), None)
        found = await process.announced(PROBE_LIMIT_S)
        await process.exited(START_LIMIT_S)
        return found

    def log_text(self) -> str:
        """Return the end of what the subject logged."""
        return "\n".join(self._started.log_tail(LOG_SHOWN_LINES)) if self._started else ""

    async def close(self) -> None:
        """End every process of the run with all its descendants. Idempotent; raises for what would not end."""
        self.history.observe("folders_at_end", reports=await self.all_kept())
        await self.server.tell_requests()
        text = self.log_text()
        self.history.observe("log", text=text, complaints=[line for line in text.splitlines() if _complains(line)])
        async with AsyncExitStack() as stack:
            for child in self._children:
                stack.push_async_callback(child.close)
            self._children.clear()
            if self._proxy is not None:
                stack.push_async_callback(self._proxy.close)

    def _admitted(self, failpoints: Mapping[str, str]) -> dict[str, str]:
        return {place: terms for place, terms in failpoints.items() if self._choice.admits(fault_of(terms))}

    def _armed(self, specifications: Mapping[str, str]) -> Failpoints | None:
        if not specifications:
            return None
        name = f"start-{len(self._children)}"
        return Failpoints(self.site.folder, specifications, name=name, seed=self.seed.number)

    async def _run(
        self, line: StartLine, failpoints: Failpoints | None, *, log: str = "", stacks: Path | None = None
    ) -> ChildProcess:
        process = await ChildProcess.start(
            [sys.executable, "-m", line.module, *line.arguments],
            watchdog=self._watchdog,
            log=self._folder.file(log) if log else self._log,
            name=self.subject.name,
            env={**line.environment, "TMPDIR": str(self._folder.folder(TEMPORARY))},
            cwd=self.site.folder,
            failpoints=failpoints,
            announces=True,
            stacks=stacks,
            first=self._first,
        )
        self._children.append(process)
        return process

    def __repr__(self) -> str:
        return f"LiveWorld({self.subject.name}, {len(self._children)} processes, {self.history!r})"


def _complains(line: str) -> bool:
    return any(words in line for words in COMPLAINTS)
