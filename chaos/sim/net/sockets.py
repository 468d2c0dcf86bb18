"""``socket.socket`` inside the simulation: the same class to whoever asks, with the simulated kernel behind it.

A simulated process that makes a ``socket.socket``, or an object of a class derived from it, gets one of these (see
``chaos.sim.net.seam``). Sockets do not block: what would have to wait, on a socket that was left in its blocking
mode, is an error that says so. Datagrams, ancillary data and duplicates are refused loudly.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, NoReturn, Self

from chaos.sim.net.stream_socket import StreamSocket
from chaos.sim.net.table import SocketTable
from chaos.sim.verdicts import NotSimulatedError

_SEND_FLAGS = int(socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


class SimulatedSocket(socket.socket):
    """A socket of a simulated process. Its methods are those of ``socket.socket``."""

    _table: SocketTable
    _kernel_socket: StreamSocket

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:  # noqa: A002
        family = socket.AF_INET if family == -1 else family
        kind = socket.SOCK_STREAM if type == -1 else type & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        if fileno is not None or family not in _FAMILIES or kind != socket.SOCK_STREAM:
            found = f"a socket of family {family}, type {kind}, descriptor {fileno}"
            raise NotSimulatedError(found, "only TCP and unix stream sockets are")
        self._kernel_socket = self._table.open(family, max(proto, 0))
        self._timeout: float | None = 0.0 if type != -1 and type & socket.SOCK_NONBLOCK else socket.getdefaulttimeout()
        self._io_refs = 0
        self._closed = False

    def belong_to(self, table: SocketTable) -> None:
        """Be a socket of that process: the half of the constructor that knows where it was called."""
        self._table = table

    @classmethod
    def adopting(cls, table: SocketTable, accepted: StreamSocket) -> SimulatedSocket:
        """Return the object for a socket that the kernel has made."""
        made = socket.socket.__new__(cls)
        made._table, made._kernel_socket = table, accepted  # noqa: SLF001 - a constructor of this class
        made._timeout, made._io_refs, made._closed = socket.getdefaulttimeout(), 0, False  # noqa: SLF001 - as above
        return made

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._kernel_socket!r}>"

    def __enter__(self) -> Self:
        return self

    @property
    def kernel_socket(self) -> StreamSocket:
        """Return what the simulated kernel knows of it."""
        return self._kernel_socket

    @property
    def family(self) -> Any:
        """Return its family."""
        return socket.AddressFamily(self._kernel_socket.family)

    @property
    def type(self) -> Any:
        """Return its type."""
        return socket.SOCK_STREAM

    @property
    def proto(self) -> int:
        """Return its protocol."""
        return self._kernel_socket.proto

    @property
    def timeout(self) -> float | None:
        """Return how long it blocks, in seconds (None: for ever)."""
        return self._timeout

    def fileno(self) -> int:
        """Return its descriptor: one that simulated selectors know; -1 once it is closed."""
        return self._kernel_socket.number if self._kernel_socket.is_open else -1

    def gettimeout(self) -> float | None:
        """Return how long it blocks, in seconds (None: for ever)."""
        return self._timeout

    def settimeout(self, value: float | None) -> None:
        """Set how long it blocks."""
        self._timeout = value

    def setblocking(self, flag: bool) -> None:
        """Let it block for ever, or not at all."""
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """Return whether it blocks."""
        return self._timeout != 0

    def bind(self, address: Any) -> None:
        """Take an address."""
        self._alive().bind(address)

    def listen(self, backlog: int = 128) -> None:
        """Take connections."""
        self._alive().listen(backlog)

    def accept(self) -> tuple[socket.socket, Any]:
        """Return a connection that waits and its peer's address."""
        try:
            accepted, address = self._alive().accept()
        except BlockingIOError as error:
            self._must_not_block("accept", error)
        return SimulatedSocket.adopting(self._table, accepted), address

    def connect(self, address: Any) -> None:
        """Begin to connect."""
        try:
            self._alive().connect(address)
        except BlockingIOError as error:
            self._must_not_block("connect", error)

    def connect_ex(self, address: Any) -> int:
        """Begin to connect; return an error number instead of raising."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Return what has come."""
        try:
            return self._alive().receive(bufsize, flags)
        except BlockingIOError as error:
            self._must_not_block("recv", error)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Put what has come into ``buffer`` and return how much that was."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def send(self, data: Any, flags: int = 0) -> int:
        """Hand over what there is room for, and return how much."""
        if flags and flags & ~_SEND_FLAGS:
            raise NotSimulatedError(f"send with the flags {flags:#x}", "leave them out")
        try:
            return self._alive().send(data)
        except BlockingIOError as error:
            self._must_not_block("send", error)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Hand over everything; an error if there is not room for all of it at once."""
        view = memoryview(data).cast("B")
        while view:
            view = view[self.send(view, flags) :]

    def sendmsg(self, buffers: Any, *ancillary: Any) -> int:
        """Hand over what there is room for, from several buffers."""
        if any(ancillary):
            raise NotSimulatedError("sendmsg with ancillary data or flags", "leave them out")
        sent = 0
        for data in buffers:
            try:
                count = self._alive().send(data)
            except BlockingIOError as error:
                if sent:
                    return sent
                self._must_not_block("sendmsg", error)
            sent += count
            if count < len(data):
                break
        return sent

    def shutdown(self, how: int) -> None:
        """End reading, writing or both."""
        self._alive().shutdown(how)

    def close(self) -> None:
        """Close it (harmless to repeat); files made of it keep it open."""
        self._closed = True
        if self._io_refs <= 0:
            self._kernel_socket.close()

    def _real_close(self, _ss: Any = None) -> None:
        self._kernel_socket.close()

    def getsockname(self) -> Any:
        """Return its own address."""
        return self._alive().name()

    def getpeername(self) -> Any:
        """Return the address of its peer."""
        return self._alive().peer_name()

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:  # noqa: ARG002
        """Set an option."""
        self._alive().set_option(level, optname, value)

    def getsockopt(self, level: int, optname: int, buflen: int = 0) -> Any:
        """Return an option."""
        return self._alive().option(level, optname, buflen)

    def detach(self) -> int:
        """Refuse: a descriptor without its socket means nothing here."""
        self._refuse("detach")

    def dup(self) -> Any:
        """Refuse: sockets are not duplicated."""
        self._refuse("dup")

    def sendto(self, *_arguments: Any) -> int:
        """Refuse: there are no datagrams."""
        self._refuse("sendto")

    def recvfrom(self, *_arguments: Any) -> Any:
        """Refuse: there are no datagrams."""
        self._refuse("recvfrom")

    def recvmsg(self, *_arguments: Any) -> Any:
        """Refuse: there is no ancillary data."""
        self._refuse("recvmsg")

    def _alive(self) -> StreamSocket:
        if not self._kernel_socket.is_open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._kernel_socket

    def _must_not_block(self, call: str, error: BlockingIOError) -> NoReturn:
        if self._timeout == 0:
            raise error
        found = f"{call} on a blocking socket, which would wait,"
        raise NotSimulatedError(found, "use asyncio's streams or the loop's sock_ methods")

    def _refuse(self, call: str) -> NoReturn:
        raise NotSimulatedError(f"socket.{call}()", "use asyncio's streams")


def simulated_class(wanted: type[socket.socket]) -> type[SimulatedSocket]:
    """Return the class whose objects stand for those of ``wanted`` inside the simulation."""
    if wanted is socket.socket:
        return SimulatedSocket
    if issubclass(wanted, SimulatedSocket):
        return wanted
    if wanted not in _DERIVED:
        _DERIVED[wanted] = type(wanted.__name__, (wanted, SimulatedSocket), {"__module__": wanted.__module__})
    return _DERIVED[wanted]


_DERIVED: dict[type[socket.socket], type[SimulatedSocket]] = {}
