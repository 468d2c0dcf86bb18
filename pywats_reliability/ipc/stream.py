"""Frames over a connection: the little I/O that the server and the client have in common.

* A message is one write, for peers that read a body with one ``read`` (wats.md, 1.1). The system hands over some 32 kB
  in one piece; of a larger message such a peer may see only the beginning when the machine is busy, whoever sends it.
* ``send`` returns when the system has taken the last byte: nothing is buffered here, so a peer that never reads is
  noticed as soon as the system's own buffer is full (H6.2). That buffer keeps its default size on purpose: with a
  smaller one, upstream's client, which reads a body with one ``read``, would get large answers in pieces.
* Deadlines are the caller's: every method waits as long as the peer lets it. A cancelled ``send`` or ``receive`` leaves
  the stream in the middle of a message: abort it.
"""

from __future__ import annotations

import asyncio
import socket

from pywats_reliability.ipc.framing import FrameDecoder, encode_frame

CHUNK_BYTES = 65536


class FrameStream:
    """One connection, as frames. Whoever holds it calls ``abort``, or ``close``, in the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, body_bytes_max: int) -> None:
        self._reader, self._writer = reader, writer
        self._decoder = FrameDecoder(body_bytes_max)
        writer.transport.set_write_buffer_limits(high=0)

    @classmethod
    async def adopt(cls, accepted: socket.socket, *, body_bytes_max: int) -> FrameStream:
        """Return the stream over a connected socket, which is its own from now on."""
        reader, writer = await asyncio.open_connection(sock=accepted, limit=CHUNK_BYTES)
        return cls(reader, writer, body_bytes_max=body_bytes_max)

    @property
    def is_open(self) -> bool:
        """True until either side has closed the connection, as far as is known here."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def wait_for_message(self) -> bool:
        """Wait for the first byte of the next message; false when the peer has closed instead.

        Raises ``OSError`` when the connection breaks.
        """
        return not self._decoder.is_empty or await self._fill()

    async def receive(self) -> bytes | None:
        """Return the body of the next message, or ``None`` when the peer has closed, be it in the middle of one.

        Raises ``IPCProtocolError`` for a message over the limit, ``OSError`` when the connection breaks.
        """
        while (body := self._decoder.next_body()) is None:
            if not await self._fill():
                return None
        return body

    async def send(self, body: bytes) -> None:
        """Send one message and wait until the system has taken all of it; raises ``OSError`` when that cannot be."""
        self._writer.write(encode_frame(body))
        await self._writer.drain()

    def abort(self) -> None:
        """Close at once; what was not sent is lost. Harmless to repeat."""
        self._writer.transport.abort()

    async def close(self, limit_s: float) -> None:
        """Close and wait until the connection is gone, at most ``limit_s``; then, or when cancelled, abort."""
        self._writer.close()
        try:
            async with asyncio.timeout(limit_s):
                await self._writer.wait_closed()
        except OSError:  # A time-out too, or a connection that was broken already: gone is all that was asked for.
            return
        finally:
            self.abort()

    async def _fill(self) -> bool:
        data = await self._reader.read(CHUNK_BYTES)
        self._decoder.feed(data)
        return bool(data)
