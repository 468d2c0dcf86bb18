"""The WATS server for tests in the live world: one port that takes reports, one that gives it commands.

Both listen on a loopback address only. While the data port is closed the control port lives on.
"""

from __future__ import annotations

import ipaddress

from chaos.errors import UsageError
from chaos.live.wats_server.control import Control
from chaos.wats_server.listener import Listener, url_of
from chaos.wats_server.memory import ServerSettings
from chaos.wats_server.report_server import ReportServer


class WatsServer(ReportServer):
    """The server with its control port. Use as an async context manager: it listens inside, and leaves nothing behind.

    Raises ``UsageError`` on entry for an address that is not loopback and for a port that is taken.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, control_port: int = 0, *, settings: ServerSettings | None = None
    ) -> None:
        super().__init__(loopback_address(host), port, settings=settings)
        self._wanted_control_port = control_port
        self._control: Listener | None = None

    @property
    def control_url(self) -> str:
        """Return the address to give commands to."""
        return url_of(self.host, self.control_port)

    @property
    def control_port(self) -> int:
        """Return the port of ``control_url``."""
        assert self._control is not None, "the control port is known once the server has started"
        return self._control.port

    async def _open(self) -> None:
        control = Control(self.memory, self)
        address = (self.host, self._wanted_control_port)
        self._control = Listener(address, control.serve, self._group, self._settings)
        await super()._open()
        await self._control.open()

    async def _release(self) -> None:
        if self._control is not None:
            self._control.close()
            await self._control.cut()
        await super()._release()


def loopback_address(host: str) -> str:
    """Return the numeric loopback address that ``host`` is. Raises ``UsageError`` for anything else."""
    numeric = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.ip_address(numeric).is_loopback:
            return numeric
    except ValueError:
        pass  # A name: what it means is decided elsewhere, so it is refused like any other address.
    raise UsageError("a loopback address", repr(host), "use 127.0.0.1: this server is for tests on this machine only")
