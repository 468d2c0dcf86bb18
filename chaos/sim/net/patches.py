"""What a simulated process finds in the modules ``socket`` and ``select``: the simulated network instead of the real one.

The patches are in force from ``install`` to the end of its block, for code that runs in a simulated process; the tool's
own code goes on using the real thing. What is not simulated raises ``UsageError`` and names itself.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from chaos.errors import UsageError
from chaos.sim.net.sockets import SimulatedSocket, simulated_class
from chaos.sim.net.table import SocketTable

if TYPE_CHECKING:
    from chaos.sim.net.network import SimulatedNetwork

_REFUSED = {
    socket: ("socketpair", "fromfd", "gethostbyaddr", "gethostbyname_ex", "create_server", "getnameinfo"),
    select: ("epoll", "kqueue", "devpoll"),
}


@contextmanager
def install(network: SimulatedNetwork) -> Iterator[None]:
    """Let simulated processes see ``network`` through the modules ``socket`` and ``select`` within this block."""
    with ExitStack() as undo:
        undo.enter_context(_replaced_constructor(network))
        for module, name, simulated in _functions(network):
            real = getattr(module, name)
            undo.enter_context(mock.patch.object(module, name, _either(network, real, simulated)))
        yield


@contextmanager
def _replaced_constructor(network: SimulatedNetwork) -> Iterator[None]:
    """Let ``socket.socket(…)`` and its subclasses make simulated sockets in simulated processes."""
    real = socket.socket.__new__

    def make(wanted: type[socket.socket], *arguments: Any, **more: Any) -> socket.socket:
        table = network.current_table
        if table is None or issubclass(wanted, SimulatedSocket):
            return real(wanted, *arguments, **more)
        made = real(simulated_class(wanted))
        assert isinstance(made, SimulatedSocket), "the simulated class is derived from it"
        made._table = table  # noqa: SLF001 - the half of the constructor that knows where we are
        return made

    socket.socket.__new__ = staticmethod(make)  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        del socket.socket.__new__


def _functions(network: SimulatedNetwork) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    def address_infos(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
        return network.names.address_infos(_here(network), host, port, family=family, type=type, proto=proto, flags=flags)

    yield socket, "getaddrinfo", address_infos
    yield socket, "gethostname", lambda: _here(network).host.name
    yield socket, "getfqdn", lambda name="": name or _here(network).host.name
    yield socket, "gethostbyname", lambda name: address_infos(name, None, socket.AF_INET)[0][4][0]
    yield select, "poll", lambda: SimulatedPoll(_here(network))
    yield select, "select", lambda *arguments: _select(_here(network), *arguments)
    for module, names in _REFUSED.items():
        for name in names:
            if hasattr(module, name):
                yield module, name, _refusal(f"{module.__name__}.{name}")


def _here(network: SimulatedNetwork) -> SocketTable:
    table = network.current_table
    assert table is not None, "only code of a simulated process comes here"
    return table


def _either(network: SimulatedNetwork, real: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **more: Any) -> Any:
        return (real if network.current_table is None else simulated)(*arguments, **more)

    return call


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*_arguments: Any, **_more: Any) -> Any:
        raise UsageError("a call that the simulated network knows", name, "it is not simulated")

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
        """Return what is ready now."""
        found = []
        for number, events in self._asked.items():
            one = self._table.sockets.get(number)
            if one is None:
                ready = select.POLLNVAL
            else:
                ready = (select.POLLIN if one.is_readable else 0) | (select.POLLOUT if one.is_writable else 0)
                ready &= events
            if ready:
                found.append((number, ready))
        if not found and timeout != 0:
            raise UsageError("a poll that does not wait", f"a timeout of {timeout}", "wait through the event loop")
        return found


def _select(table: SocketTable, readers: Any, writers: Any, others: Any, timeout: float | None = None) -> Any:
    sockets = table.sockets
    readable = [one for one in readers if sockets[_number(one)].is_readable]
    writable = [one for one in writers if sockets[_number(one)].is_writable]
    if not readable and not writable and timeout != 0:
        found = f"a timeout of {timeout}, {len(others)} exceptional"
        raise UsageError("a select that does not wait", found, "wait through the event loop")
    return readable, writable, []


def _number(descriptor: Any) -> int:
    return descriptor if isinstance(descriptor, int) else int(descriptor.fileno())
