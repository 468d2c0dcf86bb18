"""Noticing that the peer of a connection has gone, without reading from the connection.

A transport that is paused sees neither the end of the stream nor a reset. On Linux one epoll instance for all watched
sockets asks for just these two (it is itself a file descriptor, so the loop can wait on it); elsewhere nobody notices
before the connection is used again. The simulated world brings a watch of its own.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Watch(Protocol):
    """What the server asks of whoever notices that a peer has gone."""

    def watching(self, transport: asyncio.BaseTransport, on_gone: Callable[[], None]) -> AbstractContextManager[None]:
        """Call ``on_gone`` (perhaps more than once) when the peer closes or resets the connection in this block."""
        ...

    def close(self) -> None:
        """Stop watching."""
        ...


class PeerWatch:
    """Watches any number of connections. Close it when the last one is gone."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_gone: dict[int, Callable[[], None]] = {}
        self._poll = select.epoll() if hasattr(select, "epoll") else None
        if self._poll is None:
            return
        try:
            self._loop.add_reader(self._poll.fileno(), self._tell)
        except NotImplementedError:
            self._poll.close()
            self._poll = None

    def __repr__(self) -> str:
        return f"PeerWatch({len(self._on_gone)} connections{'' if self._poll else ', not available here'})"

    def close(self) -> None:
        """Stop watching."""
        if self._poll:
            self._loop.remove_reader(self._poll.fileno())
            self._poll.close()

    @contextmanager
    def watching(self, transport: asyncio.BaseTransport, on_gone: Callable[[], None]) -> Iterator[None]:
        """Call ``on_gone`` (perhaps more than once) when the peer closes or resets the connection in this block."""
        if transport.is_closing():
            on_gone()
        if self._poll is None or transport.is_closing():
            yield
            return
        watched = transport.get_extra_info("socket").fileno()
        self._poll.register(watched, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLONESHOT)
        self._on_gone[watched] = on_gone
        try:
            yield
        finally:
            del self._on_gone[watched]
            if not transport.is_closing():  # A closed socket has left the epoll on its own.
                self._poll.unregister(watched)

    def _tell(self) -> None:
        assert self._poll, "without epoll nobody is told"
        for watched, _ in self._poll.poll(0):
            if watched in self._on_gone:
                self._on_gone[watched]()
