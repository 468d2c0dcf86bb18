"""Frames, without I/O: a length of four bytes, big-endian, and then that many bytes of one message (wats.md, 1.1).

* The decoder takes whatever bytes have come, in any split, and gives the bodies that are whole (H6.1, H6.5).
* A length above the limit is refused from its four bytes alone, before memory is spent on it (H6.6). What follows such
  a length cannot be told from frames, so the decoder stays broken and the connection must go.
* Memory is bounded by the limit and the bytes of one feed.
"""

from __future__ import annotations

from pywats_reliability.errors import IPCProtocolError

HEADER_BYTES = 4
REQUEST_BYTES_MAX = 1_048_576
ANSWER_BYTES_MAX = 16 * 1_048_576
"""What our client takes and our server sends; the protocol itself names no limit for answers."""


def encode_frame(body: bytes) -> bytes:
    """Return ``body`` with its header in front: one piece, to be sent in one write."""
    return len(body).to_bytes(HEADER_BYTES, "big") + body


class FrameDecoder:
    """Cuts a stream of bytes into the bodies of its frames."""

    def __init__(self, body_bytes_max: int = REQUEST_BYTES_MAX) -> None:
        self.body_bytes_max = body_bytes_max
        self._bytes = bytearray()

    @property
    def is_empty(self) -> bool:
        """True when no byte of a message is waiting here, not even half a header."""
        return not self._bytes

    def feed(self, data: bytes) -> None:
        """Add bytes in the order in which they came."""
        self._bytes += data

    def next_body(self) -> bytes | None:
        """Return the next whole body, or ``None`` when more bytes are needed.

        Raises ``IPCProtocolError`` for a length above the limit, and again at every later call.
        """
        if len(self._bytes) < HEADER_BYTES:
            return None
        length = int.from_bytes(self._bytes[:HEADER_BYTES], "big")
        if length > self.body_bytes_max:
            raise IPCProtocolError(f"a message of at most {self.body_bytes_max} bytes", f"a length of {length}")
        end = HEADER_BYTES + length
        if len(self._bytes) < end:
            return None
        body = bytes(self._bytes[HEADER_BYTES:end])
        del self._bytes[:end]
        return body

    def __repr__(self) -> str:
        return f"FrameDecoder({len(self._bytes)} bytes waiting, bodies up to {self.body_bytes_max})"
