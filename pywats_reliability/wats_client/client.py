"""The way to the WATS server over HTTP: one request, one decision (H1.3, H1.13, H1.14, H3.5).

* Whatever the network, TLS, a proxy or the server does becomes a ``Decision``; foreign exceptions stop here. Only a bug
  and a cancellation come through (H3.1).
* No upload outlasts its limit (H1.14): ``timeout_s`` of silence in any phase (connecting, each 64 KiB written, each
  piece of the answer), and ``upload_limit_s`` in all, plus what the body takes on the slowest line we serve; a server
  that drips one byte at a time holds its slot for that long and no longer.
* Redirects prove nothing: a POST sent elsewhere may have become a GET. One 307 or 308 within the same origin is
  followed, for those keep method and body; the token never leaves the origin it was configured for.
* The answer is read raw, up to 1 MiB, and compression is not asked for: nothing can unpack to gigabytes.
* Without a usable address or token nothing is tried and no report loses an attempt (``PauseForCredentials``).
* The token and the proxy's password appear in no ``repr``, log or error.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import httpx

from pywats_reliability.answers import Decision, PauseForCredentials, RetryLater
from pywats_reliability.errors import SendError
from pywats_reliability.events import Event
from pywats_reliability.ports import WallClock
from pywats_reliability.retry import Answer, decide, server_said
from pywats_reliability.wats_client.failures import TRANSPORT_ERRORS, failure, origin
from pywats_reliability.wats_client.line import Line, ProxySettings, make_line

REPORT_PATH = "/api/Report/WSJF"
VERSION_PATH = "/api/App/Version"
ANSWER_BYTES_MAX = 1024 * 1024
CHUNK_BYTES = 64 * 1024
SLOWEST_LINE_BYTES_PER_S = 16 * 1024
VERSION_LENGTH_MAX = 100
WORKS = "the server answers"
_SAME_METHOD_REDIRECTS = (307, 308)
_PROXY_REFUSED = 407

APIStatus = Literal["Offline", "Online", "Error"]


class WatsClient:
    """The ``ReportSender`` of the service. ``api_status_changed`` tells observers ``(status, reason)`` of every change.

    ``api_status`` is Online after an answer that only a working server gives, Error after one that none gives (refused
    credentials, 5xx, a login page), Offline while nothing answers. Whoever creates the client calls ``aclose``.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        clock: WallClock,
        timeout_s: float = 30.0,
        upload_limit_s: float | None = None,
        max_concurrent: int = 10,
        proxy: ProxySettings | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is opened before the first request. ``upload_limit_s`` is three times ``timeout_s`` if None.

        ``tls`` replaces the default trust (certifi's and the system's authorities), ``transport`` replaces the network.
        """
        self.api_status: APIStatus = "Offline"
        self.api_status_changed: Event[[str, str]] = Event("api_status_changed")
        self._clock = clock
        self._given_limit_s = upload_limit_s
        self._tls, self._transport = tls, transport
        proxy = proxy or ProxySettings()
        self._line = make_line(base_url, token, proxy, timeout_s=timeout_s, max_concurrent=max_concurrent)
        self._replaced: list[Line] = []
        self._requests = 0

    async def send(self, report_id: str, body: bytes) -> Decision:
        """Hand the report's bytes to the server; see ``ReportSender.send`` for what is promised."""
        async with self._in_use() as line:
            if (obstacle := line.problem or line.trouble) is not None:
                return PauseForCredentials(obstacle)
            request = line.request(report_id, body)
            limit_s = 3 * line.timeout_s if self._given_limit_s is None else self._given_limit_s
            limit_s += len(body) / SLOWEST_LINE_BYTES_PER_S
            try:
                answer = await self._exchange(line, "POST", REPORT_PATH, body, limit_s)
            except SendError as error:
                self._note("Offline", str(error))
                return RetryLater(str(error))
            decision = decide(answer, request, now=self._clock.now())
            if isinstance(decision, RetryLater | PauseForCredentials):
                self._note("Error", decision.reason)
            else:
                self._note("Online", WORKS)
            return decision

    async def version(self) -> str:
        """Ask the server for its version (the ping) and return it, shortened; raises ``SendError`` with the reason."""
        async with self._in_use() as line:
            if (obstacle := line.problem or line.trouble) is not None:
                raise SendError(obstacle)
            try:
                answer = await self._exchange(line, "GET", VERSION_PATH, None, line.timeout_s)
            except SendError as error:
                self._note("Offline", str(error))
                raise
            version = _version_in(answer)
            if version is None:
                words = server_said(answer, line.request())
                self._note("Error", words)
                raise SendError(f"expected the version of a WATS server, found none: {words}; check service_address")
            self._note("Online", WORKS)
            return version

    def update(
        self,
        base_url: str,
        token: str,
        *,
        timeout_s: float | None = None,
        max_concurrent: int | None = None,
        proxy: ProxySettings | None = None,
    ) -> None:
        """Take a new configuration: requests under way end on the old one, every later one uses the new.

        What is None stays. Idle connections of the old one are closed with the next request, or by ``aclose``.
        """
        old = self._line
        new = make_line(
            base_url, token, proxy or old.proxy,
            timeout_s=timeout_s or old.timeout_s, max_concurrent=max_concurrent or old.max_concurrent,
        )  # fmt: skip
        if not new.is_like(old):
            self._replaced.append(old)
            self._line = new

    async def aclose(self) -> None:
        """Close all connections; what is still under way ends with a broken one. Calling it again is harmless."""
        lines, self._replaced = [*self._replaced, self._line], []
        self._line = Line(None, "", "the client is closed")
        for line in lines:
            await line.close()

    @asynccontextmanager
    async def _in_use(self) -> AsyncIterator[Line]:
        line = self._line
        line.open(self._tls, self._transport)
        line.users += 1
        self._requests += 1
        try:
            yield line
        finally:
            line.users -= 1
            await self._close_replaced()

    async def _close_replaced(self) -> None:
        unused = [line for line in self._replaced if not line.users]
        self._replaced = [line for line in self._replaced if line.users]
        for line in unused:
            await line.close()

    async def _exchange(self, line: Line, method: str, path: str, body: bytes | None, limit_s: float) -> Answer:
        """Send one request, and once more after a redirect that keeps method, body and origin."""
        assert line.base is not None, "a line without a problem has an address"
        url = line.base.copy_with(path=line.base.path.rstrip("/") + path)
        deadline = asyncio.get_running_loop().time() + limit_s
        answer = await self._converse(line, method, url, body, deadline)
        target = _target_within(url, answer)
        return answer if target is None else await self._converse(line, method, target, body, deadline)

    async def _converse(
        self, line: Line, method: str, url: httpx.URL, body: bytes | None, deadline: float
    ) -> Answer:
        """Return the answer, cut short if its body did not come whole; raises ``SendError`` when there is none."""
        assert line.client is not None, "a line in use has a client"
        response, received, complete = None, bytearray(), False
        try:
            async with asyncio.timeout_at(deadline):
                response = await line.client.send(_request(line.client, method, url, body), stream=True)
                complete = await _read(response, received)
        except TRANSPORT_ERRORS as error:  # Among them the TimeoutError of the deadline, an OSError.
            if isinstance(error, httpx.ProxyError) and str(error).startswith(str(_PROXY_REFUSED)):
                return Answer(_PROXY_REFUSED)
            if response is None:
                raise SendError(failure(url, error, line.request())) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(received), complete)

    def _note(self, status: APIStatus, reason: str) -> None:
        if status != self.api_status:
            self.api_status = status
            self.api_status_changed.emit(status, reason)

    def __repr__(self) -> str:
        where = origin(self._line.base) if self._line.base is not None else "no address"
        return f"WatsClient({where}, {self.api_status}, {self._line.users} under way, {self._requests} requests)"


def _request(client: httpx.AsyncClient, method: str, url: httpx.URL, body: bytes | None) -> httpx.Request:
    if body is None:
        return client.build_request(method, url)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return client.build_request(method, url, content=_pieces(body), headers=headers)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """Cut the body, so that the write timeout is one of progress and a large report may take its time."""
    for start in range(0, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]


async def _read(response: httpx.Response, received: bytearray) -> bool:
    """Read the body into ``received``, up to the limit; tell whether all of it came."""
    try:
        async for piece in response.aiter_raw():
            received += piece[: ANSWER_BYTES_MAX - len(received)]
            if len(received) >= ANSWER_BYTES_MAX:
                return False
    finally:
        await response.aclose()
    return True


def _target_within(url: httpx.URL, answer: Answer) -> httpx.URL | None:
    """Return where a redirect leads that keeps method and body, if that is the same scheme, host and port."""
    if answer.status not in _SAME_METHOD_REDIRECTS or "location" not in answer.headers:
        return None
    try:
        target = url.join(answer.headers["location"])
    except httpx.InvalidURL:
        return None
    same = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
    return target.copy_with(userinfo=b"") if same else None


def _version_in(answer: Answer) -> str | None:
    if answer.status != 200 or not answer.complete:
        return None
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    text = value if isinstance(value, str) else json.dumps(value) if value else ""
    return "".join(c for c in text if c.isprintable())[:VERSION_LENGTH_MAX] or None
