"""One end of a connection, as the kernel of its host keeps it: it outlives the socket that the application closed.

As on Linux:

* Closing sends what was handed over and then the end; closing with bytes unread resets instead, and so does a linger
  time of zero. Bytes that come for a closed end are answered with a reset.
* After a reset, what had arrived can still be read; then the error is told once; then reading gives the end and writing
  a broken pipe. A reset that comes after the peer's end is a broken pipe from the start.
* When its host has lost power an end is gone without a word; whoever sends to it learns of that from the rebooted host.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from chaos.sim.net.flow import Flow
from chaos.sim.net.host import Host
from chaos.sim.ports import Kernel

Address = Any


def system_error(code: int) -> OSError:
    """Return the exception that the real system call would raise."""
    return OSError(code, os.strerror(code))


class Endpoint:
    """One end. ``on_change`` is called when it may have become readable or writable."""

    incoming: Flow
    outgoing: Flow
    peer: Endpoint

    def __init__(self, kernel: Kernel, host: Host, number: int, addresses: tuple[Address, Address]) -> None:
        self.host, self.number = host, number
        self.local, self.remote = addresses
        self.credentials = (0, 0, 0)
        self.error = 0
        self.is_gone = self.is_reset = self.is_closed = False
        self.is_opaque = False
        self.on_change: Callable[[], None] = nothing
        self.on_open: Callable[[], None] = nothing
        self.on_peer_left: list[Callable[[], None]] = []
        self._ended_reading = self._ended_writing = False
        self._kernel = kernel

    def __repr__(self) -> str:
        state = "gone" if self.is_gone else "reset" if self.is_reset else "closed" if self.is_closed else "open"
        return f"Endpoint({self.number} on {self.host.name}, {state}, {self.incoming.received_bytes} bytes unread)"

    @property
    def is_up(self) -> bool:
        """Return whether somebody is there to take what comes: its process, or else the kernel of its host."""
        return self.host.is_up or not self.is_gone

    @property
    def is_readable(self) -> bool:
        """Return whether reading would not block."""
        if self.error or self.is_reset or self._ended_reading:
            return True
        if self.incoming.line.conditions.is_unread:
            return False
        return bool(self.incoming.received_bytes) or self.incoming.has_ended

    @property
    def is_writable(self) -> bool:
        """Return whether writing would not block; asking for it is asking to be told."""
        if self.error or self.is_reset or self._ended_writing or self.outgoing.has_much_room:
            return True
        self.outgoing.await_room()
        return False

    @property
    def peer_has_left(self) -> bool:
        """Return whether the peer has ended its stream or reset the connection, as far as this host knows."""
        return self.is_reset or self.incoming.has_ended

    def receive(self, bytes_max: int, *, peek: bool = False) -> bytes:
        """Return what there is; nothing at the end. Raises ``OSError`` (``BlockingIOError``: nothing yet)."""
        unread = self.incoming.line.conditions.is_unread
        if self.incoming.received_bytes and not unread:
            return self.incoming.peek(bytes_max) if peek else self.incoming.read(bytes_max)
        self._raise_error()
        if self.is_reset or self._ended_reading or (self.incoming.has_ended and not unread):
            return b""
        raise system_error(errno.EAGAIN)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Hand over what there is room for and return how much. Raises ``OSError`` as the system would."""
        self._raise_error()
        if self.is_reset or self._ended_writing:
            raise system_error(errno.EPIPE)
        if not self.outgoing.room_bytes and len(data):
            self.outgoing.await_room()
            raise system_error(errno.EAGAIN)
        return self.outgoing.send(data)

    def end_writing(self) -> None:
        """End the outgoing stream after what was handed over."""
        if not self._ended_writing:
            self._ended_writing = True
            self.outgoing.end()

    def end_reading(self) -> None:
        """Read no more: what has come and will come is thrown away."""
        self._ended_reading = True
        self.incoming.discard()

    def take_error(self) -> int:
        """Return the pending error number, and forget it."""
        code, self.error = self.error, 0
        return code

    def close(self, *, at_once: bool = False) -> None:
        """Close it, as for an application: in order, or (``at_once``, or with bytes unread) with a reset."""
        if self.is_closed or self.is_gone:
            return
        self.is_closed = True
        self.on_change = nothing
        if self.is_reset:
            self._leave()
        elif at_once or self.incoming.received_bytes:
            self.answer_with_reset()
        else:
            self.end_writing()
            self.incoming.discard()
            self.is_gone = True  # For what may still come; what was handed over still goes out.

    def vanish(self) -> None:
        """Be gone without a word: its host has lost power. Only a peer on that host itself is told, by a reset."""
        if self.is_gone:
            self.outgoing.die()
            return
        self.on_change = nothing
        self._leave()
        if self.peer.host is self.host:
            self.peer.reset_by_peer()

    def changed(self) -> None:
        """Look again: there may be something to read, or room to write."""
        self._tell()

    def opened(self) -> None:
        """Take note that the connection has been made."""
        self.on_open()

    def reset_by_peer(self) -> None:
        """Take a reset off the wire."""
        if self.is_reset or not self.is_up:
            return
        self._kernel.trace("net.reset", connection=self.number, at=self.host.name)
        self._break(errno.EPIPE if self.incoming.has_ended else errno.ECONNRESET)

    def timed_out(self) -> None:
        """Take note that the peer does not answer."""
        if not self.is_reset:
            self._break(errno.ETIMEDOUT)

    def answer_with_reset(self) -> None:
        """Tell the peer that nobody is here, if that gets through; nothing else will be said."""
        line = self.outgoing.line
        self._leave()
        if line.conditions.is_cut:
            line.fired("cut")
            return
        under_way_ns = line.travel_ns()
        if under_way_ns:
            self._kernel.at(self._kernel.now_ns + under_way_ns, self._reset_lands)
        else:
            self.peer.reset_by_peer()

    def _reset_lands(self) -> None:
        if self.outgoing.line.conditions.is_cut:
            self.outgoing.line.fired("cut")
        else:
            self.peer.reset_by_peer()

    def _break(self, code: int) -> None:
        self.is_reset, self.error = True, code
        self.outgoing.die()
        self.incoming.die()
        self._tell()

    def _tell(self) -> None:
        if self.peer_has_left:
            for on_peer_left in tuple(self.on_peer_left):
                on_peer_left()
        self.on_change()

    def _leave(self) -> None:
        self.is_gone = True
        self.outgoing.die()
        self.incoming.discard()

    def _raise_error(self) -> None:
        if code := self.take_error():
            raise system_error(code)


def nothing() -> None:
    """Nobody listens."""
