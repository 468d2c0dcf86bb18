"""A WATS server in this very process, for tests of what talks to one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chaos.live.wats_server.client import WatsServerClient
from chaos.live.wats_server.server import WatsServer
from chaos.wats_server.memory import ServerSettings


@dataclass(frozen=True, slots=True)
class RunningWatsServer:
    """A listening server and a client to command it with."""

    server: WatsServer
    control: WatsServerClient

    @property
    def url(self) -> str:
        """Return the address to send reports to."""
        return self.server.data_url


@asynccontextmanager
async def running_wats_server(settings: ServerSettings | None = None) -> AsyncIterator[RunningWatsServer]:
    """Run a server on free loopback ports within this block, in the running loop."""
    async with WatsServer(settings=settings) as server, WatsServerClient(server.control_url) as control:
        yield RunningWatsServer(server, control)
