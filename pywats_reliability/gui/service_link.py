"""How the configurator reaches the service, and how it knows whether it is there.

* Address and secret are read anew whenever there is no connection: the first start of a service makes the secret, and
  a page that was open before that must find it.
* The monitor asks for a sign of life every 30 s; while there is none it tries again after 1 s, doubling to 30 s. A page
  that finds the service gone says so (``suspect``), and the monitor looks at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from pywats_reliability.client_service.settings import ipc_address
from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import load_config
from pywats_reliability.errors import ReliabilityError
from pywats_reliability.ipc import JSON, Address, AsyncIPCClient, Hello, load_secret, secret_path
from pywats_reliability.ports import Heartbeat

CHECK_S, RETRY_FIRST_S, RETRY_LAST_S = 30.0, 1.0, 30.0
PING_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 15.0


class ServiceClient:
    """One connection to the service of the configuration at ``config_path``, made when it is first needed."""

    def __init__(self, config_path: Path) -> None:
        self._config_path = config_path
        self._client: AsyncIPCClient | None = None
        self._made_for: tuple[Address, str | None] | None = None

    @property
    def hello(self) -> Hello | None:
        """What the service said of itself when it was last reached."""
        return self._client.hello if self._client is not None else None

    async def request(
        self, command: str, args: Mapping[str, Any] | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> JSON:
        """Return the data of the answer. Raises ``IPCError`` and ``ConfigError``; cancelling drops the connection."""
        client = self._client
        if client is None or not client.is_connected:
            client = await self._renewed()
        return await client.request(command, args, timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Close the connection; harmless to repeat."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _renewed(self) -> AsyncIPCClient:
        config = configuration_at(self._config_path)
        wanted = ipc_address(config), load_secret(secret_path(config.instance_id))
        if self._client is None or wanted != self._made_for:
            await self.aclose()
            self._client, self._made_for = AsyncIPCClient(wanted[0], secret=wanted[1]), wanted
        return self._client

    def __repr__(self) -> str:
        return f"ServiceClient({self._client!r})"


class ServiceLink(QObject):
    """Whether the service is there: ``came_up``, ``went_down(why)``, and ``changed`` for either and for each try."""

    came_up = Signal()
    went_down = Signal(str)
    changed = Signal()

    def __init__(self, config_path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.client = ServiceClient(config_path)
        self.is_up: bool | None = None
        self.why, self.next_try_s = "", 0.0
        self._look_now = asyncio.Event()

    def suspect(self) -> None:
        """Have the monitor look at once: somebody found the service gone, or wants to know now."""
        self._look_now.set()

    async def monitor(self, beat: Heartbeat) -> None:
        """Look again and again, until cancelled."""
        wait_s = RETRY_FIRST_S
        while True:
            beat()
            self._look_now.clear()
            is_up = await self._look()
            wait_s = CHECK_S if is_up else wait_s
            self.next_try_s = wait_s
            self.changed.emit()
            try:
                async with asyncio.timeout(wait_s):
                    await self._look_now.wait()
            except TimeoutError:
                pass
            wait_s = RETRY_FIRST_S if is_up else min(2 * wait_s, RETRY_LAST_S)

    async def _look(self) -> bool:
        try:
            await self.client.request("ping", timeout_s=PING_TIMEOUT_S)
        except ReliabilityError as error:
            self._found(is_up=False, why=str(error))
            return False
        self._found(is_up=True, why="")
        return True

    def _found(self, *, is_up: bool, why: str) -> None:
        was_up, self.is_up, self.why = self.is_up, is_up, why
        if is_up and not was_up:
            self.came_up.emit()
        elif not is_up and was_up is not False:
            self.went_down.emit(why)


def configuration_at(path: Path) -> ClientConfig:
    """Return the configuration in the file, or the defaults where there is none. Raises ``ConfigFileError``."""
    if not path.exists():
        return ClientConfig.from_environment(os.environ)
    return load_config(path, environment=os.environ)
