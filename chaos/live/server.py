"""The WATS server of a live world: a process of its own, told what to do over its control port."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.errors import ChaosError
from chaos.history import History
from chaos.live.fault_choice import FaultChoice
from chaos.live.process import ChildProcess
from chaos.live.watchdog import Watchdog
from chaos.live.wats_server import MODULE, Announcement, WatsServerClient
from chaos.wats_server.events import EventKind
from chaos.worlds.request_facts import observe_requests
from chaos.worlds.server_calls import ServerCalls
from chaos.worlds.waiting import until

START_LIMIT_S = 20.0
log = logging.getLogger(__name__)


class LiveServer(ServerCalls):
    """A running server. Start it with ``LiveServer.start``; ``close`` ends it. ``choice``: which faults happen."""

    def __init__(
        self, process: ChildProcess, announcement: Announcement, history: History, choice: FaultChoice | None = None
    ) -> None:
        super().__init__(history)
        self._choice = choice or FaultChoice()
        self._is_tamed = self._stays_up = False
        self.url = announcement.data_url
        self.control = WatsServerClient(announcement.control_url)
        self._process = process

    @classmethod
    async def start(
        cls, watchdog: Watchdog, log: Path, history: History, choice: FaultChoice | None = None
    ) -> LiveServer:
        """Start a server on ports that the system chooses, and return it once it listens."""
        line = [sys.executable, "-m", MODULE, "--announce", "-"]
        process = await ChildProcess.start(line, watchdog=watchdog, log=log, name="WATS server", announces=True)
        try:
            return cls(process, Announcement(**await process.announced(START_LIMIT_S)), history, choice)
        except BaseException:
            await process.close()
            raise

    async def set_rules(self, rules: Sequence[Mapping[str, Any]]) -> int:
        """Replace the rules; return the number of the event that marks the change."""
        chosen = [self._choice.chosen(f"server.{rule.get('action')}", rule) for rule in rules]
        kept = [rule for rule in chosen if rule is not None]
        self._is_tamed = bool(rules) and not kept
        return await self.control.set_rules(kept)

    async def wait_for(self, event: str, report_id: str | None, after: int, limit_s: float) -> None:
        """Return once there is such an event above ``after``. Raises ``DeadlineError``."""
        if self._is_tamed and event == EventKind.RULE_FIRED:
            return  # The rules that could fire are left out of this run.
        await self.control.wait_for(event, report_id=report_id, after=after, deadline_s=limit_s)

    async def received(self, report_id: str, *, times: int = 1, effect: int | None = None, limit_s: float = 20) -> None:
        """Return once the report was delivered that often, and stored ``effect`` times if that is given.

        Raises ``OverdueError`` with the deliveries that there were.
        """

        async def counts() -> tuple[int, int]:
            known = (await self.deliveries()).get(report_id)
            return (known.deliveries, known.effects) if known else (0, 0)

        what = f"{times} deliveries of {report_id}" + ("" if effect is None else f", of effect {effect}")
        await until(counts, lambda found: found[0] == times and effect in (None, found[1]), what, limit_s)

    async def go_down(self) -> None:
        """Stop listening and cut open connections, unless that fault is left out of this run."""
        self._stays_up = not self._choice.admits("server.down")
        if not self._stays_up:
            await super().go_down()

    async def come_up(self) -> None:
        """Listen again at the same port."""
        if not self._stays_up:
            await super().come_up()

    async def listen(self, *, on: bool) -> None:
        """Open or close the data port; closing cuts its connections."""
        await self.control.listen(on=on)

    async def rules_fired(self, after: int) -> Sequence[Any]:
        """Return the events above ``after`` that say that a rule has fired."""
        return await self.control.events(after, kind="rule_fired")

    async def deliveries(self) -> Mapping[str, Any]:
        """Return what the server knows of each report id."""
        return await self.control.deliveries()

    async def tell_requests(self) -> None:
        """Observe ``requests``: the newest ones, when each began and ended, and how; for the picture of the run."""
        try:
            await self.write_faults()
            traces = await self.control.requests()
        except ChaosError as error:  # The picture of a run must not decide about it.
            log.warning("the requests of this run are not told: %s", error)
            return
        observe_requests(self._history, traces)

    async def close(self) -> None:
        """End the server's process."""
        await self.control.aclose()
        await self._process.close()

    def __repr__(self) -> str:
        return f"LiveServer({self.url}, {self._process!r})"
