"""The data port of the WATS server for tests: takes reports, and misbehaves as its rules say.

* Closing the listener is what "the server is down" looks like from outside: connections are refused, open ones are cut.
* Every connection is a task of the server's own group. A bug in one of them ends the server, loudly: a test server that
  goes on after a bug would make its verdicts worthless.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from chaos.wats_server.connection import Connection
from chaos.wats_server.events import EventKind
from chaos.wats_server.exchange import PEER_HAS_GONE, Exchange
from chaos.wats_server.listener import Listener, reserved_port, url_of
from chaos.wats_server.memory import ServerMemory, ServerSettings
from chaos.wats_server.peer import PeerWatch, Watch


class ReportServer:
    """The server. Use as an async context manager: it listens inside, and leaves nothing behind.

    Raises ``UsageError`` on entry for a port that is taken. ``wall_time_s`` is the time of day for answers that carry a
    date; ``watch`` makes what notices that a peer has gone.
    """

    def __init__(
        self,
        host: str,
        port: int = 0,
        *,
        settings: ServerSettings | None = None,
        wall_time_s: Callable[[], float] = time.time,
        watch: Callable[[], Watch] = PeerWatch,
    ) -> None:
        self.host, self._wanted_port = host, port
        self._settings = settings or ServerSettings()
        self._wall_time_s, self._watch = wall_time_s, watch
        self._group = asyncio.TaskGroup()
        self._reserved: socket.socket | None = None

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self._data!r}, {self.memory!r})" if hasattr(self, "_data") else f"{name}(not started)"

    async def __aenter__(self) -> Self:
        self._reserved = reserved_port(self.host, self._wanted_port) if self._settings.is_port_reserved else None
        self.memory = ServerMemory(self._settings, self._wall_time_s, self._watch())
        await self._group.__aenter__()
        port = self._reserved.getsockname()[1] if self._reserved else self._wanted_port
        self._data = Listener((self.host, port), self._serve_data, self._group, self._settings)
        try:
            await self._open()
        except BaseException:
            await self._release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._release()
        if kind is asyncio.CancelledError:  # Perhaps the group's own way to say that one of its tasks failed.
            await self._group.__aexit__(kind, error, traceback)
        else:  # The body's own error must not come out wrapped in a group.
            await self._group.__aexit__(None, None, None)

    @property
    def data_url(self) -> str:
        """Return the address to send reports to."""
        return url_of(self.host, self._data.port)

    @property
    def data_port(self) -> int:
        """Return the port of ``data_url``."""
        return self._data.port

    @property
    def is_listening(self) -> bool:
        """Return whether the data port takes connections."""
        return self._data.is_open

    async def listen(self, *, on: bool, keep_connections: bool = False) -> None:
        """Open or close the data port; closing cuts its connections unless they are to be kept."""
        if on and not self.is_listening:
            await self._data.open()
            self.memory.events.add(EventKind.LISTENER_OPENED, port=self.data_port)
        elif not on and self.is_listening:
            self._data.close()
            if not keep_connections:
                await self._data.cut()
            self.memory.events.add(EventKind.LISTENER_CLOSED, port=self.data_port)

    async def reset(self) -> None:
        """Cut the data port's connections and forget rules, reports, requests and events; the port stays as it is."""
        await self._data.cut()
        self.memory.forget()

    async def _open(self) -> None:
        await self._data.open()

    async def _release(self) -> None:
        self._data.close()
        await self._data.cut()
        self.memory.close()
        if self._reserved:
            self._reserved.close()

    async def _serve_data(self, connection: Connection) -> None:
        events = self.memory.events
        events.add(EventKind.CONNECTED, connection=connection.number)
        try:
            while first := await connection.first_byte():
                if not await Exchange(self.memory, connection).run(first):
                    break
        except PEER_HAS_GONE:
            pass  # Between two requests: the next line says all there is to say.
        events.add(EventKind.DISCONNECTED, connection=connection.number)
