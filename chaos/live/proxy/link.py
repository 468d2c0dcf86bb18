"""One connection through a proxy: the client's socket, the server's, a flow each way, and the toxics that it got.

* Which toxics it gets is drawn once, when it is accepted (or when a toxic comes while it is open), from the seed, the
  connection's number and the toxic's name: the same every time. A toxicity of 0 leaves it on the fast path.
* A close reads away what has come unread before it closes: unread bytes would turn the close into a reset.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from chaos.live.proxy.active import ActiveToxic
from chaos.live.proxy.addresses import Address
from chaos.live.proxy.flow import Flow
from chaos.live.proxy.steps import Direction, Place, Stage, Step, StepKind
from chaos.seed import Seed

CONNECT_LIMIT_S = 10.0
CONNECT_PAUSE_S = 0.01
DRAIN_BYTES_MAX = 1 << 20
_AT_ONCE = struct.pack("ii", 1, 0)


class Link:
    """A connection from its acceptance to its end. ``ended`` is called once, when both sockets are closed."""

    def __init__(
        self, number: int, client: socket.socket, seed: Seed, count: Callable[[Direction, int], None],
        ended: Callable[[Link], None],
    ) -> None:  # fmt: skip
        self.number = number
        self._loop = asyncio.get_running_loop()
        self._client, self._server, self._seed = client, client, seed
        self._count, self._ended = count, ended
        self._flows: dict[Direction, Flow] = {}
        self._toxics: dict[ActiveToxic, dict[Direction, Stage]] = {}
        self._timers: dict[ActiveToxic, list[asyncio.TimerHandle]] = {}
        self._connecting: asyncio.TimerHandle | None = None
        self.is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open" if self._flows else "connecting"
        return f"Link({self.number}, {state}, {len(self._toxics)} toxics)"

    def connect(self, upstream: Address) -> None:
        """Connect to the server, and carry once that is done; a server that is not there closes the client."""
        self._server = upstream.socket()
        self._connecting = self._loop.call_later(CONNECT_LIMIT_S, self.close)
        self._try_to_connect(upstream)

    def attach(self, toxic: ActiveToxic) -> None:
        """Let a toxic work here from now on, if its toxicity wants so."""
        stream = self._seed.stream(f"{self.number}/{toxic.settings.label}")
        if stream.random() >= toxic.settings.toxicity:
            return
        toxic.reached += 1
        place = Place(stream, toxic.fire, toxic.turns, toxic.settings.stream)
        stages = dict(toxic.toxic.stages(place))
        self._toxics[toxic] = stages
        now = self._loop.time()
        self._timers[toxic] = [
            self._loop.call_at(step.due, self._do, step) for stage in stages.values() for step in stage.begin(now)
        ]
        self._arrange(let_go=False)

    def detach(self, toxic: ActiveToxic) -> None:
        """Take a toxic away; what it was holding back goes on at once."""
        stages = self._toxics.pop(toxic, None)
        if stages is None:
            return
        for timer in self._timers.pop(toxic):
            timer.cancel()
        self._arrange(let_go=True)
        for direction, stage in stages.items():
            if direction in self._flows and not self.is_closed:
                self._flows[direction].push(stage.leave(self._loop.time()))

    def answer(self, data: bytes) -> None:
        """Send data to the client in the server's place, then close."""
        now = self._loop.time()
        if Direction.DOWNSTREAM in self._flows:
            self._flows[Direction.DOWNSTREAM].push([Step(now, StepKind.DATA, data), Step(now, StepKind.CLOSE)])

    def close(self) -> None:
        """Close both ends. Idempotent."""
        self._end(_close_after_reading)

    def reset(self) -> None:
        """Reset both ends (a unix socket is closed). Idempotent."""
        self._end(_reset)

    def flow_ended(self) -> None:
        """Close once both directions have ended."""
        if all(flow.is_over for flow in self._flows.values()):
            self.close()

    def _end(self, end: Callable[[socket.socket], None]) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        self._loop.remove_writer(self._server)
        for flow in self._flows.values():
            flow.stop()
        for timers in self._timers.values():
            for timer in timers:
                timer.cancel()
        for one in {self._client, self._server}:
            end(one)
        self._ended(self)

    def _try_to_connect(self, upstream: Address) -> None:
        if self.is_closed:
            return
        try:
            self._server.connect(upstream.target)
        except BlockingIOError:
            if upstream.path:  # A unix server whose backlog is full: there is no event for room in it.
                self._loop.call_later(CONNECT_PAUSE_S, self._try_to_connect, upstream)
            else:
                self._loop.add_writer(self._server, self._connected)
        except OSError:
            self.close()
        else:
            self._connected()

    def _connected(self) -> None:
        self._loop.remove_writer(self._server)
        if self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.close()
            return
        if self._connecting is not None:
            self._connecting.cancel()
        for one in (self._client, self._server):
            if one.family != socket.AF_UNIX:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up, down = Direction.UPSTREAM, Direction.DOWNSTREAM
        self._flows = {
            up: Flow(self._client, self._server, self, partial(self._count, up)),
            down: Flow(self._server, self._client, self, partial(self._count, down)),
        }
        self._arrange(let_go=False)
        for flow in self._flows.values():
            flow.start()

    def _arrange(self, *, let_go: bool) -> None:
        """Give each flow the stages of its direction, in the order in which the toxics came."""
        for direction, flow in self._flows.items():
            stages = [stages[direction] for stages in self._toxics.values() if direction in stages]
            flow.set_stages(stages, let_go=let_go)

    def _do(self, step: Step) -> None:
        if step.fire is not None:
            step.fire()
        if step.kind is StepKind.RESET:
            self.reset()
        else:
            self.close()


def _close_after_reading(one: socket.socket) -> None:
    left = DRAIN_BYTES_MAX
    with suppress(OSError):
        while left > 0 and (data := one.recv(1 << 16)):
            left -= len(data)
    one.close()


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    one.close()
