"""Servers for conformance bodies, closed with their connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, until it ends."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read nothing, for ever."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    del reader
    await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def listening(handler: Handler, host: str = "127.0.0.1", **more: Any) -> AsyncIterator[int]:
    """Serve on a free port, which is given; at the end no connection and no handler is left."""
    async with _served(handler, lambda serve: asyncio.start_server(serve, host, 0, **more)) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def listening_on_path(handler: Handler, path: str, **more: Any) -> AsyncIterator[asyncio.Server]:
    """Serve on a socket file."""
    async with _served(handler, lambda serve: asyncio.start_unix_server(serve, path, **more)) as server:
        yield server


@asynccontextmanager
async def _served(handler: Handler, start: Callable[[Any], Awaitable[asyncio.Server]]) -> AsyncIterator[asyncio.Server]:
    running: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running[task] = writer
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # The peer is gone, or the test is over.
        finally:
            writer.transport.abort()

    server = await start(serve)
    try:
        yield server
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running)
        await server.wait_closed()
