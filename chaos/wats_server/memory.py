"""Everything that the server remembers while it runs: its settings, rules, deliveries, log, and who hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from chaos.rules.wats_server import Rule, RuleBook
from chaos.wats_server.deliveries import Deliveries
from chaos.wats_server.events import EventKind, EventLog, ServerEvent
from chaos.wats_server.peer import PeerWatch, Watch
from chaos.wats_server.replies import AnswerShape
from chaos.wats_server.traces import Traces

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server is set up.

    * ``token``: what must follow ``Authorization: Basic`` (None: nobody is asked).
    * ``body_bytes_max`` bounds one report, ``stored_bytes_max`` all bodies stored and being read, ``connections_max``
      the connections to each port, ``events_kept`` the log.
    * ``receive_buffer_bytes`` is the kernel's buffer per connection (None: its own choice, which grows to megabytes):
      small, so that a server which stops reading really blocks its peer.
    * ``is_port_reserved`` keeps the data port ours while the listener is closed.
    """

    token: str | None = None
    answer_shape: AnswerShape = AnswerShape.LIST
    body_bytes_max: int = 32 * MEBIBYTE
    stored_bytes_max: int = 1024 * MEBIBYTE
    connections_max: int = 1024
    events_kept: int = 100_000
    receive_buffer_bytes: int | None = 64 * 1024
    is_port_reserved: bool = True

    def __repr__(self) -> str:
        asked = "no token" if self.token is None else "a token"
        return f"ServerSettings({asked}, answers as {self.answer_shape}, reports up to {self.body_bytes_max} bytes)"


@dataclass(slots=True, eq=False)
class Gate:
    """A request that waits. ``opened`` says in the end why it goes on: True when released, False when its peer left."""

    report_id: str | None
    rule: str
    opened: asyncio.Future[bool]

    def open(self, *, released: bool) -> None:
        """Let the request go on (harmless to repeat)."""
        if not self.opened.done():
            self.opened.set_result(released)


class Gates:
    """The requests that wait now."""

    def __init__(self) -> None:
        self._waiting: list[Gate] = []

    def __repr__(self) -> str:
        return f"Gates({len(self._waiting)} requests waiting)"

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def shut(self, report_id: str | None, rule: str) -> Iterator[Gate]:
        """Count a request as waiting within this block."""
        gate = Gate(report_id, rule, asyncio.get_running_loop().create_future())
        self._waiting.append(gate)
        try:
            yield gate
        finally:
            self._waiting.remove(gate)

    def release(self, report_id: str | None, rule: str | None) -> int:
        """Let go on who waits (of that report and rule, where given); return how many."""
        chosen = [gate for gate in self._waiting if report_id in (None, gate.report_id) and rule in (None, gate.rule)]
        for gate in chosen:
            gate.open(released=True)
        return len(chosen)


class ServerMemory:
    """The server's state, shared by its data port and its control port; one thread only.

    ``wall_time_s`` is the time of day for answers that carry a date; nothing waits for it. ``peers`` notices that a
    peer has gone, and is closed with the memory. Close it in the end.
    """

    def __init__(
        self, settings: ServerSettings, wall_time_s: Callable[[], float] = time.time, peers: Watch | None = None
    ) -> None:
        self.settings, self.wall_time_s = settings, wall_time_s
        self.rulebook = RuleBook()
        self.deliveries = Deliveries(settings.stored_bytes_max)
        self.events = EventLog(settings.events_kept)
        self.traces = Traces()
        self.gates, self.peers = Gates(), PeerWatch() if peers is None else peers

    def __repr__(self) -> str:
        return f"ServerMemory({self.rulebook}, {self.deliveries}, {self.traces}, {self.gates})"

    def close(self) -> None:
        """Give back what the operating system lent (the watch on peers)."""
        self.peers.close()

    def set_rules(self, rules: Sequence[Rule]) -> ServerEvent:
        """Replace all rules; they are in force on return. Return the event that marks the change."""
        self.rulebook = RuleBook(rules)
        return self.events.add(EventKind.RULES_SET, rules=len(self.rulebook.rules))

    def forget(self) -> None:
        """Drop the rules and everything that was taken and seen; settings and numbers stay."""
        self.rulebook = RuleBook()
        self.deliveries.forget()
        self.traces.forget()
        self.events.forget()
