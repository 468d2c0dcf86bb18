"""An IPC client without a library: it sends any bytes, and tells exactly what comes back and when the peer closes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chaos.faults.hung_clients import frame

LIMIT_S = 10.0


class RawClient:
    """A connection to a server's unix socket. Every wait ends after its limit with ``TimeoutError``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def __repr__(self) -> str:
        return f"RawClient({'closing' if self._writer.is_closing() else 'open'})"

    async def send(self, data: bytes) -> None:
        """Send bytes as they are. What the peer does not take any more is dropped in silence."""
        try:
            self._writer.write(data)
            async with asyncio.timeout(LIMIT_S):
                await self._writer.drain()
        except ConnectionError:
            return  # It has closed; what it said before that is still to be read.

    async def ask(self, command: str, request_id: str, **arguments: Any) -> Mapping[str, Any] | None:
        """Send one request and return the next frame, or None when the peer closed instead."""
        await self.send(request(command, request_id, **arguments))
        return await self.message()

    async def message(self, limit_s: float = LIMIT_S) -> Mapping[str, Any] | None:
        """Return the next frame as JSON, or None when the peer has closed. Raises ``ValueError`` for no JSON object."""
        try:
            async with asyncio.timeout(limit_s):
                length = int.from_bytes(await self._reader.readexactly(4))
                body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        found = json.loads(body)
        if not isinstance(found, dict):
            raise ValueError(f"a frame that is no object: {body[:80]!r}")  # noqa: TRY004 - bytes, not a type of ours
        return found

    async def rest(self, limit_s: float = LIMIT_S) -> bytes:
        """Return everything until the peer closes."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._reader.read(-1)
        except ConnectionError:
            return b""

    def close(self) -> None:
        """Close at once. Idempotent."""
        self._writer.transport.abort()


def request(command: str, request_id: str, **arguments: Any) -> bytes:
    """Return a request as it goes over the wire."""
    return frame({"command": command, "request_id": request_id, "args": arguments, "protocol_version": "2.0"})


@asynccontextmanager
async def raw_client(address: str, *, token: str | None = None) -> AsyncIterator[RawClient]:
    """Connect, take the hello, and prove oneself where a token is given; leaving closes."""
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_unix_connection(address, limit=4 << 20)
    client = RawClient(reader, writer)
    try:
        await client.message()
        if token is not None:
            await client.ask("auth", "auth", token=token)
        yield client
    finally:
        client.close()


BAD_STREAMS: Sequence[tuple[str, bytes]] = (
    ("a length of 0", (0).to_bytes(4)),
    ("a length of 2**32-1", (2**32 - 1).to_bytes(4) + b"x" * 100),
    ("a length over the limit", (1 << 20 | 1).to_bytes(4) + b"x" * 1000),
    ("invalid UTF-8", frame({})[:0] + (4).to_bytes(4) + b"\xff\xfe\xff\xfe"),
    ("no JSON", (5).to_bytes(4) + b"{nope"),
    ("a list", (2).to_bytes(4) + b"[]"),
    ("a number", (1).to_bytes(4) + b"7"),
    ("null", (4).to_bytes(4) + b"null"),
    ("nesting 100,000 deep", (200_000).to_bytes(4) + b"[" * 100_000 + b"]" * 100_000),
    ("an object nested 100,000 deep", (600_001).to_bytes(4) + b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    ("no fields", frame({})),
    ("a command that is a list", frame({"command": ["ping"], "request_id": "1", "protocol_version": "2.0"})),
    ("an id that is a number", frame({"command": "ping", "request_id": 7, "protocol_version": "2.0"})),
    ("arguments that are text", frame({"command": "ping", "request_id": "1", "args": "x", "protocol_version": "2.0"})),
    ("a version that is a number", frame({"command": "ping", "request_id": "1", "protocol_version": 2})),
    ("an old version", frame({"command": "ping", "request_id": "1", "protocol_version": "1.0"})),
    ("an unknown command", frame({"command": "fly", "request_id": "1", "protocol_version": "2.0"})),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)),
)
