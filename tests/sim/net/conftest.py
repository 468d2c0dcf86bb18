"""One body for two networks: the simulated one, and the real loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sim.net.net_world import NetWorld

CERTIFICATE = Path(__file__).parents[2] / "service" / "loopback_certificate.pem"
LIMIT_S = 20.0


@dataclass(frozen=True)
class Place:
    """Where a body runs."""

    is_simulated: bool
    folder: Path
    host: str = "127.0.0.1"

    def path(self, name: str = "s") -> str:
        """Return a path for a unix socket."""
        return str(self.folder / name)

    def free_port(self) -> int:
        """Return a port on which nobody listens."""
        with closing(socket.socket()) as holder:
            holder.bind((self.host, 0))
            return int(holder.getsockname()[1])


Body = Callable[[Place], Awaitable[None]]
Play = Callable[[Body], None]


@pytest.fixture(params=["simulated", "simulated with its disk", "real"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Return what runs a body as a program of its own, in one network or the other."""

    def run(body: Body) -> None:
        has_disk = request.param == "simulated with its disk"
        place = Place(request.param != "real", Path("/data") if has_disk else tmp_path)

        async def limited() -> Any:
            async with asyncio.timeout(LIMIT_S):
                await body(place)

        if not place.is_simulated:
            asyncio.run(limited())
            return
        with NetWorld(folder=place.folder, has_disk=has_disk) as world:
            world.run(limited)
            assert not world.kernel.processes[0].unhandled
            assert not world.network.table(world.kernel.processes[0]).sockets

    return run


@pytest.fixture
def server_tls() -> ssl.SSLContext:
    """The server's side, with a certificate for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture
def client_tls() -> ssl.SSLContext:
    """A client's side that trusts that certificate."""
    return ssl.create_default_context(cadata=CERTIFICATE.read_text().partition("-----END PRIVATE KEY-----")[2])
