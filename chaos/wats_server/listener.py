"""One port of the WATS server for tests, and the connections that came in through it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from chaos.errors import UsageError
from chaos.wats_server.connection import HEAD_BYTES_MAX, Connection
from chaos.wats_server.memory import ServerSettings

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
            raise port_error(self._host, self.port, error) from error
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
        raise port_error(host, port, error) from error
    return holder


def port_error(host: str, port: int, error: OSError) -> UsageError:
    """Return what is told of a port that cannot be listened on."""
    found = f"{host}:{port}: {error.strerror or type(error).__name__}"
    return UsageError("a port that can be listened on", found, "choose another one, or 0 for any that is free")


def url_of(host: str, port: int) -> str:
    """Return the address of a port on a numeric host."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
