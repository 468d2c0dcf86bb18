"""The server as a process: announced when it listens, gone on a signal, or together with whoever started it.

* ``--announce`` writes one JSON line with the ports and the process id, once both ports listen.
* SIGTERM and SIGINT end it at once. With ``exit_with_stdin`` so does the end of its standard input: whoever holds the
  other end of that pipe and dies, even by SIGKILL, leaves no server behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Self

import click

from chaos.errors import ChaosError, UsageError
from chaos.live.wats_server.server import WatsServer
from chaos.wats_server.listener import url_of
from chaos.wats_server.memory import ServerSettings

MODULE = "chaos.live.wats_server"
Announce = Callable[[WatsServer], None]


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the process says when it listens."""

    data_port: int
    control_port: int
    pid: int
    host: str = "127.0.0.1"

    @property
    def data_url(self) -> str:
        """Return the address to send reports to."""
        return url_of(self.host, self.data_port)

    @property
    def control_url(self) -> str:
        """Return the address for ``WatsServerClient``."""
        return url_of(self.host, self.control_port)

    def to_line(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str | bytes) -> Self:
        """Return what a line says. Raises ``ChaosError`` when it is no announcement."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ChaosError(f"expected a WATS server's announcement, found {line!r:.80}; read its stderr") from error


def serve_until_signal(host: str, port: int, control_port: int, *, settings: ServerSettings | None = None) -> int:
    """Run the server for a person at a terminal: say where it is, serve until a signal comes, return the exit code.

    Raises ``UsageError`` for an address that is not loopback and for a port that is taken.
    """
    return run(host, port, control_port, settings=settings, announce=_tell_a_person)


def run(
    host: str,
    port: int,
    control_port: int,
    *,
    settings: ServerSettings | None = None,
    announce: Announce,
    exit_with_stdin: bool = False,
) -> int:
    """Run the server in an event loop of its own until a signal (or the end of stdin) ends it; return 0."""
    asyncio.run(_serve(WatsServer(host, port, control_port, settings=settings), announce, exit_with_stdin))
    return 0


def announce_on(target: str) -> Announce:
    """Return what writes the announcement on a file descriptor, given as its number, or ``-`` for stdout.

    Raises ``UsageError`` when it is neither.
    """
    if target != "-" and not target.isdecimal():
        raise UsageError("- or the number of a descriptor to announce on", repr(target), "use - for stdout")

    def announce(server: WatsServer) -> None:
        line = Announcement(server.data_port, server.control_port, os.getpid(), server.host).to_line().encode()
        descriptor = sys.stdout.fileno() if target == "-" else int(target)
        try:
            os.write(descriptor, line)
        except OSError as error:
            found = f"descriptor {descriptor}: {error.strerror}"
            raise UsageError("a descriptor to announce on", found, "pass an open one, or - for stdout") from error

    return announce


async def _serve(server: WatsServer, announce: Announce, exit_with_stdin: bool) -> None:
    ended = asyncio.Event()
    with _signals(ended):
        async with server:
            transport = await _watch_stdin(ended) if exit_with_stdin else None
            announce(server)
            await ended.wait()
            if transport:
                transport.close()


@contextmanager
def _signals(ended: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class _UntilEnd(asyncio.Protocol):
    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended does not matter
        self._ended.set()


async def _watch_stdin(ended: asyncio.Event) -> asyncio.ReadTransport:
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0)):
        advice = "start the server with a pipe, or without --exit-with-stdin"
        raise UsageError("a pipe as standard input", f"a file of type {stat.filemode(mode)[0]!r}", advice)
    pipe = os.fdopen(os.dup(0), "rb", buffering=0)  # A copy, so that closing it leaves the interpreter's own alone.
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: _UntilEnd(ended), pipe)
    return transport


def _tell_a_person(server: WatsServer) -> None:
    rule = '[{"action": "hang_after_body", "times": 1}]'
    click.echo(
        f"WATS server on {server.data_url}, told to misbehave on {server.control_url}/_chaos/ (GET lists the words),"
        f" as by: curl -X PUT {server.control_url}/_chaos/rules -d '{rule}'"
    )
