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
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import httpx

from pywats_reliability.answers import Decision, PauseForCredentials, RetryLater
from pywats_reliability.errors import SendError
from pywats_reliability.events import Event
from pywats_reliability.ports import WallClock
from pywats_reliability.retry import Answer, Request, decide, scrub_token, server_said

REPORT_PATH = "/api/Report/WSJF"
VERSION_PATH = "/api/App/Version"
ANSWER_BYTES_MAX = 1024 * 1024
CHUNK_BYTES = 64 * 1024
SLOWEST_LINE_BYTES_PER_S = 16 * 1024
VERSION_LENGTH_MAX = 100
WORKS = "the server answers"
_SAME_METHOD_REDIRECTS = (307, 308)
_PROXY_REFUSED = 407

# What httpx lets through besides its own tree: a broken TLS record (OSError), a host name that cannot be encoded.
_TRANSPORT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError)

APIStatus = Literal["Offline", "Online", "Error"]


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The way out: ``none``, ``system`` (the environment's proxies), or ``manual``. ``bypass``: hosts, by comma."""

    mode: Literal["none", "system", "manual"] = "system"
    host: str = ""
    port: int = 8080
    username: str = ""
    password: str = field(default="", repr=False)
    bypass: str = ""


@dataclass(slots=True)
class _Line:
    """One configuration of the way to the server; it closes when it was replaced and its last request has ended.

    ``problem`` is what is wrong with the settings; ``trouble`` why no connection can be prepared just now.
    """

    base: httpx.URL | None
    token: str = field(repr=False)
    problem: str | None
    trouble: str | None = None
    client: httpx.AsyncClient | None = None
    users: int = 0
    is_replaced: bool = False

    async def close_when_unused(self) -> None:
        if self.is_replaced and not self.users and self.client is not None:
            client, self.client = self.client, None
            await client.aclose()


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
        self._timeout_s = timeout_s
        self._upload_limit_s = 3 * timeout_s if upload_limit_s is None else upload_limit_s
        self._max_concurrent = max_concurrent
        self._proxy = proxy or ProxySettings()
        self._tls = tls
        self._transport = transport
        self._line = _line(base_url, token)
        self._requests = 0

    async def send(self, report_id: str, body: bytes) -> Decision:
        """Hand the report's bytes to the server; see ``ReportSender.send`` for what is promised."""
        async with self._in_use() as line:
            if (obstacle := line.problem or line.trouble) is not None:
                return PauseForCredentials(obstacle)
            request = Request(report_id, body, line.token)
            limit_s = self._upload_limit_s + len(body) / SLOWEST_LINE_BYTES_PER_S
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
                answer = await self._exchange(line, "GET", VERSION_PATH, None, self._timeout_s)
            except SendError as error:
                self._note("Offline", str(error))
                raise
            version = _version_in(answer)
            if version is None:
                words = server_said(answer, Request("", token=line.token))
                self._note("Error", words)
                raise SendError(f"expected the version of a WATS server, found none: {words}; check service_address")
            self._note("Online", WORKS)
            return version

    async def update(
        self, base_url: str, token: str, *, max_concurrent: int | None = None, proxy: ProxySettings | None = None
    ) -> None:
        """Take a new configuration: requests under way end on the old one, every later one uses the new."""
        self._max_concurrent = max_concurrent or self._max_concurrent
        self._proxy = proxy or self._proxy
        old, self._line = self._line, _line(base_url, token)
        old.is_replaced = True
        await old.close_when_unused()

    async def aclose(self) -> None:
        """Close all connections; what is still under way ends with a broken one. Calling it again is harmless."""
        line, self._line = self._line, _Line(None, "", "the client is closed")
        line.is_replaced, client, line.client = True, line.client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def _in_use(self) -> AsyncIterator[_Line]:
        line = self._line
        if line.client is None and line.problem is None:
            try:
                line.client, line.trouble = self._client_for(line), None
            except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:  # A bad proxy; no trust to be read.
                line.trouble = f"expected usable proxy and TLS settings, found {type(error).__name__}; check them"
        line.users += 1
        self._requests += 1
        try:
            yield line
        finally:
            line.users -= 1
            await line.close_when_unused()

    def _client_for(self, line: _Line) -> httpx.AsyncClient:
        connections = self._max_concurrent + 2  # Room for the ping: an upload never waits for a connection.
        manual = self._proxy if self._proxy.mode == "manual" and self._transport is None else None
        return httpx.AsyncClient(
            headers=_headers(line.token),
            timeout=httpx.Timeout(self._timeout_s),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            verify=self._tls or _tls_for(line.base),
            transport=self._transport,
            trust_env=self._proxy.mode == "system",
            proxy=_proxy_for(manual) if manual else None,
            mounts=dict.fromkeys(_bypassed(manual)) if manual else None,
        )

    async def _exchange(self, line: _Line, method: str, path: str, body: bytes | None, limit_s: float) -> Answer:
        """Send one request, and once more after a redirect that keeps method, body and origin."""
        assert line.base is not None, "a line without a problem has an address"
        url = line.base.copy_with(path=line.base.path.rstrip("/") + path)
        deadline = asyncio.get_running_loop().time() + limit_s
        answer = await self._converse(line, method, url, body, deadline)
        target = _target_within(url, answer)
        return answer if target is None else await self._converse(line, method, target, body, deadline)

    async def _converse(
        self, line: _Line, method: str, url: httpx.URL, body: bytes | None, deadline: float
    ) -> Answer:
        """Return the answer, cut short if its body did not come whole; raises ``SendError`` when there is none."""
        assert line.client is not None, "a line in use has a client"
        response, received, complete = None, bytearray(), False
        try:
            async with asyncio.timeout_at(deadline):
                response = await line.client.send(_request(line.client, method, url, body), stream=True)
                complete = await _read(response, received)
        except _TRANSPORT_ERRORS as error:  # Among them the TimeoutError of the deadline, an OSError.
            if isinstance(error, httpx.ProxyError) and str(error).startswith(str(_PROXY_REFUSED)):
                return Answer(_PROXY_REFUSED)
            if response is None:
                raise SendError(_failure(url, error, line.token)) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(received), complete)

    def _note(self, status: APIStatus, reason: str) -> None:
        if status != self.api_status:
            self.api_status = status
            self.api_status_changed.emit(status, reason)

    def __repr__(self) -> str:
        where = _origin(self._line.base) if self._line.base is not None else "no address"
        return f"WatsClient({where}, {self.api_status}, {self._line.users} under way, {self._requests} requests)"


def _line(base_url: str, token: str) -> _Line:
    """Return a line for settings as people type them; what is wrong with them is its ``problem``, no exception."""
    base, token = _base(base_url), token.strip()
    problem = None
    if not base_url.strip():
        problem = "expected a server address, found none; set service_address"
    elif base is None:
        problem = "expected an http(s) URL with a host, found something else; set service_address"
    elif not all("!" <= character <= "~" for character in token):
        problem = "expected a token of plain characters, found others; set api_token"
    return _Line(base, token, problem)


def _base(base_url: str) -> httpx.URL | None:
    text = base_url.strip().rstrip("/")
    if text.lower().endswith("/api"):
        text = text[: -len("/api")].rstrip("/")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return None
    if url.scheme not in ("http", "https") or not url.host:
        return None
    return url.copy_with(userinfo=b"", query=None, fragment=None)  # A user in the URL would replace our token.


def _headers(token: str) -> dict[str, str]:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "pywats-reliability"}
    return {**headers, "Authorization": f"Basic {token}"} if token else headers


def _tls_for(base: httpx.URL | None) -> ssl.SSLContext:
    """Return a context that verifies; reading the authorities takes 20 ms, which plain HTTP need not pay."""
    if base is None or base.scheme != "https":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # It trusts nobody.
    context = httpx.create_ssl_context()
    context.load_default_certs()  # A company's own authority is in the system's store, not in certifi's.
    return context


def _proxy_for(settings: ProxySettings) -> httpx.Proxy:
    auth = (settings.username, settings.password) if settings.username else None
    return httpx.Proxy(httpx.URL(scheme="http", host=settings.host, port=settings.port), auth=auth)


def _bypassed(settings: ProxySettings) -> Iterator[str]:
    for host in settings.bypass.replace(";", ",").split(","):
        if name := host.strip().removeprefix("*").removeprefix("."):
            yield f"all://*{name}" if not name.replace(".", "").isdecimal() else f"all://{name}"


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


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _failure(url: httpx.URL, error: Exception, token: str) -> str:
    """Return why there was no answer, in one line, for who must mend the address, the network or the server."""
    return scrub_token(f"expected an answer of {_origin(url)}, found {_found(error)}; it will be tried again", token)


_SILENCE: tuple[tuple[type[Exception], str], ...] = (
    (httpx.ConnectTimeout, "no connection within the timeout"),
    (httpx.WriteTimeout, "a server that takes no more data"),
    (httpx.TimeoutException, "silence until the timeout"),
    (TimeoutError, "no complete answer within the limit of an upload"),
    (httpx.RemoteProtocolError, "a connection closed before its answer, or an answer that is not HTTP"),
)


def _found(error: Exception) -> str:
    for kind, words in _SILENCE:
        if isinstance(error, kind):
            return words
    system = next((e for e in _causes(error) if isinstance(e, OSError) and e.errno), None)
    if isinstance(system, ssl.SSLError):
        words = getattr(system, "verify_message", None) or getattr(system, "reason", None) or "broken record"
        return f"a TLS failure: {words}"
    if isinstance(system, socket.gaierror):
        return "no such host name"
    words = os.strerror(system.errno) if system and system.errno else type(error).__name__
    return f"an error of the connection: {words.lower()}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error down to what the operating system said, through the layers that wrap it."""
    waiting: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while waiting:
        found = waiting.pop(0)
        if found is None or any(found is other for other in seen):
            continue
        seen.append(found)
        yield found
        waiting += [found.__cause__, found.__context__]
        if isinstance(found, BaseExceptionGroup):
            waiting += found.exceptions
