"""Why there was no answer, in words: what the network, TLS and httpx raise becomes one line without a secret."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

import httpx

from pywats_reliability.retry import Request, scrub

# What httpx lets through besides its own tree: a broken TLS record (OSError), a host name that cannot be encoded.
TRANSPORT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError)


def origin(url: httpx.URL) -> str:
    """Return scheme, host and port of an address."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def failure(url: httpx.URL, error: Exception, request: Request) -> str:
    """Return why there was no answer, in one line, for who must mend the address, the network or the server."""
    return scrub(f"expected an answer of {origin(url)}, found {_found(error)}; it will be tried again", request)


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
