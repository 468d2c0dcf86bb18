"""One client's connection, from the accepted socket to its end: hello, then request and answer in turn, all in time.

* A limit holds for the whole of what it limits (H6.1): for the message, not for each read; one byte every 29 s does not
  make a request of 30 s longer.
* One request is read, carried out and answered before the next is looked at: answers keep the order of their requests,
  and a client that sends ahead is stopped by its own full buffer (H6.5).
* After each answer the loop goes round once, so that a flood of small requests cannot keep others waiting (H6.4).
* What ends a connection: the peer, a limit, a message over 1 MiB (answered first), or the server. ``waits_since`` tells
  the server which clients keep it waiting, and which longest, and so may go first when places are short.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from pywats_reliability.errors import IPCProtocolError
from pywats_reliability.ipc import messages
from pywats_reliability.ipc.framing import REQUEST_BYTES_MAX
from pywats_reliability.ipc.limits import IPCLimits
from pywats_reliability.ipc.messages import Hello, refusal
from pywats_reliability.ipc.session import Reply, Session
from pywats_reliability.ipc.stream import FrameStream

OPENING, READING, CARRYING_OUT, WRITING, IDLE = (
    "waiting for the first request", "reading a request", "carrying out a command", "writing an answer", "idle",
)
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What the connections of one server count together. A turn is when one of them begins to wait for its client."""

    requests: int = 0
    errors: int = 0
    timeouts: int = 0
    turns: int = 0


class Connection:
    """A client that is being served: ``serve`` in a task of its own, then ``release`` when that task has ended."""

    def __init__(
        self, number: int, accepted: socket.socket, *, hello: Hello, session: Session, limits: IPCLimits, tally: Tally
    ) -> None:
        self.number, self.answered, self.phase = number, 0, OPENING
        self.waits_since: int | None = tally.turns
        self._socket = accepted
        self._stream: FrameStream | None = None
        self._hello, self._session, self._limits, self._tally = hello, session, limits, tally
        self._is_closing = False

    async def serve(self) -> None:
        """Serve the client until one side has enough. Cancelling it ends the command being carried out, unanswered."""
        try:
            await self._converse()
        except TimeoutError:
            self._count_timeout()
        except OSError as error:
            log.debug("IPC connection %d broke while %s: %s", self.number, self.phase, error)

    def finish(self) -> None:
        """Close after the answer that is being made, or at once when none is."""
        self._is_closing = True
        if self.phase in (OPENING, READING, IDLE):
            self.abort()

    def abort(self) -> None:
        """Close at once, whatever is going on; ``serve`` returns soon."""
        self._is_closing = True
        if self._stream is not None:
            self._stream.abort()

    def release(self) -> None:
        """Close what is still open, now that ``serve`` has ended or will never begin."""
        self.abort()
        if self._stream is None:
            self._socket.close()

    async def _converse(self) -> None:
        async with self._limit(OPENING, self._limits.connection_s):
            stream = self._stream = await FrameStream.adopt(self._socket, body_bytes_max=REQUEST_BYTES_MAX)
            await stream.send(self._hello.encode())
            has_message = not self._is_closing and await stream.wait_for_message()
        while has_message and await self._serve_one(stream) and not self._is_closing:
            await asyncio.sleep(0)
            async with self._limit(IDLE, self._limits.idle_s):
                has_message = await stream.wait_for_message()

    async def _serve_one(self, stream: FrameStream) -> bool:
        """Read one request and answer it; false when there can be no next one."""
        try:
            async with self._limit(READING, self._limits.read_s):
                body = await stream.receive()
        except IPCProtocolError as error:
            await self._answer(stream, _refuse_size(error))
            return False
        if body is None:
            return False
        self.phase, self.waits_since = CARRYING_OUT, None
        await self._answer(stream, await self._session.reply(body))
        return True

    async def _answer(self, stream: FrameStream, reply: Reply) -> None:
        self._tally.requests += 1
        self._tally.errors += reply.code is not None
        self._tally.timeouts += reply.code in (messages.PROCESSING_TIMEOUT, messages.OUTCOME_UNKNOWN)
        try:
            async with self._limit(WRITING, self._limits.write_s):
                await stream.send(reply.body)
            self.answered += 1
        finally:
            if reply.after is not None:
                self._follow_up(reply.after)

    def _follow_up(self, after: Callable[[], object]) -> None:
        try:
            after()
        except Exception:  # The answer is out already; whoever asked cannot be told.
            log.exception("IPC connection %d: what should follow an answer failed: %r", self.number, after)

    def _limit(self, phase: str, limit_s: float) -> asyncio.Timeout:
        self._tally.turns += 1
        self.phase, self.waits_since = phase, self._tally.turns
        return asyncio.timeout(limit_s)

    def _count_timeout(self) -> None:
        if self.phase == IDLE:
            log.debug("IPC connection %d closed: idle", self.number)
            return
        self._tally.timeouts += 1
        log.warning("IPC connection %d closed: its client let the limit for %s pass", self.number, self.phase)

    def __repr__(self) -> str:
        return f"Connection({self.number}, {self.phase}, {self.answered} answered)"


def _refuse_size(error: IPCProtocolError) -> Reply:
    text = f"Message too large: expected {error.expected}, found {error.found}; hand a large report over as a file"
    return Reply(refusal(messages.TOO_LARGE, text).encode(), messages.TOO_LARGE)
