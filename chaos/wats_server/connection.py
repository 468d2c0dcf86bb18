"""One HTTP/1.1 connection, seen from the server, with a hand on every byte.

* Reading is exact: a head up to its blank line, then as many body bytes as asked for, so that "stopped after k bytes"
  is true. The parser is h11; only requests with a Content-Length have a body here (others are refused with 411).
* Writing waits until the kernel has everything, so that "answered" means "left this process".
* Ending is of two kinds. ``fin`` ends our stream, then reads away what still comes (for at most 2 s): closing at once
  would turn unread bytes into a reset. ``rst`` resets: SO_LINGER with zero seconds, then close.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

import h11

from chaos.errors import ChaosError
from chaos.wats_server import replies
from chaos.wats_server.replies import Reply

HEAD_BYTES_MAX = 64 * 1024
CHUNK_BYTES = 64 * 1024
IDLE_LIMIT_S = 300.0
READ_LIMIT_S = 60.0
LINGER_S = 2.0
_RESET_AT_ONCE = struct.pack("ii", 1, 0)


class RequestRefusedError(ChaosError):
    """The request is no HTTP that this server takes; answer with ``status``, then close the connection."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(f"request refused with {status}: {message}")


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request: its path without the query, its headers by lower-case name, its body's length."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    length_bytes: int

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path}, {self.length_bytes} bytes)"


class Connection:
    """A connection from accept to close.

    ``ConnectionError`` and ``asyncio.IncompleteReadError`` say that the peer has gone, ``TimeoutError`` that it took
    over a minute to send what it had begun.
    """

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number, self.body_bytes_read = number, 0
        self._reader, self._writer, self._has_content = reader, writer, True
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        writer.transport.set_write_buffer_limits(high=0)

    def __repr__(self) -> str:
        state = "closing" if self.transport.is_closing() else "open"
        return f"Connection({self.number}, {state}, {self.body_bytes_read} body bytes of its request read)"

    @property
    def transport(self) -> asyncio.WriteTransport:
        """Return the transport, for those who watch the peer."""
        return self._writer.transport

    async def first_byte(self) -> bytes:
        """Return the first byte of the next request; nothing when the peer has closed, or after 300 s of silence."""
        self.body_bytes_read, self._has_content = 0, True
        try:
            async with asyncio.timeout(IDLE_LIMIT_S):
                return await self._reader.read(1)
        except TimeoutError:
            return b""

    async def read_head(self, first: bytes) -> Request:
        """Return the head of the request that begins with ``first``. Raises ``RequestRefusedError``."""
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                head = first + await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise RequestRefusedError(431, f"Headers longer than {HEAD_BYTES_MAX} bytes") from error
        self._http.receive_data(head)
        event = self._next_event()
        if not isinstance(event, h11.Request):
            raise RequestRefusedError(400, "Not an HTTP request")
        self._has_content = event.method != b"HEAD"
        return _request(event)

    async def read_body(self, count: int) -> bytes:
        """Return exactly the next ``count`` bytes of the body, asking a peer that waits for it to go on."""
        if self._http.they_are_waiting_for_100_continue:
            await self.write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
        chunks, missing = [], count
        async with asyncio.timeout(READ_LIMIT_S):
            while missing:
                chunk = await self._reader.read(min(CHUNK_BYTES, missing))
                if not chunk:
                    raise asyncio.IncompleteReadError(b"", missing)
                self.body_bytes_read += len(chunk)
                missing -= len(chunk)
                chunks.append(chunk)
        body = b"".join(chunks)
        if body:  # To the parser no data would mean the end of the stream.
            self._http.receive_data(body)
        while self._http.their_state is h11.SEND_BODY and self._next_event() is not h11.NEED_DATA:
            pass  # The parser counts the bytes on its own, to know when the request is over.
        return body

    def encoded(self, reply: Reply, *, close: bool = False) -> Iterator[bytes]:
        """Yield the answer's bytes: first its whole head, then the content in pieces."""
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(reply.length_bytes)), *reply.headers]
        headers += [("Connection", "close")] if close else []
        reason = replies.usual_words(reply.status).encode()
        yield self._sent(h11.Response(status_code=reply.status, headers=headers, reason=reason))
        left = reply.padding_bytes if self._has_content else 0
        while left:
            piece = b" " * min(CHUNK_BYTES, left)
            left -= len(piece)
            yield self._sent(h11.Data(data=piece))
        if reply.body and self._has_content:
            yield self._sent(h11.Data(data=reply.body))
        self._http.send(h11.EndOfMessage())

    async def write(self, data: bytes) -> None:
        """Return when the kernel has taken all of ``data``. Raises ``ConnectionError`` when the peer has gone."""
        self._writer.write(data)
        await self._writer.drain()

    def may_go_on(self) -> bool:
        """Return whether the next request can be read after this exchange, and make ready for it."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    @contextmanager
    def not_reading(self) -> Iterator[None]:
        """Take no byte off the socket in this block, so that the peer's writes fill the buffers and then block."""
        transport = self._writer.transport
        assert isinstance(transport, asyncio.ReadTransport), "a stream's transport reads and writes"
        was_reading = transport.is_reading()
        if was_reading:
            transport.pause_reading()
        try:
            yield
        finally:
            if was_reading and not transport.is_closing():
                transport.resume_reading()

    async def end(self, how: Literal["fin", "rst"]) -> None:
        """End the connection: ``fin`` in an orderly way, ``rst`` by a reset."""
        if how == "rst":
            self.reset()
        elif not self.transport.is_closing():
            with suppress(OSError):  # The peer was faster: the connection has ended either way.
                self._writer.write_eof()
                async with asyncio.timeout(LINGER_S):
                    while await self._reader.read(CHUNK_BYTES):
                        pass
            self._writer.close()

    def reset(self) -> None:
        """Reset the connection, at once."""
        if not self.transport.is_closing():
            connected = self.transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
        self.transport.abort()

    async def closed(self) -> None:
        """Close what may still be open, dropping what was not sent, and return when the socket is gone."""
        self.transport.abort()
        with suppress(OSError):  # Why it ended was told to whoever read or wrote last.
            await self._writer.wait_closed()

    def _sent(self, event: h11.Response | h11.Data) -> bytes:
        return self._http.send(event) or b""

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise RequestRefusedError(error.error_status_hint, str(error)) from error


def _request(event: h11.Request) -> Request:
    headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
    if "transfer-encoding" in headers:
        raise RequestRefusedError(411, "Content-Length required")
    if event.method == b"CONNECT":
        raise RequestRefusedError(405, "No proxy here")
    path, _, query = event.target.decode("latin-1").partition("?")
    return Request(event.method.decode(), path, query, headers, int(headers.get("content-length", "0")))
