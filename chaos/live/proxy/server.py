"""The HTTP server in front of the control API: a loopback port, h11, one request after the other per connection."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import h11

from chaos.errors import RefusedError, UsageError
from chaos.live.proxy.addresses import Address, parse_address
from chaos.live.proxy.control import Proxies, encoded

IDLE_LIMIT_S = 300.0
BODY_BYTES_MAX = 4 << 20
READ_BYTES = 65536
Obey = Callable[[str, str, bytes], Awaitable[tuple[int, Any]]]


class ProxyServer:
    """Proxies and their control port. Use as an async context manager; leaving it closes every proxy.

    Raises ``UsageError`` on entry when the port is taken, ``RefusedError`` for an address that is not loopback.
    """

    def __init__(self, control: str = "127.0.0.1:0") -> None:
        self.proxies = Proxies()
        self._address: Address = parse_address(control)
        if self._address.path:
            raise RefusedError(f"a control port at {control}", "it is no TCP address")
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def __repr__(self) -> str:
        return f"ProxyServer({self._address}, {self.proxies!r})"

    @property
    def port(self) -> int:
        """Return the control port."""
        assert self._server is not None, "the server listens inside its context only"
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(self._serve, self._address.host, self._address.port)
        except OSError as error:
            raise UsageError(f"a free port at {self._address}", str(error.strerror), "choose another") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxies.close()
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            async with asyncio.timeout(None) as idle:
                await _converse(self.proxies.obey, reader, writer, idle)
        except (TimeoutError, ConnectionError, h11.RemoteProtocolError):
            return  # Whoever commanded is idle, gone, or speaks no HTTP.
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _converse(
    obey: Obey, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: asyncio.Timeout
) -> None:
    """Answer request after request, until the peer ends or keeps silent for too long."""
    wire, loop = h11.Connection(h11.SERVER), asyncio.get_running_loop()
    while True:
        idle.reschedule(loop.time() + IDLE_LIMIT_S)
        request, body = await _request(wire, reader)
        if request is None:
            return
        status, data = await obey(request.method.decode(), request.target.decode(), body)
        answer = encoded(data)
        reason = http.HTTPStatus(status).phrase
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
        if status == http.HTTPStatus.NO_CONTENT:
            headers = []
        head = wire.send(h11.Response(status_code=status, headers=headers, reason=reason.encode())) or b""
        writer.write(head + (wire.send(h11.Data(data=answer)) or b"") + (wire.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        if wire.our_state is not h11.DONE or wire.their_state is not h11.DONE:
            return
        wire.start_next_cycle()


async def _request(wire: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request | None, bytes]:
    """Return the next request with its whole body, or None when the peer has ended."""
    request, body = None, b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                raise h11.RemoteProtocolError(f"a command has at most {BODY_BYTES_MAX} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return request, body
        else:
            return None, b""
