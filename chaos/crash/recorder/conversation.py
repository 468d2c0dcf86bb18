"""What the outside may have seen: bytes on sockets and streams, connections, the end of the program.

* Pipes and socket pairs made by the program itself are its own affair and are left out.
* Bytes stand as text: ``text`` is UTF-8 with ``surrogateescape``, so that every byte can be had back.
"""

from __future__ import annotations

import os

from chaos.crash.recorder.arguments import address_of, data_of, descriptor, parts_of
from chaos.crash.recorder.calls import Call
from chaos.crash.recorder.file_calls import data_written
from chaos.crash.recorder.scribe import Scribe

RECEIVED_CHARACTERS_MAX = 1000  # What came in is context for the reader; what went out is kept whole.


class Conversation:
    """Knows which sockets and streams lead outside, and how to call them."""

    def __init__(self, streams: dict[str, str]) -> None:
        self._streams = streams
        self._own: set[str] = set()
        self._peers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Conversation({len(self._peers)} connections)"

    def pair_made(self, _scribe: Scribe, call: Call) -> None:
        """``socketpair``, ``pipe``, ``pipe2``: both ends are the program's own."""
        ends = (descriptor(end) for argument in call.arguments for end in argument.strip("[]").split(", "))
        self._own.update(end.target for end in ends if end is not None and end.target)

    def connected(self, scribe: Scribe, call: Call) -> None:
        """``connect``: also one that is still under way when the call ends."""
        if call.succeeded or call.note.startswith("EINPROGRESS"):
            peer = address_of(call.arguments[1])
            self._peers[self._target(call)] = peer
            scribe.visible(call, "connected", {"to": peer})

    def accepted(self, scribe: Scribe, call: Call) -> None:
        """``accept``, ``accept4``."""
        seen = descriptor(call.note)
        if seen is not None:
            peer = address_of(call.arguments[1]) or "a client"
            self._peers[seen.target] = peer
            scribe.visible(call, "accepted", {"from": peer})

    def sent(self, scribe: Scribe, call: Call) -> None:
        """``sendto``, ``sendmsg``, ``sendmmsg``, ``sendfile``, and what ``write`` sent to no file that counts."""
        target, count = self._target(call), call.result or 0
        if not count or target in self._own:
            return
        if (stream := self._stream(call, target)) is not None:
            scribe.printed(call, stream, os.fsdecode(_bytes_out(call)))
        elif target.startswith("socket:"):
            peer = self._peers.get(target, "a socket")
            scribe.visible(call, "sent", {"to": peer, "text": os.fsdecode(_bytes_out(call)), "bytes": count})

    def received(self, scribe: Scribe, call: Call) -> None:
        """``recvfrom``, ``recvmsg``; what a ``read`` got from a socket is not in the trace."""
        target = self._target(call)
        if call.result and target.startswith("socket:") and target not in self._own:
            data = data_of(call.arguments[1])
            text = os.fsdecode((parts_of(call.arguments[1]) if data is None else data)[: call.result])
            value = {"from": self._peers.get(target, "a socket"), "text": text[:RECEIVED_CHARACTERS_MAX]}
            scribe.visible(call, "received", {**value, "bytes": call.result})

    def _target(self, call: Call) -> str:
        seen = descriptor(call.arguments[0])
        return seen.target if seen else ""

    def _stream(self, call: Call, target: str) -> str | None:
        seen = descriptor(call.arguments[0])
        number = seen.number if seen else None
        if number in {1, 2} and target in {self._streams.get("stdout"), self._streams.get("stderr")}:
            return "stdout" if number == 1 else "stderr"
        return next((name for name, leads_to in self._streams.items() if target and leads_to == target), None)


def _bytes_out(call: Call) -> bytes:
    if call.name in {"write", "writev"}:
        return data_written(call)
    if call.name == "sendfile":
        return b""
    data = data_of(call.arguments[1])
    whole = parts_of(call.arguments[1]) if data is None else data
    return whole if call.name == "sendmmsg" else whole[: call.result or 0]
