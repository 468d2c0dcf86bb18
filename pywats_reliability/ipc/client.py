"""The other end: asks a service one thing at a time, and gives back its data or an exception, never one for the other.

* An answer is taken only under the id of the request that waits (H6.9). After a time-out, a cancellation or anything
  else that leaves an answer under way, the connection is dropped: what comes late finds nobody. The next request
  connects again; nothing is ever sent twice on its own.
* The service's errors come as ``IPCRemoteError`` with code, words and request id (H3.3); a broken connection, silence
  and nonsense as ``IPCConnectionError``, ``IPCTimeoutError`` and ``IPCProtocolError``.
* Two things upstream's server does are borne: it writes every answer twice (the copy is known by its id, and left),
  and some of its errors carry no id (they are raised as errors, and the connection is dropped).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from pywats_reliability.errors import (
    IPCConnectionError,
    IPCMessageTooLargeError,
    IPCProtocolError,
    IPCRemoteError,
    IPCTimeoutError,
)
from pywats_reliability.ipc.address import Address, UnixAddress
from pywats_reliability.ipc.framing import ANSWER_BYTES_MAX, REQUEST_BYTES_MAX
from pywats_reliability.ipc.messages import JSON, Hello, Request, Response, parse_hello, parse_response
from pywats_reliability.ipc.stream import CHUNK_BYTES, FrameStream

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 75.0
"""More than a server takes at most: 60 s for the command and 10 s for the answer."""
CLOSE_TIMEOUT_S = 1.0


class AsyncIPCClient:
    """A client of the service at ``address``. It connects when first needed, or on entering ``async with``.

    ``secret`` is what it proves itself with when the server asks for that; without one, the server refuses most
    commands. Requests of several tasks wait for each other. Close it with ``aclose`` or by leaving ``async with``.
    """

    def __init__(
        self,
        address: Address,
        *,
        secret: str | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._address, self._secret = address, secret
        self._connect_timeout_s, self._request_timeout_s = connect_timeout_s, request_timeout_s
        self._stream: FrameStream | None = None
        self._turn = asyncio.Lock()
        self._answered_id: str | None = None
        self._requests = self._connects = 0
        self.hello: Hello | None = None

    @property
    def is_connected(self) -> bool:
        """True while there is a connection that the next request will use."""
        return self._stream is not None and self._stream.is_open

    async def connect(self) -> Hello:
        """Connect and prove ourselves, unless that is so already; return what the server said of itself.

        Raises ``IPCConnectionError``, ``IPCTimeoutError``, ``IPCProtocolError``, ``IPCAuthenticationError``.
        """
        async with self._deadline("connect", self._request_timeout_s), self._turn:
            return await self._connected()

    async def request(
        self, command: str, args: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> JSON:
        """Ask for ``command`` and return its data, which may be ``None``.

        Raises ``IPCRemoteError`` (or a class of it) when the service answers with an error, ``IPCTimeoutError`` after
        ``timeout_s`` (the client's own limit, when ``None``), ``IPCConnectionError`` when there is no service or it
        goes away, ``IPCProtocolError`` when it talks nonsense, ``IPCMessageTooLargeError`` before anything is sent. But
        for the first and the last it is unknown whether the command was carried out. Cancelling drops the connection.
        """
        request = Request(command, dict(args or {}), str(uuid.uuid4()))
        body = request.encode()
        if len(body) > REQUEST_BYTES_MAX:
            raise IPCMessageTooLargeError(len(body), REQUEST_BYTES_MAX)
        limit_s = self._request_timeout_s if timeout_s is None else timeout_s
        async with self._deadline(command, limit_s), self._turn:
            await self._connected()
            assert self._stream is not None, "a connection was just made or found, and the turn is ours"
            return await self._exchange(self._stream, request.request_id, body)

    async def aclose(self) -> None:
        """Close the connection, if there is one. A later request would open another."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close(CLOSE_TIMEOUT_S)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "not connected"
        return f"AsyncIPCClient({self._address}, {state}, {self._connects} connections, {self._requests} requests)"

    async def _connected(self) -> Hello:
        """Return the hello of a connection that stands, made now if there is none. For the holder of the turn."""
        if self.is_connected and self.hello is not None:
            return self.hello
        self._drop()
        async with self._deadline("connect", self._connect_timeout_s):
            try:
                return await self._open()
            except BaseException:  # Half of a connection, whatever cut it short, is none.
                self._drop()
                raise

    async def _open(self) -> Hello:
        self._stream = stream = await self._dialled()
        self._connects += 1
        try:
            body = await stream.receive()
        except OSError as error:
            raise IPCConnectionError(str(self._address), _words(error)) from error
        if body is None:
            raise IPCConnectionError(str(self._address), "a connection closed without a hello (too many clients?)")
        self.hello = hello = parse_hello(body)
        if hello.requires_auth and self._secret is not None:
            request = Request("auth", {"token": self._secret}, str(uuid.uuid4()))
            await self._exchange(stream, request.request_id, request.encode())
        return hello

    async def _dialled(self) -> FrameStream:
        try:
            if isinstance(self._address, UnixAddress):
                streams = await asyncio.open_unix_connection(self._address.path, limit=CHUNK_BYTES)
            else:
                streams = await asyncio.open_connection(self._address.host, self._address.port, limit=CHUNK_BYTES)
        except OSError as error:
            raise IPCConnectionError(str(self._address), _words(error)) from error
        return FrameStream(*streams, body_bytes_max=ANSWER_BYTES_MAX)

    async def _exchange(self, stream: FrameStream, request_id: str, body: bytes) -> JSON:
        """Send one request and return the data of its answer; whatever leaves the answer open drops the connection."""
        self._requests += 1
        try:
            await stream.send(body)
            response = await self._answer_to(stream, request_id)
        except OSError as error:
            self._drop()
            raise IPCConnectionError(str(self._address), _words(error)) from error
        except BaseException:  # A time-out or a cancellation above all: the answer may still come, but not to us.
            self._drop()
            raise
        self._answered_id = request_id
        if response.success:
            return response.data
        if response.request_id != request_id:
            self._drop()
        raise IPCRemoteError.from_answer(response.code or IPCRemoteError.code, response.error or "", request_id)

    async def _answer_to(self, stream: FrameStream, request_id: str) -> Response:
        while (body := await stream.receive()) is not None:
            response = parse_response(body)
            if response.request_id == request_id or (not response.request_id and not response.success):
                return response
            if response.request_id != self._answered_id:
                raise IPCProtocolError(f"the answer to request {request_id}", "the answer to another")
            self._answered_id = None  # One copy is what upstream's server writes; a second is one too many.
        raise IPCConnectionError(str(self._address), "a connection closed before the answer")

    def _drop(self) -> None:
        stream, self._stream, self._answered_id = self._stream, None, None
        if stream is not None:
            stream.abort()

    @asynccontextmanager
    async def _deadline(self, operation: str, limit_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError as error:
            raise IPCTimeoutError(operation, limit_s) from error


def _words(error: OSError) -> str:
    """Say in words what kept two ends apart."""
    if isinstance(error, FileNotFoundError):
        return "no socket there"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listening there"
    return error.strerror or type(error).__name__
