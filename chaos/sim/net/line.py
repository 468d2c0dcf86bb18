"""One direction of a link between two hosts: what is sent over it waits its turn, travels, and arrives, or does not.

* Whoever wants to send is asked for the next piece when the line is free, so that a change of the conditions holds for
  everything that has not left yet; connections take turns.
* Pieces of one connection keep their order. A piece that meets a cut, when it leaves or when it would arrive, goes back
  to its sender, who tries again (``chaos.rules.link`` says when).
* Draws: ``net/A>B/latency``, ``…/loss`` and ``…/slice``; all zeros is the friendliest network.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from chaos.rules.link import FIRST_RETRY_NS, LinkConditions
from chaos.sim.net.piece import Piece
from chaos.sim.ports import Kernel

LOSSES_MAX = 6  # In a row, of one piece: a probability of 1 must not be a cut.


class Sender(Protocol):
    """One direction of a connection, as the line sees it."""

    last_arrival_ns: int
    sent_bytes: int
    under_way: int
    is_deaf: bool

    def next_piece(self, bytes_max: int) -> Piece | None:
        """Return what should leave now, at most ``bytes_max`` bytes of it; None when nothing may."""
        ...

    def arrive(self, piece: Piece) -> None:
        """Take a piece at the other end."""
        ...

    def give_back(self, piece: Piece) -> None:
        """Take back a piece that did not get through."""
        ...

    def swallow(self, piece: Piece) -> None:
        """Take a piece as delivered that never arrives."""
        ...

    def break_off(self, piece: Piece) -> None:
        """Deliver the last piece of a connection that ends here."""
        ...


class Effect(Protocol):
    """A fault, as the line sees it."""

    effect: str
    conditions: LinkConditions

    def fire(self) -> None:
        """Count that it did something."""
        ...


class Line:
    """One direction, from ``source`` to ``target`` (names of hosts)."""

    def __init__(self, kernel: Kernel, source: str, target: str, conditions: LinkConditions) -> None:
        self.source, self.target, self.name = source, target, f"{source}>{target}"
        self.conditions = self._fair = conditions
        self.carried_bytes = 0
        self._kernel, self._faults = kernel, list[Effect]()
        self._wanting: deque[Sender] = deque()
        self._is_busy = self._is_at_work = False

    def __repr__(self) -> str:
        return f"Line({self.name}, {self.carried_bytes} bytes carried, {len(self._faults)} faults)"

    def behave(self, conditions: LinkConditions) -> None:
        """Set how the line behaves without any fault."""
        self._fair = conditions
        self._combine()

    def add(self, fault: Effect) -> None:
        """Let a fault act from now on."""
        self._faults.append(fault)
        self._combine()

    def remove(self, fault: Effect) -> None:
        """Let it act no more (harmless when it does not)."""
        if fault in self._faults:
            self._faults.remove(fault)
            self._combine()

    def fired(self, effect: str) -> None:
        """Count that the faults with this effect did something."""
        for fault in self._faults:
            if fault.effect == effect:
                fault.fire()

    def travel_ns(self) -> int:
        """Draw how long something is under way, if it gets through."""
        conditions = self.conditions
        under_way_ns = conditions.latency_ns
        if conditions.jitter_ns:
            under_way_ns += self._kernel.choices.between(f"net/{self.name}/latency", 0, conditions.jitter_ns)
        if self._faults:
            self.fired("delay")
        return under_way_ns

    def want(self, sender: Sender) -> None:
        """Ask ``sender`` for a piece as soon as it is its turn."""
        if sender not in self._wanting:
            self._wanting.append(sender)
        if not self._is_at_work:
            self._work()

    def _work(self) -> None:
        """Let pieces leave until nobody wants to send or the line is occupied."""
        self._is_at_work = True
        while self._wanting and not self._is_busy:
            sender = self._wanting.popleft()
            piece = sender.next_piece(self._piece_bytes(sender))
            if piece is None:
                continue
            if sender not in self._wanting:
                self._wanting.append(sender)
            occupied_ns = self.conditions.line_ns(len(piece.data))
            if occupied_ns:
                self._is_busy = True
                self.fired("slow")
                self._kernel.at(self._kernel.now_ns + occupied_ns, lambda s=sender, p=piece: self._free(s, p))  # type: ignore[misc]
            else:
                self._leave(sender, piece)
        self._is_at_work = False

    def _free(self, sender: Sender, piece: Piece) -> None:
        self._is_busy = False
        self._leave(sender, piece)
        self._work()

    def _piece_bytes(self, sender: Sender) -> int:
        conditions = self.conditions
        largest = conditions.largest_piece_bytes
        if conditions.slices:
            largest -= self._kernel.choices.below(f"net/{self.name}/slice", largest)
            self.fired("slice")
        if conditions.ends_after_bytes is not None:
            largest = max(1, min(largest, conditions.ends_after_bytes - sender.sent_bytes))
        return largest

    def _leave(self, sender: Sender, piece: Piece) -> None:
        conditions = self.conditions
        if conditions.is_cut:
            self.fired("cut")
            sender.give_back(piece)
            return
        self.carried_bytes += len(piece.data)
        sender.sent_bytes += len(piece.data)
        if (conditions.swallows or sender.is_deaf) and not piece.opens:
            self.fired("swallow")
            sender.swallow(piece)
            return
        ends = conditions.ends_after_bytes
        if ends is not None and sender.sent_bytes >= ends and not piece.opens:
            self.fired("end")
            sender.break_off(piece)
            return
        self._launch(sender, piece)

    def _launch(self, sender: Sender, piece: Piece) -> None:
        now_ns = self._kernel.now_ns
        arrival_ns = max(now_ns + self.travel_ns() + self._lost_ns(), sender.last_arrival_ns)
        sender.last_arrival_ns = arrival_ns
        if arrival_ns == now_ns and not sender.under_way:
            sender.arrive(piece)
        else:
            sender.under_way += 1
            self._kernel.at(arrival_ns, lambda: self._land(sender, piece))

    def _land(self, sender: Sender, piece: Piece) -> None:
        sender.under_way -= 1
        if self.conditions.is_cut:
            self.fired("cut")
            sender.give_back(piece)
        else:
            sender.arrive(piece)

    def _lost_ns(self) -> int:
        """Draw how much later a piece arrives because it had to be sent again."""
        loss, delay_ns = self.conditions.loss, 0
        if not loss:
            return 0
        for attempt in range(LOSSES_MAX):
            if not self._kernel.choices.chance(f"net/{self.name}/loss", loss):
                break
            self.fired("loss")
            delay_ns += FIRST_RETRY_NS << attempt
        return delay_ns

    def _combine(self) -> None:
        conditions = self._fair
        for fault in self._faults:
            conditions = conditions.with_also(fault.conditions)
        self.conditions = conditions
