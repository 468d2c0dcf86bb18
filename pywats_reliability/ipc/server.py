"""The service's side of IPC: it listens, serves each client in a task of its own, and never hangs on any of them.

* ``start`` opens the address, ``run`` serves until ``close`` (or until cancelled), ``close`` ends everything in its
  time. ``run`` is one supervised task; every connection's task belongs to it, so none outlives it or fails unseen.
* Limits are the connection's (H6.1, H6.2, H6.8), checks and commands the session's (H6.3, H6.5, H6.7), the socket file
  the listener's (H6.9). Here: who gets a place, and how it all ends.
* Places are bounded (H6.4). When all are taken, the client that keeps the server waiting goes: first those that have
  never had an answer, of these the one waiting longest. So a crowd of hung clients cannot keep a well-behaved one out,
  neither the one that comes nor the one that calls regularly. Only when every place is busy with a command is the
  newcomer refused: closed without a hello.
* Out of file descriptors, a client that never had an answer gives its own up; when there is none, accepting pauses for
  a second at a time. The others are served on. One warning a minute, and no error (H6.10).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from pywats_reliability.errors import TaskEndedError
from pywats_reliability.ipc.address import Address
from pywats_reliability.ipc.connection import Connection, Tally
from pywats_reliability.ipc.limits import (
    CONNECTION_TIMEOUT_S,
    READ_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    WRITE_TIMEOUT_S,
    IPCLimits,
)
from pywats_reliability.ipc.listener import Listener, listen
from pywats_reliability.ipc.messages import Hello
from pywats_reliability.ipc.session import CommandHandler, Session
from pywats_reliability.ports import Heartbeat

CLOSE_TIMEOUT_S = 5.0
CANCEL_TIMEOUT_S = 1.0
WARN_EVERY_S = 60.0
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IPCCounts:
    """What a server has seen, for status and metrics.

    ``refused`` and ``evicted`` count connections that got no place or lost it to another; ``errors`` answers that were
    errors; ``timeouts`` limits that clients or commands let pass (idling is none of them).
    """

    connections_open: int
    connections_total: int
    connections_refused: int
    connections_evicted: int
    requests: int
    errors: int
    timeouts: int


class AsyncIPCServer:
    """Answers clients at ``address`` with ``handlers``, a coroutine function for each command.

    ``hello`` is what clients are greeted with; whether they must prove themselves follows from ``secret`` (``None``:
    no), and stands in it when they read it. ``auth`` and ``ping`` are answered here and need no handler.
    """

    CONNECTION_TIMEOUT: ClassVar[float] = CONNECTION_TIMEOUT_S
    READ_TIMEOUT: ClassVar[float] = READ_TIMEOUT_S
    WRITE_TIMEOUT: ClassVar[float] = WRITE_TIMEOUT_S
    REQUEST_TIMEOUT: ClassVar[float] = REQUEST_TIMEOUT_S
    HEARTBEAT_S: ClassVar[float] = 10.0
    ACCEPT_RETRY_S: ClassVar[float] = 1.0

    def __init__(
        self,
        address: Address,
        *,
        handlers: Mapping[str, CommandHandler],
        secret: str | None,
        hello: Hello,
        limits: IPCLimits | None = None,
    ) -> None:
        self._configured, self._handlers, self._secret = address, handlers, secret
        own = {"rate_limit"} | ({"auth"} if secret is not None else set())
        capabilities = tuple(sorted(own | (set(hello.capabilities) - {"auth"})))
        self._hello = replace(hello, requires_auth=secret is not None, capabilities=capabilities)
        self._limits = limits or IPCLimits()
        self._listener: Listener | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._leaving: dict[Connection, asyncio.Task[None]] = {}
        self._tally = Tally()
        self._total = self._refused = self._evicted = 0
        self._warned_at: float | None = None
        self._is_closed = False

    @property
    def address(self) -> Address:
        """The address clients connect to; after ``start`` with the port that the system chose, if it was to."""
        return self._configured if self._listener is None else self._listener.address

    @property
    def counts(self) -> IPCCounts:
        """What has happened so far."""
        tally, open_now = self._tally, len(self._connections)
        return IPCCounts(
            open_now, self._total, self._refused, self._evicted, tally.requests, tally.errors, tally.timeouts
        )

    def limit(self, limits: IPCLimits) -> None:
        """Take other limits into force, for connections from now on."""
        self._limits = limits

    async def start(self) -> None:
        """Listen: from now on clients may connect, and are served as soon as ``run`` runs.

        Raises ``IPCServerRunningError`` when a live server has the address, ``IPCAddressError``, ``DiskError`` or
        ``ListenError`` when it cannot be had. Cancelled or failed, it leaves nothing behind.
        """
        assert self._listener is None, "a server starts once; make a new one for another start"
        self._listener = await listen(self._configured)
        log.info("IPC listens on %s", self._listener.address)

    async def run(self, heartbeat: Heartbeat) -> None:
        """Serve clients until ``close``; then return, with every connection ended. To be supervised.

        ``heartbeat`` is called at least every ``HEARTBEAT_S``. Cancelling it ends all connections at once but goes on
        listening: it may be run again, or closed.
        """
        listener = self._listener
        assert listener is not None, "start() comes before run()"
        if self._is_closed:
            return
        async with asyncio.TaskGroup() as group:
            self._accepting = group.create_task(self._accept(listener, group, heartbeat), name="ipc accepting")

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[AsyncIPCServer]:
        """Start, run and close around a block, for programs that have no supervisor."""
        await self.start()
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            group.create_task(self.run(lambda: None), name="ipc server")
            try:
                yield self
            except Exception as error:  # noqa: BLE001 - raised again outside the group, which would wrap it
                failure = error
            finally:
                await self.close()
        if failure is not None:
            raise failure

    async def close(self, timeout: float = CLOSE_TIMEOUT_S) -> None:
        """Stop listening, remove the socket file, and end every connection. Idempotent; concurrent calls are fine.

        Clients that are being waited for go at once; a command that is being carried out may end and be answered within
        ``timeout`` seconds, then it is cancelled; one that ignores that for ``CANCEL_TIMEOUT_S`` is named in the log
        and left. Cancelling ``close`` leaves the rest to be closed by the next call.
        """
        self._is_closed = True
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait({self._accepting})
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.finish()
        await self._end_tasks(timeout)

    async def _end_tasks(self, timeout: float) -> None:
        tasks = self._connections | self._leaving
        left = set(tasks.values()) - {asyncio.current_task()}
        for limit_s in (timeout, CANCEL_TIMEOUT_S):
            if left:
                _, left = await asyncio.wait(left, timeout=limit_s)
            for task in left:
                task.cancel()
        for connection, task in tasks.items():
            if task in left:
                connection.abort()
                log.error("IPC closed its sockets, but %s ignores its cancellation", repr(connection))

    async def _accept(self, listener: Listener, group: asyncio.TaskGroup, heartbeat: Heartbeat) -> None:
        try:
            await self._accept_all(listener, group, heartbeat)
        except SystemExit as error:  # From a task of a group it would tear through the event loop (C2.1).
            raise TaskEndedError("ipc accepting", "raised SystemExit, which is for ending a process") from error

    async def _accept_all(self, listener: Listener, group: asyncio.TaskGroup, heartbeat: Heartbeat) -> None:
        while True:
            heartbeat()
            try:
                async with asyncio.timeout(self.HEARTBEAT_S):
                    accepted = await listener.accept()
            except (TimeoutError, ConnectionAbortedError):
                continue  # Nobody came, or left before its turn.
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                await self._wait_for_a_descriptor(listener, error)
            else:
                self._admit(accepted, group)
                await asyncio.sleep(0)  # A burst of newcomers must not keep those connected waiting.

    async def _wait_for_a_descriptor(self, listener: Listener, error: OSError) -> None:
        """Have somebody give a descriptor up, if there is anybody to accept: without any, the system says the same."""
        try:
            async with asyncio.timeout(self.ACCEPT_RETRY_S):
                await listener.wait_for_somebody()
        except TimeoutError:
            return
        now = asyncio.get_running_loop().time()
        if self._warned_at is None or now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            log.warning("IPC cannot accept clients for now: %s; raise the limit of open files", error.strerror)
        leaving = self._send_one_away(lambda connection: connection.answered == 0)
        if leaving is None:
            await asyncio.sleep(self.ACCEPT_RETRY_S)
        else:
            await asyncio.wait({leaving}, timeout=self.ACCEPT_RETRY_S)

    def _admit(self, accepted: socket.socket, group: asyncio.TaskGroup) -> None:
        self._total += 1
        if len(self._connections) >= self._limits.connections_max and self._send_one_away() is None:
            self._refused += 1
            accepted.close()
            return
        session = Session(self._handlers, secret=self._secret, request_s=self._limits.request_s)
        connection = Connection(
            self._total, accepted, hello=self._hello, session=session, limits=self._limits, tally=self._tally
        )
        task = group.create_task(self._serve(connection), name=f"ipc connection {connection.number}")
        self._connections[connection] = task
        task.add_done_callback(lambda _: self._forget(connection))

    def _send_one_away(self, may_go: Callable[[Connection], bool] = lambda _: True) -> asyncio.Task[None] | None:
        """Close the connection with the least claim to its place, of those whose clients are being waited for.

        Return its task, which ends soon; or ``None`` when there is none.
        """
        waiting = (c for c in self._connections if c.waits_since is not None and may_go(c))
        connection = min(waiting, key=_claim, default=None)
        if connection is None:
            return None
        self._evicted += 1
        self._leaving[connection] = task = self._connections.pop(connection)
        connection.abort()
        return task

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.serve()
        except Exception:  # A bug of ours may cost this client its connection, and nobody else anything.
            log.exception("IPC %r ended by an error of the service's own", connection)

    def _forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._leaving.pop(connection, None)
        connection.release()

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"AsyncIPCServer({self.address}, {counts.connections_open} of {self._limits.connections_max} connections, "
            f"{counts.requests} requests, {counts.errors} errors, {counts.timeouts} timeouts)"
        )


def _claim(connection: Connection) -> tuple[bool, int]:
    """How much claim a waiting connection has to its place: one that had an answer more than one that never did."""
    return connection.answered > 0, connection.waits_since or 0
