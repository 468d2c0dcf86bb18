"""The sockets of one simulated process, by descriptor."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from chaos.sim.net.endpoint import system_error
from chaos.sim.net.host import Host
from chaos.sim.net.selector import ReadinessSelector
from chaos.sim.net.stream_socket import StreamSocket
from chaos.sim.ports import Process

if TYPE_CHECKING:
    from chaos.sim.net.network import SimulatedNetwork

FIRST_DESCRIPTOR = 1_000_000  # Far from real ones, so that a number which escapes to a real call cannot mean anything.


class SocketTable:
    """The open sockets of ``process`` on ``host``. ``sockets_max`` is when the system says EMFILE."""

    def __init__(self, network: SimulatedNetwork, process: Process, host: Host) -> None:
        self.network, self.process, self.host = network, process, host
        self.sockets: dict[int, StreamSocket] = {}
        self.sockets_max: int | None = None
        self.selector = ReadinessSelector(self)
        self._next = FIRST_DESCRIPTOR

    def __repr__(self) -> str:
        return f"SocketTable({self.process.name} on {self.host.name}, {len(self.sockets)} open)"

    @property
    def credentials(self) -> tuple[int, int, int]:
        """Return what a peer is told over a unix socket: process, user and group."""
        return self.process.number, os.geteuid(), os.getegid()

    def require_descriptor(self) -> None:
        """Raise ``OSError`` when no other socket may be opened."""
        if self.sockets_max is not None and len(self.sockets) >= self.sockets_max:
            raise system_error(errno.EMFILE)

    def open(self, family: int, proto: int) -> StreamSocket:
        """Return a new socket."""
        self.require_descriptor()
        created = StreamSocket(self, self._next, family, proto)
        self.sockets[self._next] = created
        self._next += 1
        return created

    def forget(self, closed: StreamSocket) -> None:
        """Take a socket off the list."""
        self.sockets.pop(closed.number, None)
        self.selector.drop(closed.number)

    def close_all(self) -> None:
        """Close every socket, as a kernel does for a process that has ended."""
        for one in list(self.sockets.values()):
            one.close()

    def abandon_all(self) -> None:
        """Forget every socket: there is no kernel any more that could close them."""
        for one in list(self.sockets.values()):
            one.abandon()
