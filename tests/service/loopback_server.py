"""A TCP server on loopback that does what a test tells it, down to the bytes: what no HTTP library would let it do."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

Behaviour = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request on a connection, and the means to answer it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""
    body: bytes = b""

    async def read_head(self) -> bytes:
        """Read the request up to its body."""
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        return self.head

    async def read_all(self) -> bytes:
        """Read the whole request and return its body."""
        lines = (await self.read_head()).lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line[:15] == b"content-length:"), 0)
        self.body = await self.reader.readexactly(length)
        return self.body

    async def write(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self, status: int, body: bytes = b"", *headers: str) -> None:
        """Send a whole answer."""
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
        await self.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def reset(self) -> None:
        """Tear the connection down, so that the peer gets ECONNRESET."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def hang(self) -> None:
        """Do nothing until the peer is gone."""
        while await self.reader.read(65536):
            pass


@dataclass
class LoopbackServer:
    """What a running server saw."""

    port: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of the requests that were read."""
        return [exchange.body for exchange in self.exchanges]


@asynccontextmanager
async def serving(behaviour: Behaviour, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[LoopbackServer]:
    """Run a server that gives each request to ``behaviour``, until it closes the connection or the peer does."""
    seen = LoopbackServer()
    handlers: list[asyncio.Task[Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        handlers.append(cast("asyncio.Task[Any]", asyncio.current_task()))
        try:
            while not reader.at_eof() and not writer.is_closing():
                exchange = Exchange(reader, writer)
                seen.exchanges.append(exchange)
                seen.arrived.set()
                await behaviour(exchange)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The peer is gone, or the test is over.
        finally:
            writer.close()
            seen.gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers)
        await server.wait_closed()
