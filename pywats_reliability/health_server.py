"""Health over HTTP: small, read-only, and unable to hang, whatever its clients do (wats.md, 8; C2.2, C2.9, C1.5).

* One request per connection: GET or HEAD, a header of at most ``HEADER_BYTES_MAX``, ``request_timeout_s`` for the whole
  exchange, at most ``connections_max`` at a time; what exceeds a limit is closed, and costs nobody else anything.
* ``/health/live`` asks nobody: it answers while the loop runs. The others show a snapshot taken for the request; one
  that cannot be taken is an answer (500), never an exception in the server.
* A port that is taken is an error of ours with the port in it, for the status to show. ``close`` leaves no connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from http import HTTPStatus

import h11

from pywats_reliability.errors import ListenError, described
from pywats_reliability.health import Condition, HealthSnapshot
from pywats_reliability.ports import Heartbeat

HEADER_BYTES_MAX = 8192
READ_BYTES = 4096
PAGES = ("/", "/health", "/health/live", "/health/ready", "/health/details", "/metrics")
JSON_TYPE, METRICS_TYPE = "application/json", "text/plain; version=0.0.4; charset=utf-8"
Answer = tuple[HTTPStatus, str, bytes]
log = logging.getLogger(__name__)


class HealthServer:
    """The server. ``snapshot`` and ``metrics_text`` are called for each request that needs them; port 0: any free."""

    def __init__(
        self,
        host: str,
        port: int,
        snapshot: Callable[[], HealthSnapshot],
        metrics_text: Callable[[], bytes],
        *,
        request_timeout_s: float = 5.0,
        connections_max: int = 64,
    ) -> None:
        self.host, self._wanted_port = host, port
        self._snapshot, self._metrics_text = snapshot, metrics_text
        self._request_timeout_s, self._connections_max = request_timeout_s, connections_max
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, None] = {}
        self._closed: asyncio.Event | None = None
        self._drained: asyncio.Event | None = None  # Set when the last connection has gone after the close.
        self.requests = self.refused = 0

    @property
    def port(self) -> int:
        """The port it listens on; the one that was asked for while it does not."""
        if self._server is None or not self._server.sockets:
            return self._wanted_port
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises ``ListenError`` when the port cannot be had."""
        assert self._server is None, "the health server listens already"
        self._closed, self._drained = asyncio.Event(), asyncio.Event()
        try:
            self._server = await self._listening()
        except OSError as error:
            raise ListenError("health server", self.host, self._wanted_port, error) from error
        log.info("health server listens on %s:%d", self.host, self.port)

    async def _listening(self) -> asyncio.Server:
        """Return a server that serves. Cancelled as it begins to, asyncio itself would lose one that listens (H2.4)."""
        server = await asyncio.start_server(
            self._serve, self.host, self._wanted_port, limit=HEADER_BYTES_MAX, start_serving=False
        )
        try:
            await server.start_serving()
        except BaseException:
            server.close()
            raise
        return server

    async def run(self, beat: Heartbeat, *, interval_s: float = 10.0) -> None:
        """Serve until ``close`` or cancellation, with a heartbeat per ``interval_s``; start first if need be."""
        if self._server is None:
            await self.start()
        assert self._closed is not None, "a started server has its event"
        while not self._closed.is_set():
            beat()
            try:
                async with asyncio.timeout(interval_s):
                    await self._closed.wait()
            except TimeoutError:
                continue

    async def close(self, timeout_s: float = 2.0) -> None:
        """Stop listening and drop every connection; harmless when it is closed already."""
        server, self._server = self._server, None
        if server is None or self._closed is None or self._drained is None:
            return
        self._closed.set()
        server.close()
        for writer in tuple(self._connections):
            writer.transport.abort()
        async with asyncio.timeout(timeout_s):
            if self._connections:
                await self._drained.wait()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._closed is not None, "a server that serves has its event"
        assert self._drained is not None, "a server that serves has its event"
        if self._closed.is_set() or len(self._connections) >= self._connections_max:
            self.refused += 1
            writer.transport.abort()
            return
        self._connections[writer] = None
        try:
            async with asyncio.timeout(self._request_timeout_s):
                await self._exchange(reader, writer)
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError) as error:  # The client's affair: too slow, or gone.
            log.debug("health client: %s", described(error))
        finally:
            writer.transport.abort()
            del self._connections[writer]
            if self._closed.is_set() and not self._connections:
                self._drained.set()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
        try:
            request = await _read_request(connection, reader)
        except h11.RemoteProtocolError as error:
            answer = _refusal(HTTPStatus(error.error_status_hint), "expected an HTTP request, found something else")
            await _send(connection, writer, answer)
            await _linger(reader, writer)
            return
        if request is not None:
            self.requests += 1
            method, target = request.method.decode(), request.target.decode("latin-1")
            await _send(connection, writer, self._answer(method, target), with_body=method != "HEAD")

    def _answer(self, method: str, target: str) -> Answer:
        if method not in ("GET", "HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "expected GET or HEAD")
        path = target.partition("?")[0]
        try:
            return self._page(path)
        except Exception as error:
            log.exception("health page %s failed", path)
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, f"the health could not be read ({type(error).__name__})")

    def _page(self, path: str) -> Answer:
        match path:
            case "/health/live":
                return _json(HTTPStatus.OK, {"status": "ok"})
            case "/" | "/health":
                return _health(self._snapshot().condition)
            case "/health/ready":
                return _ready(self._snapshot().not_ready)
            case "/health/details":
                snapshot = self._snapshot()
                return _json(_health(snapshot.condition)[0], dict(snapshot.details))
            case "/metrics":
                return HTTPStatus.OK, METRICS_TYPE, self._metrics_text()
        return _refusal(HTTPStatus.NOT_FOUND, f"expected one of {', '.join(PAGES)}")

    def __repr__(self) -> str:
        state = "listening" if self._server else "closed"
        open_count = len(self._connections)
        return f"HealthServer({self.host}:{self.port}, {state}, {open_count} connections, {self.requests} requests)"


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """Return the request's head, or None when the client left before there was one. A body is not read."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await reader.read(READ_BYTES))


async def _send(
    connection: h11.Connection, writer: asyncio.StreamWriter, answer: Answer, *, with_body: bool = True
) -> None:
    status, content_type, body = answer
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", "GET, HEAD"))
    head = h11.Response(status_code=status, headers=headers, reason=status.phrase)
    for event in (head, *([h11.Data(data=body)] if with_body else []), h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
    await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read away what the client still sends: closing on unread bytes would reset the connection, and the answer."""
    writer.write_eof()
    while await reader.read(READ_BYTES):
        continue


def _health(condition: Condition) -> Answer:
    if not condition.is_healthy:
        reason = "; ".join(condition.reasons) or f"the service is {condition.status}"
        return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": str(condition.status), "reason": reason})
    if condition.degraded:
        return _json(HTTPStatus.OK, {"status": "ok", "degraded": True, "reasons": list(condition.reasons)})
    return _json(HTTPStatus.OK, {"status": "ok"})


def _ready(not_ready: str | None) -> Answer:
    if not_ready is None:
        return _json(HTTPStatus.OK, {"status": "ready"})
    return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not ready", "reason": not_ready})


def _refusal(status: HTTPStatus, reason: str) -> Answer:
    return _json(status, {"status": "error", "reason": reason})


def _json(status: HTTPStatus, value: dict[str, object]) -> Answer:
    return status, JSON_TYPE, json.dumps(value).encode()
