"""The fault proxy of a live world: a process of its own between the subject and the server, told what to break."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chaos.errors import DeadlineError, OverdueError
from chaos.history import History
from chaos.live.fault_choice import FaultChoice
from chaos.live.process import ChildProcess
from chaos.live.proxy import MODULE, ProxyClient
from chaos.live.watchdog import Watchdog

START_LIMIT_S = 20.0
NAME = "server"
MILLISECOND_S = 0.001


class LiveProxy:
    """One proxy in front of the world's server. Start it with ``LiveProxy.start``; ``close`` ends it.

    A toxic added here is written into the history as the fault ``proxy.<type>`` once it is known to have fired.
    ``choice``: which faults happen; one that is left out has no effect, and nobody waits for it.
    """

    def __init__(
        self, process: ChildProcess, control: ProxyClient, history: History, url: str, choice: FaultChoice | None = None
    ) -> None:
        self.url, self.control = url, control
        self._process, self._history = process, history
        self._told: dict[str, tuple[str, int]] = {}
        self._choice, self._left_out = choice or FaultChoice(), set[str]()
        self._stays_up = False

    @classmethod
    async def start(
        cls,
        watchdog: Watchdog,
        log: Path,
        history: History,
        upstream: str,
        seed: int,
        choice: FaultChoice | None = None,
    ) -> LiveProxy:
        """Start a proxy in front of the server at the URL ``upstream``, on a port that the system chooses."""
        line = [sys.executable, "-m", MODULE]
        process = await ChildProcess.start(line, watchdog=watchdog, log=log, name="fault proxy", announces=True)
        try:
            port = (await process.announced(START_LIMIT_S))["control_port"]
            control = ProxyClient(f"http://127.0.0.1:{port}")
            made = await control.create(NAME, urlsplit(upstream).netloc, seed=seed)
            return cls(process, control, history, f"http://{made['listen']}", choice)
        except BaseException:
            await process.close()
            raise

    async def add(
        self, kind: str, *, stream: str = "downstream", toxicity: float = 1.0, name: str = "", **attributes: Any
    ) -> str:
        """Let a toxic work from now on, in open connections too, and return its name. Raises ``UsageError``."""
        chosen = self._choice.chosen(f"proxy.{kind}", attributes, MILLISECOND_S)
        if chosen is None:
            called = name or f"{kind}_{stream}"
            self._left_out.add(called)
            return called
        called = await self.control.add(NAME, kind, stream=stream, toxicity=toxicity, name=name, **chosen)
        self._told[called] = (kind, 0)
        return called

    async def fired(self, toxic: str, times: int = 1, *, limit_s: float = 20) -> None:
        """Wait until a toxic has fired that often, and write that into the history. Raises ``OverdueError``."""
        if toxic in self._left_out:
            return
        try:
            found = await self.control.fired(NAME, toxic, times, deadline_s=limit_s)
        except DeadlineError as error:
            raise OverdueError(error.what, limit_s, error.seen) from error
        self._tell(toxic, found)

    async def remove(self, toxic: str) -> None:
        """Take a toxic away; what it has done is written into the history."""
        if toxic in self._left_out:
            self._left_out.remove(toxic)
            return
        self._tell(toxic, await self.control.remove(NAME, toxic))
        kind, _ = self._told.pop(toxic)
        self._history.healed(f"proxy.{kind}")

    @asynccontextmanager
    async def toxic(self, kind: str, *, stream: str = "downstream", **attributes: Any) -> AsyncIterator[str]:
        """Let a toxic work inside the context; leaving it takes it away."""
        name = await self.add(kind, stream=stream, **attributes)
        try:
            yield name
        finally:
            await self.remove(name)

    async def go_down(self) -> None:
        """Refuse connections, and close those that are open."""
        self._stays_up = not self._choice.admits("proxy.down")
        if self._stays_up:
            return
        await self.control.switch(NAME, on=False)
        self._history.fault("proxy.down")

    async def come_up(self) -> None:
        """Listen again, at the same port."""
        if self._stays_up:
            return
        await self.control.switch(NAME, on=True)
        self._history.healed("proxy.down")

    async def close(self) -> None:
        """End the proxy's process."""
        await self.control.aclose()
        await self._process.close()

    def _tell(self, toxic: str, fired: int) -> None:
        kind, told = self._told[toxic]
        if fired > told:
            self._told[toxic] = (kind, fired)
            self._history.fault(f"proxy.{kind}", times=fired - told)

    def __repr__(self) -> str:
        return f"LiveProxy({self.url}, {len(self._told)} toxics)"
