"""IPC clients that hang, one module for all kinds: each stops at another place of the protocol and waits to be cut off.

They speak the wire format only (a 4-byte big-endian length, then JSON) and use plain sockets, so that no client library
reads, answers or closes behind their back.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from chaos.history import History

DRIBBLE_INTERVAL_S = 0.1
SMALL_BUFFER_BYTES = 4096


class Hang(StrEnum):
    """Where a client stops."""

    SILENT = "silent"
    HALF_HEADER = "half a header"
    HALF_BODY = "half a body"
    DRIBBLE = "one byte at a time"
    NEVER_READING = "never reading"


@dataclass(frozen=True, slots=True)
class Cut:
    """How it went: the seconds until the server closed the connection, or None when it never did."""

    hang: Hang
    closed_after_s: float | None


def frame(message: dict[str, object]) -> bytes:
    """Return a message as it goes over the wire."""
    body = json.dumps(message).encode()
    return len(body).to_bytes(4) + body


class HungClients:
    """A crowd of clients that hang. Use as a context manager: leaving it closes whatever is still open."""

    def __init__(self, address: str, history: History) -> None:
        self._address, self._history = address, history
        self._sockets: list[tuple[Hang, socket.socket, float]] = []

    def __repr__(self) -> str:
        return f"HungClients({len(self._sockets)} connected to {self._address})"

    def close(self) -> None:
        """Close every connection of the crowd (harmless to repeat)."""
        for _, connection, _ in self._sockets:
            connection.close()

    async def hang(self, kind: Hang, *, limit_s: float = 5) -> None:
        """Connect one more client and let it hang: from now on it is the server's turn."""
        loop = asyncio.get_running_loop()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        async with asyncio.timeout(limit_s):
            await loop.sock_connect(connection, self._address)
            if kind is not Hang.NEVER_READING:
                await loop.sock_recv(connection, 65536)  # The hello: from now on the client is in the protocol.
            await loop.sock_sendall(connection, _OPENING[kind])
        self._history.fault(f"ipc.{kind}")
        self._sockets.append((kind, connection, loop.time()))

    async def cut_off(self, *, limit_s: float) -> list[Cut]:
        """Wait until the server has closed each connection, at most ``limit_s`` each, and return how it went."""
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(_until_closed(*client, limit_s)) for client in self._sockets]
        return [wait.result() for wait in waits]


@asynccontextmanager
async def hung_clients(address: str, history: History) -> AsyncIterator[HungClients]:
    """Open an empty crowd of hung clients; leaving it closes those that are still connected."""
    crowd = HungClients(address, history)
    try:
        yield crowd
    finally:
        crowd.close()
        history.healed("ipc.hung_clients")


_PING = frame({"command": "ping", "request_id": "0", "args": {}, "protocol_version": "2.0"})
# Its answer carries the id back: a few dozen of them fill the buffers between server and client.
_LARGE_PING = frame({"command": "ping", "request_id": "0" * 5_000, "args": {}, "protocol_version": "2.0"})
_OPENING = {
    Hang.SILENT: b"",
    Hang.HALF_HEADER: _PING[:2],
    Hang.HALF_BODY: _PING[: len(_PING) // 2],
    Hang.DRIBBLE: _PING[:1],
    Hang.NEVER_READING: _PING,
}


async def _until_closed(kind: Hang, connection: socket.socket, began: float, limit_s: float) -> Cut:
    loop = asyncio.get_running_loop()
    behave = _BEHAVIOUR.get(kind, _read_to_end)
    try:
        async with asyncio.timeout_at(began + limit_s):
            await behave(connection)
    except TimeoutError:
        return Cut(kind, None)
    except OSError:
        pass  # A reset or a broken pipe is a closed connection too: that is what was waited for.
    return Cut(kind, loop.time() - began)


async def _read_to_end(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(connection, 65536):
        pass


async def _dribble(connection: socket.socket) -> None:
    """Send the rest of a long request, a byte at a time, so that every single read of the server succeeds soon."""
    loop = asyncio.get_running_loop()
    request = frame({"command": "ping", "padding": " " * 100_000})
    for place in range(1, len(request)):
        await loop.sock_sendall(connection, request[place : place + 1])
        with suppress(TimeoutError):
            async with asyncio.timeout(DRIBBLE_INTERVAL_S):
                await _read_to_end(connection)
                return


async def _write_for_ever(connection: socket.socket) -> None:
    """Ask and ask, never reading an answer: the server's writes fill the buffers between the two, then block."""
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(connection, _LARGE_PING)


_BEHAVIOUR = {Hang.DRIBBLE: _dribble, Hang.NEVER_READING: _write_for_ever}
