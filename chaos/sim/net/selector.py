"""What an event loop asks about its sockets, answered by the simulated kernel instead of by epoll.

Level-triggered, as asyncio expects: while a registered socket is ready its callback runs once in each of its turns.
Nothing polls; a socket that becomes ready puts itself into the next turn of its process.
"""

from __future__ import annotations

import selectors
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from chaos.sim.verdicts import NotSimulatedError

if TYPE_CHECKING:
    from chaos.sim.net.table import SocketTable


class ReadinessSelector(selectors.BaseSelector):
    """The registrations of one process. ``data`` is asyncio's pair of handles: for reading and for writing."""

    def __init__(self, table: SocketTable) -> None:
        self._table = table
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._due: dict[int, None] = {}

    def __repr__(self) -> str:
        return f"ReadinessSelector({len(self._keys)} registered, {len(self._due)} due)"

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a simulated socket. Raises ``NotSimulatedError`` for any other descriptor."""
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if number not in self._table.sockets:
            raise NotSimulatedError(f"waiting for descriptor {number}", "only simulated sockets can be waited for")
        key = self._keys[number] = selectors.SelectorKey(number, number, events, data)
        self.check(number)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is watched."""
        return self.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Watch it no more."""
        return self._keys.pop(fileobj)

    def drop(self, number: int) -> None:
        """Forget a socket that was closed; nobody is called for it any more."""
        self._keys.pop(number, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return the registrations by descriptor."""
        return self._keys

    def select(self, timeout: float | None = None) -> NoReturn:  # noqa: ARG002 - the signature is the library's
        """Never happens: the simulated scheduler decides who has a turn."""
        raise AssertionError("nothing waits for descriptors in the simulation")

    def close(self) -> None:
        """Forget everything."""
        self._keys.clear()

    def check(self, number: int) -> None:
        """Put the socket into its process's next turn if somebody waits for what it is ready for."""
        key = self._keys.get(number)
        if key is not None and number not in self._due and self._ready(key):
            self._due[number] = None
            self._table.network.kernel.deliver_ready(self._table.process, self._turn, number)

    def _ready(self, key: selectors.SelectorKey) -> int:
        found = self._table.sockets[key.fd]
        ready = 0
        if key.events & selectors.EVENT_READ and found.is_readable:
            ready |= selectors.EVENT_READ
        if key.events & selectors.EVENT_WRITE and found.is_writable:
            ready |= selectors.EVENT_WRITE
        return ready

    def _turn(self, number: int) -> None:
        self._due.pop(number, None)
        key = self._keys.get(number)
        if key is None:
            return
        ready = self._ready(key)
        for event, handle in zip((selectors.EVENT_READ, selectors.EVENT_WRITE), key.data, strict=True):
            if ready & event and handle is not None and not handle.cancelled():
                handle._run()  # noqa: SLF001 - what a loop does with its handles
        self.check(number)
