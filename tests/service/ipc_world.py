"""A served socket and clients that do exactly what a test says, byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pywats_reliability.ipc.address import TcpAddress, UnixAddress
from pywats_reliability.ipc.framing import ANSWER_BYTES_MAX, encode_frame
from pywats_reliability.ipc.limits import IPCLimits
from pywats_reliability.ipc.messages import Hello
from pywats_reliability.ipc.server import AsyncIPCServer
from pywats_reliability.ipc.session import CommandHandler
from pywats_reliability.ipc.stream import FrameStream

SECRET = "0123456789abcdef" * 4
PING = {"command": "ping", "request_id": "p", "protocol_version": "2.0", "args": {}}


async def echo(args: Mapping[str, Any]) -> object:
    """Answer with the arguments."""
    return dict(args)


def make_server(
    folder: Path, handlers: Mapping[str, CommandHandler] | None = None, *, secret: str | None = None, **limits: Any
) -> AsyncIPCServer:
    """Return a server at ``folder/s`` whose limits are the real ones, but for those given."""
    return AsyncIPCServer(
        UnixAddress(folder / "s"),
        handlers={"echo": echo} if handlers is None else handlers,
        secret=secret,
        hello=Hello("1.0", "test"),
        limits=IPCLimits(**limits),
    )


class RawClient:
    """A connection of which the test writes every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.frames = FrameStream(reader, writer, body_bytes_max=ANSWER_BYTES_MAX)

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message, or ``None`` when the server has closed."""
        try:
            body = await self.frames.receive()
        except ConnectionResetError:
            return None
        return None if body is None else dict(json.loads(body))

    def write(self, data: bytes) -> None:
        """Hand bytes to the system, now."""
        self.writer.write(data)

    def write_request(self, command: str, request_id: str = "r", **args: Any) -> None:
        """Hand a whole request to the system."""
        self.write(frame(command, request_id, **args))

    async def ask(self, command: str, request_id: str = "r", **args: Any) -> dict[str, Any]:
        """Send a request and return its answer."""
        self.write_request(command, request_id, **args)
        answer = await self.receive()
        assert answer is not None, "the server closed the connection instead of answering"
        return answer


def frame(command: str, request_id: str = "r", **args: Any) -> bytes:
    """Return the bytes of a request."""
    return encode_frame(json.dumps(PING | {"command": command, "request_id": request_id, "args": args}).encode())


@asynccontextmanager
async def connected(server: AsyncIPCServer, *, take_hello: bool = True) -> AsyncIterator[RawClient]:
    """Connect, and read the hello."""
    if isinstance(server.address, TcpAddress):
        streams = await asyncio.open_connection(server.address.host, server.address.port)
    else:
        streams = await asyncio.open_unix_connection(server.address.path)
    client = RawClient(*streams)
    try:
        if take_hello:
            hello = await client.receive()
            assert hello is not None, "the server closed the connection without a hello"
        yield client
    finally:
        await client.frames.close(1.0)
