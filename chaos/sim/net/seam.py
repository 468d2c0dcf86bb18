"""What a simulated process finds in the modules ``socket`` and ``select``: the simulated network, not the real one.

``socket.socket(…)``, and a class derived from it, gives a simulated socket to code of a simulated process. Names are
the network's; ``select.poll`` and ``select.select`` say what is ready and never wait. What is not simulated says so.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from chaos.sim.net.sockets import SimulatedSocket, simulated_class
from chaos.sim.net.table import SocketTable
from chaos.sim.seams import PatchingSeam
from chaos.sim.verdicts import NotSimulatedError

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel
    from chaos.sim.net.network import SimulatedNetwork

_REFUSED = {
    socket: ("socketpair", "fromfd", "gethostbyaddr", "gethostbyname_ex", "getnameinfo"),
    select: ("epoll", "kqueue", "devpoll"),
}
Here = Callable[[], SocketTable | None]


class NetworkSeam(PatchingSeam):
    """Puts ``network`` in the place of the real one for code of simulated processes."""

    def __init__(self, network: SimulatedNetwork) -> None:
        super().__init__()
        self._network = network

    def patch(self, kernel: SimKernel) -> None:
        """Replace the constructor of sockets and the functions of the two modules."""

        def here() -> SocketTable | None:
            process = kernel.current
            return None if process is None or not kernel.is_inside() else self._network.table(process)

        self._replace_constructor(here)
        for module, name, simulated in _functions(self._network):
            self.patches.wrap(module, name, partial(_either, here, simulated))
        for module, names in _REFUSED.items():
            for name in names:
                if hasattr(module, name):
                    self.patches.wrap(module, name, partial(_either, here, _refusal(f"{module.__name__}.{name}")))

    def leave(self) -> None:
        """Put everything back."""
        super().leave()
        if "__new__" in vars(socket.socket):
            del socket.socket.__new__

    def _replace_constructor(self, here: Here) -> None:
        real = socket.socket.__new__

        def make(wanted: type[socket.socket], *arguments: Any, **more: Any) -> socket.socket:
            if issubclass(wanted, SimulatedSocket):
                return real(wanted)
            table = here()
            if table is None:
                return real(wanted, *arguments, **more)
            made = real(simulated_class(wanted))
            assert isinstance(made, SimulatedSocket), "the simulated class is derived from it"
            made.belong_to(table)
            return made

        socket.socket.__new__ = staticmethod(make)  # type: ignore[method-assign,assignment]


def _functions(network: SimulatedNetwork) -> list[tuple[Any, str, Callable[..., Any]]]:
    def address_infos(table: SocketTable, host: Any, port: Any, *more: Any, **named: Any) -> Any:
        named |= dict(zip(("family", "type", "proto", "flags"), more, strict=False))
        return network.names.address_infos(table, host, port, **named)

    return [
        (socket, "getaddrinfo", address_infos),
        (socket, "gethostname", lambda table: table.host.name),
        (socket, "getfqdn", lambda table, name="": name or table.host.name),
        (socket, "gethostbyname", lambda table, name: address_infos(table, name, None)[0][4][0]),
        (select, "poll", SimulatedPoll),
        (select, "select", _select),
    ]


def _either(here: Here, simulated: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **more: Any) -> Any:
        table = here()
        return real(*arguments, **more) if table is None else simulated(table, *arguments, **more)

    return call


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*_arguments: Any, **_more: Any) -> Any:
        raise NotSimulatedError(f"{name}()", "use asyncio's streams")

    return refuse


class SimulatedPoll:
    """``select.poll()`` over simulated sockets. It never waits: asking with a timeout must find something at once."""

    def __init__(self, table: SocketTable) -> None:
        self._table = table
        self._asked: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"SimulatedPoll({len(self._asked)} registered)"

    def register(self, descriptor: Any, events: int = select.POLLIN | select.POLLOUT) -> None:
        """Ask about a descriptor too."""
        self._asked[_number(descriptor)] = events

    modify = register

    def unregister(self, descriptor: Any) -> None:
        """Ask about it no more."""
        del self._asked[_number(descriptor)]

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """Return what is ready now. Raises ``NotSimulatedError`` when it would have to wait."""
        ready = [(number, self._ready(number, events)) for number, events in self._asked.items()]
        found = [(number, events) for number, events in ready if events]
        if not found and timeout != 0:
            raise NotSimulatedError("a poll that waits", "wait through the event loop")
        return found

    def _ready(self, number: int, events: int) -> int:
        one = self._table.sockets.get(number)
        if one is None:
            return select.POLLNVAL
        return events & ((select.POLLIN if one.is_readable else 0) | (select.POLLOUT if one.is_writable else 0))


def _select(table: SocketTable, readers: Any, writers: Any, _others: Any, timeout: float | None = None) -> Any:
    sockets = table.sockets
    readable = [one for one in readers if sockets[_number(one)].is_readable]
    writable = [one for one in writers if sockets[_number(one)].is_writable]
    if not readable and not writable and timeout != 0:
        raise NotSimulatedError("a select that waits", "wait through the event loop")
    return readable, writable, []


def _number(descriptor: Any) -> int:
    return descriptor if isinstance(descriptor, int) else int(descriptor.fileno())
