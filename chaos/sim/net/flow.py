"""One direction of one connection: the sender's buffer, what is under way, and the receiver's buffer.

* A sender holds at most ``send_bytes_max`` that have not arrived; a receiver at most ``receive_bytes_max`` that have
  not been read. Nothing leaves that would find no room: a peer that never reads stops its sender after the sum of both.
* Space is free again when the piece has arrived; a sender who waits for it is told one way back later, as by an
  acknowledgement. When the way back is cut, it is told only by a repetition after that.
* What does not get through is sent again (``chaos.rules.link``); after the last time the connection has timed out.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from chaos.rules.link import retry_delays_ns
from chaos.sim.net.line import Line
from chaos.sim.net.piece import InOrder, Piece
from chaos.sim.ports import Kernel, Timer

SEND_BYTES_MAX = 64 * 1024
RECEIVE_BYTES_MAX = 64 * 1024


class End(Protocol):
    """One end of a connection, as its flows see it."""

    number: int
    is_gone: bool
    is_opaque: bool

    @property
    def is_up(self) -> bool:
        """Whether its host runs at all."""
        ...

    def changed(self) -> None:
        """Look again: there may be something to read, or room to write."""
        ...

    def opened(self) -> None:
        """Take note that the connection has been made."""
        ...

    def reset_by_peer(self) -> None:
        """Take a reset off the wire."""
        ...

    def answer_with_reset(self) -> None:
        """Tell the peer that nobody is here."""
        ...

    def timed_out(self) -> None:
        """Take note that the peer does not answer."""
        ...


class Flow:
    """Bytes from ``source`` to ``target``; the opposite flow's line carries the acknowledgements."""

    def __init__(self, kernel: Kernel, line: Line, back: Line, source: End, target: End) -> None:
        self.line, self.source, self.target = line, source, target
        self.last_arrival_ns = self.sent_bytes = self.under_way = 0
        self.is_deaf = self.is_dead = self._is_broken_off = False
        self.send_bytes_max, self.receive_bytes_max = SEND_BYTES_MAX, RECEIVE_BYTES_MAX
        self.has_ended = False  # The receiver knows that no more comes.
        self.received_bytes = 0
        self._kernel, self._back = kernel, back
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = self._flying_bytes = self._unacknowledged_bytes = 0
        self._to_open = self._to_end = False
        self._end_left = False
        self._lost: deque[Piece] = deque()
        self._again: deque[Piece] = deque()
        self._next_at = 0
        self._in_order = InOrder()
        self._received: deque[bytes] = deque()
        self._retry: Timer | None = None
        self._delays: Iterator[int] = iter(())
        self._is_awaited = False  # The sender waits for room.

    def __repr__(self) -> str:
        return (
            f"Flow({self.line.name}, {self._unsent_bytes} unsent, {self._flying_bytes} under way, "
            f"{self.received_bytes} unread)"
        )

    # The sender's side.

    @property
    def room_bytes(self) -> int:
        """Return how many bytes the sender can hand over now."""
        held = self._unsent_bytes + self._flying_bytes + self._unacknowledged_bytes
        return max(0, self.send_bytes_max - held)

    @property
    def has_much_room(self) -> bool:
        """Return whether it is worth waking a sender: a third of the buffer is free."""
        return self.room_bytes * 3 >= self.send_bytes_max

    def open(self) -> None:
        """Send the first piece of the connection."""
        self._to_open = True
        self.line.want(self)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take as much of ``data`` as there is room for; return how much that was."""
        taken = bytes(data[: self.room_bytes])
        if taken:
            self._unsent.append(taken)
            self._unsent_bytes += len(taken)
            self.line.want(self)
        if len(taken) < len(data):
            self._is_awaited = True
        return len(taken)

    def end(self) -> None:
        """Let the stream end after what was sent."""
        self._to_end = True
        self.line.want(self)

    def await_room(self) -> None:
        """Ask to be told when there is room."""
        self._is_awaited = True

    def die(self) -> None:
        """Send nothing more, and forget what was not sent; what has arrived stays to be read."""
        self.is_dead = True
        self._unsent.clear()
        self._lost.clear()
        self._again.clear()
        self._unsent_bytes = self._flying_bytes = self._unacknowledged_bytes = 0
        self._stop_retrying()

    @property
    def is_settled(self) -> bool:
        """Return whether the receiver's kernel has everything, the end included."""
        is_on_its_way = self._flying_bytes or self._lost or self._again or self.under_way
        return self.is_dead or (self._end_left and not is_on_its_way)

    # What the line asks.

    def next_piece(self, bytes_max: int) -> Piece | None:
        """Return what should leave now, at most ``bytes_max`` bytes; None when nothing may."""
        if self.is_dead or self._lost or self._is_broken_off:
            return None
        if self._again:
            return self._one_again(bytes_max)
        if self._to_open:
            self._to_open = False
            return self._numbered(b"", opens=True)
        if self._unsent:
            window = self.receive_bytes_max - self.received_bytes - self._flying_bytes
            return self._cut_off(min(bytes_max, window)) if window > 0 else None
        if self._to_end and not self._end_left:
            self._end_left = True
            return self._numbered(b"", ends=True)
        return None

    def arrive(self, piece: Piece) -> None:
        """Take a piece at the other end."""
        if not self.target.is_up:
            self.give_back(piece)
            return
        if self.is_dead:
            return
        self._trace("net.arrived", piece)
        for ready in self._in_order.put(piece):
            self._take_in(ready)

    def _take_in(self, piece: Piece) -> None:
        """Give the receiver a piece whose turn it is."""
        self._flying_bytes -= len(piece.data)
        if piece.data and self._back.conditions.is_cut:
            self._back.fired("cut")
            self._unacknowledged_bytes += len(piece.data)
            self._try_again_later()
        if self.target.is_gone:
            if piece.data or piece.opens:
                self.target.answer_with_reset()
            return
        if piece.data:
            self._received.append(piece.data)
            self.received_bytes += len(piece.data)
            if self.line.conditions.is_unread:
                self.line.fired("unread")
        self.has_ended = self.has_ended or piece.ends
        self._acknowledge()
        if piece.opens:
            self.target.opened()
        else:
            self.target.changed()

    def give_back(self, piece: Piece) -> None:
        """Take back a piece that did not get through, and try again later."""
        if not self.is_dead:
            self._trace("net.held", piece)
            self._lost.append(piece)
            self._try_again_later()

    def swallow(self, piece: Piece) -> None:
        """Take a piece as delivered that never arrives."""
        self.is_deaf = True
        self._flying_bytes -= len(piece.data)
        self._acknowledge()

    def break_off(self, piece: Piece) -> None:
        """Deliver the last piece of a connection that ends here, and the end after it."""
        self._is_broken_off = True
        how = self.line.conditions.ends_with
        last = replace(piece, ends=how == "fin")
        arrival_ns = max(self._kernel.now_ns + self.line.travel_ns(), self.last_arrival_ns)
        self._kernel.at(arrival_ns, lambda: self._arrive_last(last))

    # The receiver's side.

    def read(self, bytes_max: int) -> bytes:
        """Return what has arrived, at most ``bytes_max`` bytes; nothing when there is nothing."""
        taken: list[bytes] = []
        while self._received and bytes_max:
            data = self._received[0]
            if len(data) > bytes_max:
                self._received[0], data = data[bytes_max:], data[:bytes_max]
            else:
                self._received.popleft()
            bytes_max -= len(data)
            taken.append(data)
        result = b"".join(taken)
        self._took(len(result))
        return result

    def peek(self, bytes_max: int) -> bytes:
        """Return what ``read`` would, and leave it there."""
        return b"".join(self._received)[:bytes_max]

    def discard(self) -> None:
        """Throw away what has arrived."""
        self._took(self.received_bytes)
        self._received.clear()

    def _took(self, count: int) -> None:
        self.received_bytes -= count
        if not count or not self._unsent or self.is_dead:
            return
        if self._back.conditions.is_cut:
            self._try_again_later()
        else:
            self._later_back(lambda: self.line.want(self))

    def _cut_off(self, count: int) -> Piece:
        data = self._unsent.popleft()
        if len(data) > count:
            self._unsent.appendleft(data[count:])
            data = data[:count]
        self._unsent_bytes -= len(data)
        self._flying_bytes += len(data)
        return self._numbered(data)

    def _numbered(self, data: bytes, *, opens: bool = False, ends: bool = False) -> Piece:
        piece = Piece(self._next_at, data, opens, ends)
        self._next_at += piece.length
        return piece

    def _one_again(self, bytes_max: int) -> Piece:
        piece = self._again.popleft()
        if len(piece.data) > bytes_max:
            piece, rest = piece.split(bytes_max)
            self._again.appendleft(rest)
        return piece

    def _arrive_last(self, piece: Piece) -> None:
        self.arrive(piece)
        if not piece.ends:
            self.target.reset_by_peer()
        self._later_back(self.source.reset_by_peer)

    def _acknowledge(self) -> None:
        if self._is_awaited and not self._back.conditions.is_cut:
            self._is_awaited = False
            self._later_back(self.source.changed)

    def _later_back(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` after the way back, or at once where that takes no time."""
        under_way_ns = self._back.travel_ns()
        if under_way_ns:
            self._kernel.at(self._kernel.now_ns + under_way_ns, callback)
        else:
            callback()

    def _trace(self, what: str, piece: Piece) -> None:
        """Write a line of the trace; of encrypted bytes, which are random, neither their number nor their sum."""
        text = f"{what} {self.line.name} connection={self.source.number} {piece.kind}"
        if not self.source.is_opaque and not self.target.is_opaque:
            text += f" bytes={len(piece.data)} crc={zlib.crc32(piece.data)}"
        self._kernel.trace(text)  # In one piece: this is the trace's commonest line.

    def _try_again_later(self) -> None:
        if self._retry is None and not self.is_dead:
            self._delays = retry_delays_ns()
            self._schedule_retry()

    def _schedule_retry(self) -> None:
        delay_ns = next(self._delays, None)
        if delay_ns is None:
            self._kernel.trace("net.timed_out", way=self.line.name)
            self._retry = None
            self.source.timed_out()
            return
        self._retry = self._kernel.at(self._kernel.now_ns + delay_ns, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if self.is_dead:
            return
        if self.line.conditions.is_cut or self._back.conditions.is_cut or not self.target.is_up:
            self._note_cuts()
            self._schedule_retry()
            return
        self._unacknowledged_bytes = 0
        self._again.extend(self._lost)
        self._lost.clear()
        self._acknowledge()
        self.line.want(self)

    def _note_cuts(self) -> None:
        for line in (self.line, self._back):
            if line.conditions.is_cut:
                line.fired("cut")

    def _stop_retrying(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
