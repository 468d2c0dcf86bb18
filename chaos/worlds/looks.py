"""A world's looks at the subject's folders and at the server, its sample reports, and the wait for convergence."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from chaos.history import History, Kind
from chaos.protocols import KeptReport, Site, Subject
from chaos.sample_reports import report_id, sample_report
from chaos.seed import Seed
from chaos.worlds.waiting import until

T = TypeVar("T")
LOOK_PAUSE_S = 0.05


class WorldLooks(ABC):
    """What a world does the same wherever it is; a world adds how its subject and its server run."""

    site: Site
    look_pause_s = LOOK_PAUSE_S

    def __init__(self, subject: Subject, seed: Seed, history: History) -> None:
        self.subject, self.seed, self.history = subject, seed, history
        self._reports: random.Random = seed.stream("reports")

    @abstractmethod
    async def stored_at_server(self) -> set[str]:
        """Return the ids of the reports that the server has stored."""

    @abstractmethod
    async def observe_deliveries(self) -> None:
        """Observe ``deliveries``, as the server knows them now."""

    def sample_reports(self, count: int) -> list[bytes]:
        """Return that many different reports with ids, drawn from the seed."""
        return [self._draw() for _ in range(count)]

    def sample_report_of(self, size_bytes: int) -> bytes:
        """Return a report with an id that is that large, or larger where its contents need it."""
        return sample_report(self._reports, size_bytes=size_bytes)

    def report_id(self, body: bytes) -> str:
        """Return the id that a report carries."""
        return report_id(body)

    async def until(self, ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str, limit_s: float) -> T:
        """Ask again and again until the answer is as wished, and return it. Raises ``OverdueError`` with the last."""
        return await until(ask, holds, what, limit_s, pause_max_s=self.look_pause_s)

    async def kept(self, folder: str) -> Sequence[KeptReport]:
        """Return the reports in one of the subject's folders, read from the disk now."""
        return await asyncio.to_thread(self.subject.kept_reports, self.site, folder)

    async def all_kept(self) -> list[Mapping[str, Any]]:
        """Return the reports in all folders, as facts for the history."""
        return [_as_fact(folder, report) for folder in self.subject.folders for report in await self.kept(folder)]

    async def converge(self, limit_s: float) -> None:
        """Wait until every accepted report is at the server and none is in pending/, or the limit; then observe."""
        done = (op.value["report_id"] for op in self.history.operations("submit") if op.outcome is Kind.OK)
        accepted, now = set(done), asyncio.get_running_loop().time
        ends_at = now() + limit_s
        while now() < ends_at:
            if accepted <= await self.stored_at_server() and not await self.kept("pending"):
                break
            await asyncio.sleep(self.look_pause_s)
        await self.observe()

    async def observe(self) -> None:
        """Observe ``folders`` (on the disk) and then ``deliveries`` (at the server), as they are now."""
        self.history.observe("folders", reports=await self.all_kept())
        await self.observe_deliveries()

    def _draw(self) -> bytes:
        return sample_report(self._reports)


def _as_fact(folder: str, report: KeptReport) -> Mapping[str, Any]:
    return {
        "folder": folder,
        "report_id": report.report_id,
        "sha256": report.sha256,
        "attempts": report.attempts,
    }
