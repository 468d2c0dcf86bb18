"""A place where connections are taken: a queue of those that nobody has accepted yet, of limited length."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from chaos.sim.net.endpoint import Endpoint, nothing


class Listening:
    """The queue behind a listening socket. As on Linux it holds one more than the backlog says."""

    def __init__(self, backlog: int) -> None:
        self.backlog = max(0, backlog)
        self.on_change: Callable[[], None] = nothing
        self.is_open = True
        self.on_their_way = 0
        self.receive_bytes_max: int | None = None
        self._waiting: deque[Endpoint] = deque()

    def __repr__(self) -> str:
        return f"Listening({len(self._waiting)} waiting, {self.on_their_way} coming, backlog {self.backlog})"

    @property
    def is_full(self) -> bool:
        """Return whether another connection would find no place."""
        return len(self._waiting) + self.on_their_way > self.backlog

    @property
    def is_readable(self) -> bool:
        """Return whether accepting would not block."""
        return bool(self._waiting)

    def enqueue(self, endpoint: Endpoint) -> None:
        """Take a connection that has been made; it is reset when nobody listens any more."""
        if not self.is_open:
            endpoint.close(at_once=True)
            return
        self._waiting.append(endpoint)
        self.on_change()

    def take(self) -> Endpoint | None:
        """Return the oldest connection that waits."""
        return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """Take no more, and reset those that wait."""
        self._shut()
        while self._waiting:
            self._waiting.popleft().close(at_once=True)

    def vanish(self) -> None:
        """Take no more, without a word."""
        self._shut()
        while self._waiting:
            self._waiting.popleft().vanish()

    def _shut(self) -> None:
        self.is_open = False
        self.on_change = nothing
