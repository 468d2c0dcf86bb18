"""The live world: real processes, real signals, real sockets, a real disk; one folder, one server, one subject a run.

* Everything is on a watchdog's undo list before it exists: it is undone also when this very process is killed.
* Leaving the world ends every process with all its descendants, closes what was opened, and removes the folder.
* Ports are chosen by the system; addresses are loopback; paths are inside the run's folder.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from chaos.history import History, Kind
from chaos.live.failpoints import Failpoints
from chaos.live.process import ChildProcess
from chaos.live.run_folder import RunFolder
from chaos.live.server import LiveServer
from chaos.live.service import LiveService, until
from chaos.live.watchdog import Watchdog
from chaos.protocols import KeptReport, Site, StartLine, Subject, WorldKind
from chaos.sample_reports import report_id, sample_report
from chaos.seed import Seed

T = TypeVar("T")
START_LIMIT_S = 30.0
PROBE_LIMIT_S = 120.0
LOG_SHOWN_LINES = 400


@asynccontextmanager
async def open_live_world(subject: Subject, seed: Seed) -> AsyncIterator[LiveWorld]:
    """Open a world for one run; leaving it ends and removes everything in it."""
    async with AsyncExitStack() as stack:
        watchdog = await asyncio.to_thread(Watchdog.start)
        stack.push_async_callback(asyncio.to_thread, watchdog.close)
        folder = RunFolder.create(watchdog)
        stack.push_async_callback(asyncio.to_thread, folder.remove)
        history = History(time.monotonic_ns)
        server = await LiveServer.start(watchdog, folder.file("server.log"), history)
        stack.push_async_callback(server.close)
        world = LiveWorld(subject, seed, folder, watchdog, server, history)
        stack.push_async_callback(world.close)
        yield world


class LiveWorld:
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
    ) -> None:
        self.subject, self.seed, self.server, self.history = subject, seed, server, history
        self.site = Site(folder.path, server.url, {})
        self._folder, self._watchdog = folder, watchdog
        self._reports: random.Random = seed.stream("reports")
        self._children: list[ChildProcess] = []
        self._log = folder.file("service.log")

    async def start(self, *, failpoints: Mapping[str, str] | None = None, **settings: Any) -> LiveService:
        """Start the subject (with its earlier settings and those given) and return it once it says that it runs.

        ``failpoints``: what happens at places that the subject knows by a word. Raises ``DeadlineError`` and
        ``ProcessEndedError``.
        """
        self.site = replace(self.site, settings={**self.site.settings, **settings})
        self.history.observe("settings", **self.site.settings)
        operation = self.history.invoke("start")
        places = {place: self.subject.failpoint(place) for place in failpoints or {}}
        armed = self._armed({places[place]: terms for place, terms in (failpoints or {}).items()})
        process = await self._run(self.subject.start_line(self.site), armed)
        await process.announced(START_LIMIT_S)
        operation.ok(pid=process.pid)
        return LiveService(process, self.subject, self.site, self.history, armed, places, self._draw)

    def sample_reports(self, count: int) -> list[bytes]:
        """Return that many different reports with ids, drawn from the seed."""
        return [self._draw() for _ in range(count)]

    def sample_report_of(self, size_bytes: int) -> bytes:
        """Return a report with an id that is about that large."""
        return sample_report(self._reports, size_bytes=size_bytes)

    def report_id(self, body: bytes) -> str:
        """Return the id that a report carries."""
        return report_id(body)

    async def until(
        self, ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str, limit_s: float
    ) -> T:
        """Ask again and again until the answer is as wished, and return it. Raises ``OverdueError`` with the last."""
        return await until(ask, holds, what, limit_s)

    async def kept(self, folder: str) -> Sequence[KeptReport]:
        """Return the reports in one of the subject's folders, read from the disk now."""
        return await asyncio.to_thread(self.subject.kept_reports, self.site, folder)

    async def converge(self, limit_s: float) -> None:
        """Wait until every accepted report is at the server and none is in pending/, or the limit; then observe."""
        done = (op.value["report_id"] for op in self.history.operations("submit") if op.outcome is Kind.OK)
        accepted = set(done)
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            there = {i for i, known in (await self.server.control.deliveries()).items() if known.stored}
            if accepted <= there and not await self.kept("pending"):
                break
            await asyncio.sleep(0.05)
        await self.observe()

    async def observe(self) -> None:
        """Observe ``folders`` (on the disk) and then ``deliveries`` (at the server), as they are now."""
        found = await asyncio.to_thread(self._kept)
        self.history.observe("folders", reports=found)
        await self.server.observe()

    async def probe(self, name: str, **arguments: Any) -> Mapping[str, Any]:
        """Run one of the subject's in-process probes as a process of its own and return what it reports."""
        process = await self._run(self.subject.probe_line(name, self.site, arguments), None)
        found = await process.announced(PROBE_LIMIT_S)
        await process.exited(START_LIMIT_S)
        return found

    def log_text(self) -> str:
        """Return the end of what the subject logged."""
        return "\n".join(self._children[-1].log_tail(LOG_SHOWN_LINES)) if self._children else ""

    async def close(self) -> None:
        """End every process of the run with all its descendants. Idempotent; raises for what would not end."""
        self.history.observe("log", text=self.log_text())
        async with AsyncExitStack() as stack:
            for child in self._children:
                stack.push_async_callback(child.close)
            self._children.clear()

    def _draw(self) -> bytes:
        return sample_report(self._reports)

    def _armed(self, specifications: Mapping[str, str]) -> Failpoints | None:
        if not specifications:
            return None
        name = f"start-{len(self._children)}"
        return Failpoints(self.site.folder, specifications, name=name, seed=self.seed.number)

    async def _run(self, line: StartLine, failpoints: Failpoints | None) -> ChildProcess:
        process = await ChildProcess.start(
            [sys.executable, "-m", line.module, *line.arguments],
            watchdog=self._watchdog,
            log=self._log,
            name=self.subject.name,
            env=line.environment,
            cwd=self.site.folder,
            failpoints=failpoints,
            announces=True,
        )
        self._children.append(process)
        return process

    def _kept(self) -> list[dict[str, Any]]:
        return [
            {"folder": folder, "report_id": r.report_id, "sha256": r.sha256, "attempts": r.attempts}
            for folder in self.subject.folders
            for r in self.subject.kept_reports(self.site, folder)
        ]

    def __repr__(self) -> str:
        return f"LiveWorld({self.subject.name}, {len(self._children)} processes, {self.history!r})"
