"""What travels: pieces of a stream, numbered so that they are put in order again where they arrive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Piece:
    """Something on the wire: the first of a connection (``opens``), some of its bytes, or its end (``ends``).

    ``at`` is its place: every byte counts, and the beginning and the end one each, as TCP's sequence numbers do.
    """

    at: int = 0
    data: bytes = b""
    opens: bool = False
    ends: bool = False

    @property
    def length(self) -> int:
        """Return how many places it takes."""
        return len(self.data) + self.opens + self.ends

    @property
    def kind(self) -> str:
        """Return what it is, in a word."""
        return "opens" if self.opens else "ends" if self.ends else "data"

    def split(self, bytes_max: int) -> tuple[Piece, Piece]:
        """Return its first ``bytes_max`` bytes and the rest, as pieces."""
        first = replace(self, data=self.data[:bytes_max], ends=False)
        return first, replace(self, at=self.at + first.length, data=self.data[bytes_max:], opens=False)


class InOrder:
    """Gives pieces in the order of their places, in whatever order they come; what overtook others waits."""

    def __init__(self) -> None:
        self._expected = 0
        self._early: dict[int, Piece] = {}

    def __repr__(self) -> str:
        return f"InOrder(next {self._expected}, {len(self._early)} early)"

    def put(self, piece: Piece) -> Iterator[Piece]:
        """Take a piece, and yield those whose turn it now is."""
        self._early[piece.at] = piece
        while (ready := self._early.pop(self._expected, None)) is not None:
            self._expected += ready.length
            yield ready
