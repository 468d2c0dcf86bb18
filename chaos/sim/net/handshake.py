"""The way to a TCP connection: a question, an answer, and repetitions of the question until somebody gives up."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from chaos.rules.link import connect_delays_ns
from chaos.sim.ports import Timer

if TYPE_CHECKING:
    from chaos.sim.net.host import Host
    from chaos.sim.net.listening import Listening
    from chaos.sim.net.network import SimulatedNetwork
    from chaos.sim.net.stream_socket import StreamSocket


class Handshake:
    """One attempt to connect ``client`` to a port of ``target``.

    A port where nobody listens refuses; one whose queue is full, a host without power and a line that is cut say
    nothing, and the question is repeated (``chaos.rules.link`` says when).
    """

    def __init__(
        self, network: SimulatedNetwork, client: StreamSocket, target: Host, names: tuple[Any, Any, str]
    ) -> None:
        self._network, self._client, self._target = network, client, target
        self._local, self._remote, self._address = names
        self._forth = network.line(client.table.host.name, target.name)
        self._back = network.line(target.name, client.table.host.name)
        self._delays = connect_delays_ns()
        self._timer: Timer | None = None
        self._is_over = False

    def __repr__(self) -> str:
        return f"Handshake({self._forth.name}, port {self._remote[1]}{', over' if self._is_over else ''})"

    def ask(self) -> None:
        """Ask once more, or give up."""
        if self._is_over:
            return
        kernel = self._network.kernel
        delay_ns = next(self._delays, None)
        if delay_ns is None:
            self._fail(errno.ETIMEDOUT)
            return
        self._timer = kernel.at(kernel.now_ns + delay_ns, self.ask)
        if self._forth.conditions.is_cut:
            self._forth.fired("cut")
        else:
            kernel.at(kernel.now_ns + self._forth.travel_ns(), self._question_lands)

    def give_up(self) -> None:
        """Stop asking: the socket has been closed."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def _question_lands(self) -> None:
        if self._is_over or not (self._target.is_up or self._target is self._client.table.host):
            return
        if self._forth.conditions.is_cut:
            self._forth.fired("cut")
            return
        listening = self._target.listening_at(self._address, self._remote[1])
        if self._forth.conditions.refuses:
            self._forth.fired("refuse")
            listening = None
        elif listening is not None and listening.is_full:
            self._network.trace("net.backlog_full", self._target, port=self._remote[1])
            return
        if listening is not None:
            listening.on_their_way += 1
        if self._back.conditions.is_cut:
            self._back.fired("cut")
            _stand_back(listening)
        else:
            kernel = self._network.kernel
            kernel.at(kernel.now_ns + self._back.travel_ns(), lambda: self._answer_lands(listening))

    def _answer_lands(self, listening: Listening | None) -> None:
        if self._is_over or self._back.conditions.is_cut:
            _stand_back(listening)
        elif listening is None:
            self._fail(errno.ECONNREFUSED)
        else:
            self.give_up()
            client, server = self._network.connection(
                (self._client.table.host, self._target), (self._local, self._remote), (self._forth, self._back)
            )
            client.credentials = self._client.table.credentials
            server.on_open = lambda: _take_place(listening, server)
            client.outgoing.open()
            self._client.adopt(client)

    def _fail(self, code: int) -> None:
        self.give_up()
        here, error = self._client.table.host, errno.errorcode[code]
        self._network.trace("net.connect_failed", here, to=f"{self._address}:{self._remote[1]}", error=error)
        self._client.connect_failed(code)


def _stand_back(listening: Listening | None) -> None:
    if listening is not None:
        listening.on_their_way -= 1


def _take_place(listening: Listening, server: Any) -> None:
    listening.on_their_way -= 1
    listening.enqueue(server)
