"""A service whose answers over IPC are as wrong as one likes: gone, silent, an error, or a success that makes no sense.

* It speaks protocol 2.0 (frames of 4 bytes and JSON, a hello, one answer to each request) and knows nothing else: the
  good answers are given to it.
* What it does to a request is decided by ``faults``: the n-th request of an action may fail while the others succeed.
* It counts what it really did to whom; a fault that never fired proves nothing.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

Answerer = Callable[[Mapping[str, Any]], Any]
ERROR_CODE, ERROR_WORDS = "planted", "expected a good day, found a planted error; wait for a better one"
HELLO = {
    "protocol_version": "2.0", "server_version": "scripted", "instance_id": "default", "requires_auth": False,
    "capabilities": ["queue"],
}  # fmt: skip


class Fault(StrEnum):
    """What can be done to a request."""

    GONE = "gone"
    SILENT = "silent"
    ERROR = "error"
    NO_JSON = "no json"
    NOTHING = "null"
    WRONG_KIND = "wrong kind"
    EMPTY = "empty"

    @property
    def is_malformed(self) -> bool:
        """True for a success that makes no sense."""
        return self in (Fault.NO_JSON, Fault.NOTHING, Fault.WRONG_KIND, Fault.EMPTY)


class ScriptedService:
    """Listens at ``path`` and answers from ``answers``: for each command a function of its arguments."""

    def __init__(self, path: Path, answers: Mapping[str, Answerer]) -> None:
        self.path, self.answers = path, dict(answers)
        self.asked: list[str] = []
        self.fired: Counter[Fault] = Counter()
        self._faults: Callable[[int, str], Fault | None] = lambda _, __: None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._all_left = asyncio.Event()

    def misbehave(self, decide: Callable[[int, str], Fault | None]) -> None:
        """From now on ask ``decide`` what to do to each request, by its number (from 0) and its command."""
        self.asked.clear()
        self._faults = decide

    def behave(self) -> None:
        """Answer well from now on."""
        self.misbehave(lambda _, __: None)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def go_away(self) -> None:
        """Stop listening and cut every connection, as a service that was ended."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await server.wait_closed()
        if self._writers:
            await self._all_left.wait()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._all_left.clear()
        try:
            writer.write(_frame(HELLO))
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    (size,) = struct.unpack(">I", await reader.readexactly(4))
                    request = json.loads(await reader.readexactly(size))
                    if not await self._answer(request, writer):
                        break
        finally:
            self._writers.discard(writer)
            if not self._writers:
                self._all_left.set()
            writer.close()

    async def _answer(self, request: Mapping[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Answer one request, well or not; false when the connection is to end."""
        command = str(request["command"])
        fault = self._faults(len(self.asked), command)
        self.asked.append(command)
        if fault is not None:
            self.fired[fault] += 1
        if fault is Fault.GONE:
            return False
        if fault is Fault.SILENT:
            return True
        writer.write(self._reply(request, fault))
        await writer.drain()
        return True

    def _reply(self, request: Mapping[str, Any], fault: Fault | None) -> bytes:
        whole = {"success": True, "data": None, "error": None, "request_id": request["request_id"]}
        whole["protocol_version"] = "2.0"
        if fault is Fault.NO_JSON:
            return struct.pack(">I", 9) + b"<html>no>"
        if fault is Fault.ERROR:
            return _frame({**whole, "success": False, "error": ERROR_WORDS, "code": ERROR_CODE})
        good = self.answers[str(request["command"])](request.get("args") or {})
        return _frame({**whole, "data": _spoiled(good, fault)})

    def __repr__(self) -> str:
        return f"ScriptedService({'up' if self._server else 'down'}, {len(self.asked)} asked, {dict(self.fired)})"


def _spoiled(good: Any, fault: Fault | None) -> Any:
    if fault is Fault.NOTHING:
        return None
    if fault is Fault.WRONG_KIND:
        return "a text" if not isinstance(good, str) else 7
    if fault is Fault.EMPTY:
        return [{}] if isinstance(good, list) else {}
    return good


def _frame(value: object) -> bytes:
    body = json.dumps(value).encode()
    return struct.pack(">I", len(body)) + body
