"""One configuration of the way to the server: its address, its secrets, its proxy, and the connections made for it."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Literal
from urllib.parse import unquote
from urllib.request import getproxies

import httpx

from pywats_reliability.retry import Request


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The way out: ``none``, ``system`` (the environment's proxies), or ``manual``. ``bypass``: hosts, by comma.

    ``withheld``: what else no reason may show, of these settings or of others.
    """

    mode: Literal["none", "system", "manual"] = "system"
    host: str = ""
    port: int = 8080
    username: str = ""
    password: str = field(default="", repr=False)
    bypass: str = ""
    withheld: tuple[str, ...] = field(default=(), repr=False)

    @property
    def token(self) -> str:
        """What proves us to the proxy, as it goes over the wire; empty when nothing does."""
        if self.mode != "manual" or not self.username:
            return ""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(slots=True)
class Line:
    """The way to the server as configured; closed when it was replaced and its last request has ended.

    ``problem`` is what is wrong with the settings; ``trouble`` why no connection can be prepared just now.
    """

    base: httpx.URL | None
    token: str = field(repr=False)
    problem: str | None
    proxy: ProxySettings = field(default_factory=ProxySettings)
    timeout_s: float = 30.0
    max_concurrent: int = 10
    trouble: str | None = None
    client: httpx.AsyncClient | None = None
    users: int = 0
    withheld: tuple[str, ...] = field(default=(), repr=False)

    def is_like(self, other: Line) -> bool:
        """Return whether the other line leads the same way, under the same limits."""
        mine, theirs = ((e.base, e.token, e.proxy, e.timeout_s, e.max_concurrent) for e in (self, other))
        return mine == theirs

    def request(self, report_id: str = "", body: bytes = b"") -> Request:
        """Return what an answer to a request on this line must be compared with."""
        return Request(report_id, body, self.token, self.proxy.token, self.withheld)

    def open(self, tls: ssl.SSLContext | None, transport: httpx.AsyncBaseTransport | None) -> None:
        """Prepare connections, unless there are some; what stands in the way is the line's ``trouble``."""
        if self.client is not None or self.problem is not None:
            return
        try:
            self.client, self.trouble = self._made(tls, transport), None
        except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:  # A bad proxy; no trust to be read.
            self.trouble = f"expected usable proxy and TLS settings, found {type(error).__name__}; check them"

    def _made(self, tls: ssl.SSLContext | None, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
        connections = self.max_concurrent + 2  # Room for the ping: an upload never waits for a connection.
        manual = self.proxy if self.proxy.mode == "manual" and transport is None else None
        return httpx.AsyncClient(
            headers=_headers(self.token),
            timeout=httpx.Timeout(self.timeout_s),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            verify=tls or _tls_for(self.base),
            transport=transport,
            trust_env=self.proxy.mode == "system",
            proxy=_proxy_for(manual) if manual else None,
            mounts=dict.fromkeys(_bypassed(manual)) if manual else None,
        )

    async def close(self) -> None:
        """Close the connections; harmless to repeat."""
        if (client := self.client) is not None:
            self.client = None
            await client.aclose()


def make_line(base_url: str, token: str, proxy: ProxySettings, *, timeout_s: float, max_concurrent: int) -> Line:
    """Return a line for settings as people type them; what is wrong with them is its ``problem``, no exception."""
    base, token = _base(base_url), token.strip()
    problem = None
    if not base_url.strip():
        problem = "expected a server address, found none; set service_address"
    elif base is None:
        problem = "expected an http(s) URL with a host, found something else; set service_address"
    elif not all("!" <= character <= "~" for character in token):
        problem = "expected a token of plain characters, found others; set api_token"
    withheld = tuple(secret for secret in (proxy.password, *proxy.withheld, *_of_the_environment(proxy)) if secret)
    return Line(base, token, problem, proxy, timeout_s, max_concurrent, withheld=withheld)


def _of_the_environment(proxy: ProxySettings) -> Iterator[str]:
    """Yield what signs us in to the environment's proxies, where they are used."""
    for address in getproxies().values() if proxy.mode == "system" else ():
        signed_in = address.rpartition("@")[0].rpartition("/")[2]
        password = unquote(signed_in.partition(":")[2])
        yield from (password, unquote(signed_in)) if password else ()


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
        return _trusting_nobody()
    context = httpx.create_ssl_context()
    context.load_default_certs()  # A company's own authority is in the system's store, not in certifi's.
    return context


@cache
def _trusting_nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _proxy_for(settings: ProxySettings) -> httpx.Proxy:
    auth = (settings.username, settings.password) if settings.username else None
    return httpx.Proxy(httpx.URL(scheme="http", host=settings.host, port=settings.port), auth=auth)


def _bypassed(settings: ProxySettings) -> Iterator[str]:
    for host in settings.bypass.replace(";", ",").split(","):
        if name := host.strip().removeprefix("*").removeprefix("."):
            yield f"all://*{name}" if not name.replace(".", "").isdecimal() else f"all://{name}"
