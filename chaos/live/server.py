"""The WATS server of a live world: a process of its own, told what to do over its control port."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.errors import DeadlineError, OverdueError
from chaos.history import History
from chaos.live.process import ChildProcess
from chaos.live.watchdog import Watchdog
from chaos.live.wats_server import MODULE, Announcement, WatsServerClient

START_LIMIT_S = 20.0


class LiveServer:
    """A running server. Start it with ``LiveServer.start``; ``close`` ends it."""

    def __init__(self, process: ChildProcess, announcement: Announcement, history: History) -> None:
        self.url = announcement.data_url
        self.control = WatsServerClient(announcement.control_url)
        self._process, self._history = process, history
        self._told_at = self._faults_until = 0

    @classmethod
    async def start(cls, watchdog: Watchdog, log: Path, history: History) -> LiveServer:
        """Start a server on ports that the system chooses, and return it once it listens."""
        line = [sys.executable, "-m", MODULE, "--announce", "-"]
        process = await ChildProcess.start(line, watchdog=watchdog, log=log, name="WATS server", announces=True)
        try:
            return cls(process, Announcement(**await process.announced(START_LIMIT_S)), history)
        except BaseException:
            await process.close()
            raise

    async def misbehave(self, *rules: Mapping[str, Any]) -> None:
        """Replace the rules (none: behave); they hold from the moment this returns."""
        await self.write_faults()
        self._told_at = await self.control.set_rules(rules)

    async def saw(self, event: str, *, report_id: str | None = None, limit_s: float = 20) -> None:
        """Return once the server has seen the event since the last ``misbehave``. Raises ``OverdueError``."""
        try:
            await self.control.wait_for(event, report_id=report_id, after=self._told_at, deadline_s=limit_s)
        except DeadlineError as error:
            raise OverdueError(f"at the server: {error.what}", limit_s, error.seen) from error
        await self.write_faults()

    async def go_down(self) -> None:
        """Stop listening and cut open connections, as a server that is switched off."""
        await self.control.listen(on=False)
        self._history.fault("server.down")

    async def come_up(self) -> None:
        """Listen again at the same port."""
        await self.control.listen(on=True)
        self._history.healed("server.down")

    async def write_faults(self) -> None:
        """Write into the history what the server has done wrong since this was last called."""
        for event in await self.control.events(self._faults_until, kind="rule_fired"):
            detail = dict(event.detail)
            self._history.fault(f"server.{detail.pop('action')}", report_id=event.report_id, **detail)
            self._faults_until = event.seq

    async def observe(self) -> None:
        """Observe ``deliveries``: per report id how often it came, with what effect, and the hash of what is kept."""
        await self.write_faults()
        reports = {
            report_id: {
                "deliveries": known.deliveries,
                "effects": known.effects,
                "sha256": known.sha256[-1] if known.sha256 else None,
            }
            for report_id, known in (await self.control.deliveries()).items()
            if known.stored
        }
        self._history.observe("deliveries", reports=reports)

    async def close(self) -> None:
        """End the server's process."""
        await self.control.aclose()
        await self._process.close()

    def __repr__(self) -> str:
        return f"LiveServer({self.url}, {self._process!r})"
