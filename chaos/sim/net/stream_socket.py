"""A stream socket as the simulated kernel has it: what its system calls do, without what Python puts around them."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from chaos.sim.net.endpoint import Endpoint, system_error
from chaos.sim.net.handshake import Handshake
from chaos.sim.net.host import Binding
from chaos.sim.net.listening import Listening
from chaos.sim.verdicts import NotSimulatedError

if TYPE_CHECKING:
    from chaos.sim.net.table import SocketTable

SMALLEST_BUFFER_BYTES = 2048
_CREDENTIALS = struct.Struct("3i")
_LINGER = struct.Struct("ii")
# Options that change nothing here: what they are about does not happen in this network.
_HARMLESS = {
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    (socket.IPPROTO_TCP, socket.TCP_QUICKACK),
    (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
    (socket.SOL_SOCKET, socket.SO_REUSEPORT),
}
_BUFFERS = {socket.SO_SNDBUF: "send_bytes_max", socket.SO_RCVBUF: "receive_bytes_max"}


class StreamSocket:
    """One socket of a process; ``number`` is its descriptor. Every method raises ``OSError`` as the system would."""

    def __init__(self, table: SocketTable, number: int, family: int, proto: int) -> None:
        self.table, self.number, self.family, self.proto = table, number, family, proto
        self.is_open, self.lingers = True, True
        self.endpoint: Endpoint | None = None
        self.listening: Listening | None = None
        self._binding: Binding | None = None
        self._path: Any = ""
        self._identity: tuple[int, int] | None = None
        self._handshake: Handshake | None = None
        self._error = 0
        self._options: dict[tuple[int, int], int] = {}

    def __repr__(self) -> str:
        what = self.endpoint or self.listening or ("open" if self.is_open else "closed")
        return f"StreamSocket({self.number}, {what!r})"

    @property
    def is_readable(self) -> bool:
        """Return whether ``accept`` or ``receive`` would not block."""
        if self.listening is not None:
            return self.listening.is_readable
        if self.endpoint is not None:
            return self.endpoint.is_readable
        return self._handshake is None  # An unconnected socket polls as hung up.

    @property
    def is_writable(self) -> bool:
        """Return whether ``send`` would not block, or an attempt to connect has ended."""
        if self.listening is not None:
            return False
        return self._handshake is None if self.endpoint is None else self.endpoint.is_writable

    def bind(self, address: Any) -> None:
        """Take an address: a path for a unix socket, else a host and a port."""
        if self._binding is not None or self._path:
            raise system_error(errno.EINVAL)
        if self.family == socket.AF_UNIX:
            self._path = os.fspath(address)
            try:
                self._identity = self.table.network.make_socket_file(self.table.process, self._path)
            except OSError:
                self._path = ""
                raise
            return
        ip = self.table.network.own_address(self.table.host, address[0], self.family)
        may_share = bool(self._options.get((socket.SOL_SOCKET, socket.SO_REUSEADDR)))
        self._binding = self.table.host.bind(ip, address[1], may_share=may_share)

    def listen(self, backlog: int) -> None:
        """Take connections from now on, or change the backlog."""
        if self.listening is not None:
            self.listening.backlog = backlog
            return
        if self.family == socket.AF_UNIX:
            if self._identity is None:
                raise system_error(errno.EINVAL)
        elif self._binding is None:
            self.bind(("::" if self.family == socket.AF_INET6 else "0.0.0.0", 0))  # noqa: S104 - in the simulation
        self.listening = listening = Listening(backlog)
        listening.on_change = self.changed
        self.table.network.trace("net.listen", self.table.host, address=self.name())
        if self._identity is not None:
            self.table.network.unix_listeners[self._identity] = listening
        elif self._binding is not None:
            if any(self._binding.conflicts_with(other) for other in self._others()):
                self.listening = None
                raise system_error(errno.EADDRINUSE)
            self._binding.listening = listening

    def accept(self) -> tuple[StreamSocket, Any]:
        """Return the oldest connection that waits, and its peer's address."""
        if self.listening is None:
            raise system_error(errno.EINVAL)
        self.table.require_descriptor()
        endpoint = self.listening.take()
        if endpoint is None:
            raise system_error(errno.EAGAIN)
        accepted = self.table.open(self.family, self.proto)
        for option, name in _BUFFERS.items():
            if (size := self._options.get((socket.SOL_SOCKET, option))) is not None:
                _set_buffer(endpoint, name, size)
        accepted.adopt(endpoint)
        self.table.network.trace("net.accept", self.table.host, connection=endpoint.number)
        return accepted, endpoint.remote

    def adopt(self, endpoint: Endpoint) -> None:
        """Be the socket of a connection that has been made."""
        self.endpoint, self._handshake = endpoint, None
        endpoint.on_change = self.changed
        for option, name in _BUFFERS.items():
            if (size := self._options.get((socket.SOL_SOCKET, option))) is not None:
                _set_buffer(endpoint, name, size)
        self.changed()

    def connect(self, address: Any) -> None:
        """Begin to connect; a TCP socket that has not done so yet raises ``BlockingIOError`` (EINPROGRESS)."""
        if self.endpoint is not None:
            raise system_error(errno.EISCONN)
        if self._handshake is not None:
            raise system_error(errno.EALREADY)
        if self._error:
            raise system_error(self.take_error())
        if self.family == socket.AF_UNIX:
            self.adopt(self.table.network.connect_unix(self.table, os.fspath(address), self._path))
            return
        self._handshake = self.table.network.connect(self, address, self._binding)
        raise system_error(errno.EINPROGRESS)

    def connect_failed(self, code: int) -> None:
        """Take note that the attempt to connect has ended in vain."""
        self._handshake, self._error = None, code
        self.changed()

    def receive(self, bytes_max: int, flags: int = 0) -> bytes:
        """Return what has come, at most ``bytes_max`` bytes."""
        if not flags:
            return self._connected().receive(bytes_max)
        if flags & ~(socket.MSG_PEEK | socket.MSG_DONTWAIT):
            raise NotSimulatedError(f"recv with the flags {flags:#x}", "leave them out")
        return self._connected().receive(bytes_max, peek=bool(flags & socket.MSG_PEEK))

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Hand over what there is room for, and return how much."""
        view = memoryview(data).cast("B")
        if self.endpoint is None and self.family == socket.AF_UNIX:
            raise system_error(errno.ENOTCONN)
        endpoint = self._connected(errno.EPIPE)
        if self.family == socket.AF_UNIX and endpoint.peer.is_gone and not endpoint.error:
            raise system_error(errno.EPIPE)
        return endpoint.send(view)

    def shutdown(self, how: int) -> None:
        """End reading, writing or both."""
        endpoint = self._connected()
        if endpoint.is_reset:
            raise system_error(errno.ENOTCONN)
        if how in (socket.SHUT_RD, socket.SHUT_RDWR):
            endpoint.end_reading()
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            endpoint.end_writing()
        self.changed()

    def close(self) -> None:
        """Close it (harmless to repeat)."""
        if not self.is_open:
            return
        self.is_open = False
        self.table.forget(self)
        if self._handshake is not None:
            self._handshake.give_up()
        if self.listening is not None:
            self.listening.close()
            if self._identity is not None:
                self.table.network.unix_listeners.pop(self._identity, None)
        if self.endpoint is not None:
            self.endpoint.close(at_once=not self.lingers)
        if self._binding is not None:
            self.table.host.release(self._binding)

    def abandon(self) -> None:
        """Be gone without a word, with whatever it had: the machine has lost power."""
        self.is_open = False
        self.table.forget(self)
        if self._handshake is not None:
            self._handshake.give_up()
        if self.listening is not None:
            self.listening.vanish()
        if self.endpoint is not None:
            self.endpoint.vanish()
        if self._binding is not None:
            self.table.host.release(self._binding)

    def name(self) -> Any:
        """Return its own address."""
        if self.family == socket.AF_UNIX:
            return self._path or (self.endpoint.local if self.endpoint else "")
        if self.endpoint is not None:
            return self.endpoint.local
        port = self._binding.port if self._binding else 0
        if self.family == socket.AF_INET6:
            return (self._binding.address if self._binding else "::", port, 0, 0)
        return (self._binding.address if self._binding else "0.0.0.0", port)  # noqa: S104 - as the system says

    def peer_name(self) -> Any:
        """Return the address of the peer."""
        return self._connected().remote

    def set_option(self, level: int, option: int, value: Any) -> None:
        """Set an option. Raises ``NotSimulatedError`` for one that would mean something and is not simulated."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            on, seconds = _LINGER.unpack(value)
            self.lingers = not (on and not seconds)
            return
        if level == socket.SOL_SOCKET and option in _BUFFERS:
            value = max(int(value), SMALLEST_BUFFER_BYTES)
            if self.endpoint is not None:
                _set_buffer(self.endpoint, _BUFFERS[option], value)
        elif (level, option) not in _HARMLESS | {(socket.SOL_SOCKET, socket.SO_REUSEADDR)}:
            raise NotSimulatedError(f"the socket option {option} of level {level}", "leave it out")
        self._options[level, option] = int(value)

    def option(self, level: int, option: int, size: int = 0) -> int | bytes:
        """Return an option. Raises ``NotSimulatedError`` for one that is not simulated."""
        if level == socket.SOL_SOCKET:
            if option == socket.SO_ERROR:
                return self.take_error()
            if option == socket.SO_TYPE:
                return int(socket.SOCK_STREAM)
            if option == socket.SO_ACCEPTCONN:
                return int(self.listening is not None)
            if option == socket.SO_PEERCRED and size == _CREDENTIALS.size:
                return _CREDENTIALS.pack(*self._connected().credentials)
            if option in _BUFFERS:
                return 2 * self._options.get((level, option), 64 * 1024)  # Linux tells twice what was asked for.
        known = _HARMLESS | {(socket.SOL_SOCKET, socket.SO_REUSEADDR)}
        if (level, option) not in known:
            raise NotSimulatedError(f"the socket option {option} of level {level}", "leave it out")
        return self._options.get((level, option), 0)

    def take_error(self) -> int:
        """Return the pending error number, and forget it."""
        if self.endpoint is not None:
            return self.endpoint.take_error()
        code, self._error = self._error, 0
        return code

    def changed(self) -> None:
        """Tell whoever waits for this socket to look again."""
        self.table.selector.check(self.number)

    def _connected(self, otherwise: int = errno.ENOTCONN) -> Endpoint:
        if self.endpoint is None:
            raise system_error(otherwise)
        return self.endpoint

    def _others(self) -> list[Binding]:
        return [other for other in self.table.host.bindings if other is not self._binding and other.listening]


def _set_buffer(endpoint: Endpoint, name: str, size: int) -> None:
    flow = endpoint.outgoing if name == "send_bytes_max" else endpoint.incoming
    setattr(flow, name, size)
