"""The WATS server for tests: one port that takes reports and misbehaves on command, one that gives the commands.

* Both listen on a loopback address only. Closing the data port's listener is what "the server is down" looks like from
  outside: connections are refused, open ones are cut; the control port lives on.
* Every connection is a task of the server's own group. A bug in one of them ends the server, loudly: a test server that
  goes on after a bug would make its verdicts worthless.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from chaos.errors import UsageError
from chaos.live.wats_server.connection import HEAD_BYTES_MAX, Connection
from chaos.live.wats_server.control import Control
from chaos.live.wats_server.events import EventKind
from chaos.live.wats_server.exchange import PEER_HAS_GONE, Exchange
from chaos.live.wats_server.memory import ServerMemory, ServerSettings

BACKLOG = 1024
Serve = Callable[[Connection], Awaitable[None]]


class Listener:
    """One port and the connections that came in through it. The port stays the same from one opening to the next."""

    def __init__(
        self, address: tuple[str, int], serve: Serve, group: asyncio.TaskGroup, settings: ServerSettings
    ) -> None:
        self._host, self.port = address
        self._serve, self._group, self._settings = serve, group, settings
        self._server: asyncio.Server | None = None
        self._tasks: dict[Connection, asyncio.Task[None]] = {}
        self._accepted = self.refused = 0

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"Listener({self._host}:{self.port}, {state}, {len(self._tasks)} of {self._accepted} connections open)"

    @property
    def is_open(self) -> bool:
        """Return whether connections are taken."""
        return self._server is not None

    async def open(self) -> None:
        """Take connections from now on (harmless to repeat). Raises ``UsageError`` when the port is somebody else's."""
        if self._server is not None:
            return
        try:
            server = await asyncio.start_server(
                self._accept, self._host, self.port, limit=HEAD_BYTES_MAX, backlog=BACKLOG, start_serving=False
            )
        except OSError as error:
            raise _port_error(self._host, self.port, error) from error
        listening = server.sockets[0]
        if self._settings.receive_buffer_bytes is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._settings.receive_buffer_bytes)
        self.port = listening.getsockname()[1]
        await server.start_serving()
        self._server = server

    def close(self) -> None:
        """Take no more connections; those that are open stay (harmless to repeat)."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def cut(self) -> None:
        """Cut every open connection and return when the last one is gone."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None or len(self._tasks) >= self._settings.connections_max:
            self.refused += 1
            writer.transport.abort()
            return
        self._accepted += 1
        connection = Connection(self._accepted, reader, writer)
        task = self._group.create_task(self._carry(connection), name=f"wats-server-connection-{connection.number}")
        self._tasks[connection] = task

    async def _carry(self, connection: Connection) -> None:
        try:
            await self._serve(connection)
        finally:
            await connection.closed()
            del self._tasks[connection]


class WatsServer:
    """The server. Use as an async context manager: it listens inside, and leaves nothing behind.

    Raises ``UsageError`` on entry for an address that is not loopback and for a port that is taken.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, control_port: int = 0, *, settings: ServerSettings | None = None
    ) -> None:
        self.host, self._ports = loopback_address(host), (port, control_port)
        self._settings = settings or ServerSettings()
        self._group = asyncio.TaskGroup()

    def __repr__(self) -> str:
        return f"WatsServer({self._data!r}, {self.memory!r})" if hasattr(self, "_data") else "WatsServer(not started)"

    async def __aenter__(self) -> Self:
        self._reserved = reserved_port(self.host, self._ports[0]) if self._settings.is_port_reserved else None
        self.memory = ServerMemory(self._settings)
        await self._group.__aenter__()
        port = self._reserved.getsockname()[1] if self._reserved else self._ports[0]
        self._data = Listener((self.host, port), self._serve_data, self._group, self._settings)
        control = Control(self.memory, self)
        self._control = Listener((self.host, self._ports[1]), control.serve, self._group, self._settings)
        try:
            await self._data.open()
            await self._control.open()
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
    def control_url(self) -> str:
        """Return the address to give commands to."""
        return url_of(self.host, self._control.port)

    @property
    def data_port(self) -> int:
        """Return the port of ``data_url``."""
        return self._data.port

    @property
    def control_port(self) -> int:
        """Return the port of ``control_url``."""
        return self._control.port

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

    async def _release(self) -> None:
        for listener in (self._data, self._control):
            listener.close()
            await listener.cut()
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


def loopback_address(host: str) -> str:
    """Return the numeric loopback address that ``host`` is. Raises ``UsageError`` for anything else."""
    numeric = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.ip_address(numeric).is_loopback:
            return numeric
    except ValueError:
        pass  # A name: what it means is decided elsewhere, so it is refused like any other address.
    raise UsageError("a loopback address", repr(host), "use 127.0.0.1: this server is for tests on this machine only")


def reserved_port(host: str, port: int) -> socket.socket:
    """Return a socket that holds the port without listening. Raises ``UsageError`` when it is taken.

    While a listener is closed its port could otherwise be given to anybody, even to a client that is calling it: such a
    client would be connected to itself.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    holder = socket.socket(family, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((host, port))
    except OSError as error:
        holder.close()
        raise _port_error(host, port, error) from error
    return holder


def _port_error(host: str, port: int, error: OSError) -> UsageError:
    found = f"{host}:{port}: {error.strerror or type(error).__name__}"
    return UsageError("a port that can be listened on", found, "choose another one, or 0 for any that is free")


def url_of(host: str, port: int) -> str:
    """Return the address of a port on a numeric host."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
