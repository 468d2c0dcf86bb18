"""One direction of one connection: bytes from a socket to another, straight on, or through the stages of toxics.

* Without stages a byte is copied by the kernel only: received into one buffer, sent from that buffer, and nothing is
  read while the receiver is slow. That is the fast path, and what the benchmark measures.
* With stages, what they make of a piece waits until it is due. At most the smallest window of the stages waits; then
  the sender has to wait, too.
* An end that came from the source goes through the stages as data does; an end made by a toxic is done when it is due.

Raw sockets, because a transport would take the ends (half-closed, reset, kept silent) out of our hands.
"""

from __future__ import annotations

import asyncio
import heapq
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from chaos.live.proxy.steps import Stage, Step, StepKind

BUFFER_BYTES = 256 * 1024
PIECE_BYTES = 64 * 1024
_NOTHING = memoryview(b"")


class Ends(Protocol):
    """What a flow may do with the connection it belongs to."""

    def close(self) -> None:
        """Close both ends."""
        ...

    def reset(self) -> None:
        """Reset both ends."""
        ...

    def answer(self, data: bytes) -> None:
        """Send data to the client, then close."""
        ...

    def flow_ended(self) -> None:
        """Hear that a flow has nothing more to carry."""
        ...


class Flow:
    """Carries bytes from ``source`` to ``sink`` until ``stop``; both sockets belong to the connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, ends: Ends, count: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._source, self._sink, self._ends, self._count = source, sink, ends, count
        self._stages: tuple[Stage, ...] = ()
        self._waiting: list[tuple[float, int, Step]] = []
        self._number = self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._rest = _NOTHING
        self._view = _NOTHING
        self._is_reading = self._has_ended = self._is_deaf = self._is_stopped = False

    def __repr__(self) -> str:
        return f"Flow({len(self._stages)} stages, {self._waiting_bytes} bytes waiting, {len(self._rest)} unsent)"

    @property
    def is_over(self) -> bool:
        """Return whether its source has ended and nothing of it waits any more."""
        return self._has_ended and not self._waiting and not self._rest

    def start(self) -> None:
        """Begin to carry."""
        self._read_on()

    def stop(self) -> None:
        """Let go of both sockets; what waits is dropped. Idempotent."""
        self._is_stopped = True
        self._hold()
        if self._rest:
            self._loop.remove_writer(self._sink)
        self._rest = _NOTHING
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def set_stages(self, stages: Sequence[Stage], *, let_go: bool) -> None:
        """Exchange the stages; with ``let_go`` what waits is due now, in its order."""
        self._stages = tuple(stages)
        if let_go:
            now = self._loop.time()
            self._waiting = [(min(due, now), number, step) for due, number, step in self._waiting]
            heapq.heapify(self._waiting)
        self._carry_on()

    def push(self, steps: Sequence[Step]) -> None:
        """Let steps wait until they are due, behind all stages, and do what is due already."""
        for step in steps:
            self._number += 1
            self._waiting_bytes += len(step.data)
            heapq.heappush(self._waiting, (step.due, self._number, step))
        self._carry_on()

    def _on_readable(self) -> None:
        if self._stages or self._waiting:
            self._read_through_stages()
            return
        if not self._view:
            self._view = memoryview(bytearray(BUFFER_BYTES))
        try:
            received = self._source.recv_into(self._view)
        except BlockingIOError:
            return
        except OSError:
            self._source_ended(StepKind.RESET)
            return
        if received:
            self._count(received)
            self._send(self._view[:received])
        else:
            self._source_ended(StepKind.FIN)

    def _read_through_stages(self) -> None:
        try:
            data = self._source.recv(PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._source_ended(StepKind.RESET)
            return
        if data:
            self._count(len(data))
            self._pass(Step(self._loop.time(), StepKind.DATA, data))
        else:
            self._source_ended(StepKind.FIN)

    def _source_ended(self, how: StepKind) -> None:
        self._has_ended = True
        self._hold()
        self._pass(Step(self._loop.time(), how))
        if not self._is_stopped and self.is_over:
            self._ends.flow_ended()

    def _pass(self, step: Step) -> None:
        steps: Sequence[Step] = (step,)
        for stage in self._stages:
            steps = [made for one in steps for made in stage.take(one)]
        self.push(steps)

    def _carry_on(self) -> None:
        """Do all that is due, as far as the receiver takes it; then wait for time, room or more."""
        now = self._loop.time()
        while self._waiting and not self._rest and not self._is_stopped and self._waiting[0][0] <= now:
            _, _, step = heapq.heappop(self._waiting)
            self._waiting_bytes -= len(step.data)
            self._do(step)
        if self._is_stopped:
            return
        self._set_timer()
        if self._is_full():
            self._hold()
        else:
            self._read_on()

    def _do(self, step: Step) -> None:
        if step.fire is not None:
            step.fire()
        match step.kind:
            case StepKind.DATA:
                self._send(memoryview(step.data))
            case StepKind.FIN:
                with suppress(OSError):  # The receiver has gone already: it needs no telling.
                    self._sink.shutdown(socket.SHUT_WR)
            case StepKind.ANSWER:
                self._ends.answer(step.data)
            case StepKind.CLOSE:
                self._ends.close()
            case StepKind.RESET:
                self._ends.reset()
        if not self._is_stopped and self.is_over:
            self._ends.flow_ended()

    def _send(self, data: memoryview) -> None:
        if self._is_deaf:
            return
        try:
            sent = self._sink.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._is_deaf = True  # The other flow reads from that socket, and finds out how it ended.
            return
        if sent < len(data):
            self._rest = data[sent:]
            self._hold()
            self._loop.add_writer(self._sink, self._on_writable)

    def _on_writable(self) -> None:
        try:
            sent = self._sink.send(self._rest)
        except BlockingIOError:
            return
        except OSError:
            self._is_deaf, sent = True, len(self._rest)
        self._rest = self._rest[sent:]
        if not self._rest:
            self._loop.remove_writer(self._sink)
            self._carry_on()
            if not self._is_stopped and self.is_over:
                self._ends.flow_ended()

    def _is_full(self) -> bool:
        if self._rest:
            return True
        window = min((stage.window_bytes for stage in self._stages), default=1)
        return self._waiting_bytes >= window

    def _read_on(self) -> None:
        if not self._is_reading and not self._has_ended and not self._is_stopped:
            self._is_reading = True
            self._loop.add_reader(self._source, self._on_readable)

    def _hold(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._source)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and not self._rest:
            self._timer = self._loop.call_at(self._waiting[0][0], self._carry_on)
