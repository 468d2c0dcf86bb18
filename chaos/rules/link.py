"""What one direction of a network link does to what is sent over it, as values: the rules of both worlds' networks.

* Conditions add up: latencies and jitters are summed, of bandwidths and pieces the smallest holds, and of the rest it
  is enough that one fault says so.
* What is lost is sent again, as TCP does: after 200 ms, then after twice as long each time, at most two minutes; after
  fifteen repetitions in vain the sender gives up, 924.6 s after it began. Somebody who wants to connect tries again
  after 1, 3, 7, 15, 31 and 63 s, and gives up after 127 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
PIECE_BYTES = 16 * 1024
FIRST_RETRY_NS = 200 * MILLISECOND_NS
LONGEST_RETRY_NS = 120 * SECOND_NS
RETRIES = 15
CONNECT_RETRIES = 6
PIECES_PER_SECOND = 10
Ending = Literal["fin", "rst"]


@dataclass(frozen=True, slots=True)
class LinkConditions:
    """How one direction of a link behaves.

    * ``latency_ns`` is what everything takes; ``jitter_ns`` is drawn on top of it, per piece; order is kept.
    * ``bytes_per_s`` is shared by all connections of the direction (None: no limit); ``piece_ns`` is the least time
      between two pieces; ``piece_bytes`` the largest piece; with ``slices`` the size of each is drawn from 1 up to it.
    * ``loss`` is the probability (0 to 1) that a piece must be sent again.
    * ``is_cut``: nothing passes, and nobody is told. ``swallows``: everything seems to pass, and never arrives; who
      has lost a byte so hears nothing more on that connection, for a hole in a stream cannot be mended.
    * ``is_unread``: what arrives is not read, so that the sender's buffers fill. ``refuses``: there are no new
      connections.
    * ``ends_after_bytes``: a connection's life in bytes of this direction; ``ends_with`` says how it ends for the
      receiver (the sender is reset).
    """

    latency_ns: int = 0
    jitter_ns: int = 0
    bytes_per_s: int | None = None
    piece_ns: int = 0
    piece_bytes: int = PIECE_BYTES
    slices: bool = False
    loss: float = 0.0
    is_cut: bool = False
    swallows: bool = False
    is_unread: bool = False
    refuses: bool = False
    ends_after_bytes: int | None = None
    ends_with: Ending = "rst"

    def with_also(self, more: LinkConditions) -> LinkConditions:
        """Return what holds when ``more`` comes on top of this."""
        ends = _smallest(self.ends_after_bytes, more.ends_after_bytes)
        return LinkConditions(
            latency_ns=self.latency_ns + more.latency_ns,
            jitter_ns=self.jitter_ns + more.jitter_ns,
            bytes_per_s=_smallest(self.bytes_per_s, more.bytes_per_s),
            piece_ns=max(self.piece_ns, more.piece_ns),
            piece_bytes=min(self.piece_bytes, more.piece_bytes),
            slices=self.slices or more.slices,
            loss=max(self.loss, more.loss),
            is_cut=self.is_cut or more.is_cut,
            swallows=self.swallows or more.swallows,
            is_unread=self.is_unread or more.is_unread,
            refuses=self.refuses or more.refuses,
            ends_after_bytes=ends,
            ends_with=self.ends_with if ends == self.ends_after_bytes else more.ends_with,
        )

    @property
    def largest_piece_bytes(self) -> int:
        """Return how much is sent at a time: on a slow line no more than it carries in a tenth of a second."""
        if self.bytes_per_s is None:
            return self.piece_bytes
        return max(1, min(self.piece_bytes, self.bytes_per_s // PIECES_PER_SECOND))

    def line_ns(self, size_bytes: int) -> int:
        """Return how long a piece occupies the line before the next one may leave."""
        carried = 0 if self.bytes_per_s is None else size_bytes * SECOND_NS // self.bytes_per_s
        return max(carried, self.piece_ns if size_bytes else 0)


def retry_delays_ns() -> Iterator[int]:
    """Yield how long a sender waits for each acknowledgement in vain before it tries again, or (the last) gives up."""
    for attempt in range(RETRIES + 1):
        yield min(FIRST_RETRY_NS << attempt, LONGEST_RETRY_NS)


def connect_delays_ns() -> Iterator[int]:
    """Yield how long somebody who connects waits for each answer in vain before the next attempt, or the end."""
    for attempt in range(CONNECT_RETRIES + 1):
        yield SECOND_NS << attempt


def _smallest(one: int | None, other: int | None) -> int | None:
    return min((value for value in (one, other) if value is not None), default=None)
