"""Mistakes by which IPC hangs, lets in whom it should not, or gives one client's answer to another."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.ipc import messages
from pywats_reliability.ipc.connection import IDLE, OPENING, READING, WRITING, Connection
from pywats_reliability.ipc.session import Session
from pywats_reliability.ipc.stream import FrameStream

IPC = "pywats_reliability.ipc"
LIMIT = f"{IPC}.connection:Connection._limit"
log = logging.getLogger(__name__)
Limit = Callable[[Connection, str, Any], asyncio.Timeout]


def _instead_of(service: Replacements, wanted: str, instead: Callable[[Connection, float], float | None]) -> None:
    """Exchange the limit of one phase."""

    def limit(original: Limit, self: Connection, phase: str, limit_s: float) -> asyncio.Timeout:
        return original(self, phase, instead(self, limit_s) if phase == wanted else limit_s)

    service.wrap(LIMIT, limit)


@mutant("H6.1", subtle="only when the bytes keep coming")
def limits_each_read(service: Replacements) -> None:
    """Sets the limit on each read: whoever sends something is alive."""

    async def receive(self: FrameStream) -> bytes | None:
        while (body := self._decoder.next_body()) is None:
            if not await self._fill():
                return None
            deadline = getattr(self, "deadline", None)
            if deadline is not None:
                deadline.reschedule(asyncio.get_running_loop().time() + 30)
        return body

    def limit(original: Limit, self: Connection, phase: str, limit_s: float) -> asyncio.Timeout:
        deadline = original(self, phase, limit_s)
        if self._stream is not None:
            self._stream.deadline = deadline if phase == READING else None  # type: ignore[attr-defined]
        return deadline

    service.replace(f"{IPC}.stream:FrameStream.receive", receive)
    service.wrap(LIMIT, limit)


@mutant("H6.1")
def waits_for_the_first_request(service: Replacements) -> None:
    """Lets a client that has connected take its time: the limits are for requests."""
    _instead_of(service, OPENING, lambda *_: None)


@mutant("H6.1", subtle="only just beyond the limit")
def gives_some_grace(service: Replacements) -> None:
    """Adds a second to the time for reading, for clients on slow machines."""
    _instead_of(service, READING, lambda _, limit_s: limit_s + 1)


@mutant("H6.2")
def writes_without_a_limit(service: Replacements) -> None:
    """Has no limit for writing: the system's buffers are large enough for every answer."""
    _instead_of(service, WRITING, lambda *_: None)


@mutant("H6.2")
def writes_for_as_long_as_it_reads(service: Replacements) -> None:
    """Uses one limit for both directions."""
    _instead_of(service, WRITING, lambda self, _: self._limits.read_s)


@mutant("H6.2")
def waits_out_a_blocked_write(service: Replacements) -> None:
    """Tries a write that took too long once more before it gives the client up."""

    async def send(original: Any, self: FrameStream, body: bytes) -> None:
        try:
            await original(self, body)
        except asyncio.CancelledError:
            async with asyncio.timeout(10):
                await self._writer.drain()
            raise

    service.wrap(f"{IPC}.stream:FrameStream.send", send)


@mutant("H6.3", subtle="only after the time limit")
def lets_the_command_go_on(service: Replacements) -> None:
    """Shields commands from their time limit, so that none is left half done."""

    def shielded(handler: Any) -> Any:
        async def carried_out(args: Mapping[str, Any]) -> Any:
            return await asyncio.shield(asyncio.get_running_loop().create_task(handler(args)))

        return carried_out

    def prepared(original: Any, self: Session, handlers: Mapping[str, Any], **more: Any) -> None:
        original(self, {name: shielded(handler) for name, handler in handlers.items()}, **more)

    service.wrap(f"{IPC}.session:Session.__init__", prepared)


@mutant("H6.3")
def closes_after_a_timeout(service: Replacements) -> None:
    """Closes a connection on which a command took too long, as nobody knows its state."""

    async def serve_one(original: Any, self: Connection, stream: FrameStream) -> bool:
        before = self._tally.timeouts
        return bool(await original(self, stream)) and self._tally.timeouts == before

    service.wrap(f"{IPC}.connection:Connection._serve_one", serve_one)


@mutant("H6.3")
def answers_a_timeout_as_any_failure(service: Replacements) -> None:
    """Answers what took too long as any other failure: the client need not know why."""

    def failure(original: Any, self: Session, request: Any, error: BaseException, *, timed_out: bool) -> Any:
        del timed_out
        return original(self, request, error, timed_out=False)

    service.wrap(f"{IPC}.session:Session._failure", failure)


@mutant("H6.4")
def refuses_when_full(service: Replacements) -> None:
    """Refuses newcomers while every place is taken: first come, first served."""
    service.replace(f"{IPC}.server:AsyncIPCServer._send_one_away", lambda *_: None)


@mutant("H6.4")
def serves_everybody(service: Replacements) -> None:
    """Has a place for everybody: a connection costs next to nothing."""

    def made(original: Any, self: Any, address: Any, *, limits: Any, **more: Any) -> None:
        original(self, address, limits=dataclasses.replace(limits, connections_max=1 << 30), **more)

    service.wrap(f"{IPC}.server:AsyncIPCServer.__init__", made)


@mutant("H6.4", subtle="only while a crowd keeps coming")
def sends_away_who_was_answered(service: Replacements) -> None:
    """Sends away first who has had an answer already, to be fair to those who have had none."""
    service.replace(f"{IPC}.server:_claim", lambda connection: (connection.answered == 0, connection.waits_since or 0))


@mutant("H6.5")
def answers_twice(service: Replacements) -> None:
    """Writes each answer twice, as upstream's server does."""

    async def answer(original: Any, self: Connection, stream: FrameStream, reply: Any) -> None:
        await original(self, stream, reply)
        await original(self, stream, reply)

    service.wrap(f"{IPC}.connection:Connection._answer", answer)


@mutant("H6.5", subtle="only when several requests come in one piece")
def forgets_what_came_with_it(service: Replacements) -> None:
    """Begins each request with an empty buffer, so that nothing of the last one can spoil it."""

    def next_body(original: Any, self: Any) -> bytes | None:
        body: bytes | None = original(self)
        if body is not None:
            self._bytes.clear()
        return body

    service.wrap(f"{IPC}.framing:FrameDecoder.next_body", next_body)


@mutant("H6.5", subtle="only when a later request is the faster one")
def answers_side_by_side(service: Replacements) -> None:
    """Carries out what was sent ahead side by side, as that is faster."""

    async def serve_one(_: Any, self: Connection, stream: FrameStream) -> bool:
        body = await stream.receive()
        if body is None:
            return False

        async def answer(body: bytes) -> None:
            await self._answer(stream, await self._session.reply(body))

        self.side = [*getattr(self, "side", []), asyncio.get_running_loop().create_task(answer(body))]  # type: ignore[attr-defined]
        return True

    service.wrap(f"{IPC}.connection:Connection._serve_one", serve_one)


@mutant("H6.6")
def believes_the_types(service: Replacements) -> None:
    """Takes the fields of a request as they are: our own clients send the right types."""

    def taken(fields: Mapping[str, Any], request_id: str) -> messages.Request:
        return messages.Request(fields.get("command", ""), fields.get("args", {}), request_id)

    service.replace(f"{IPC}.messages:_request", taken)


@mutant("H6.6")
def logs_bad_input_as_an_error(service: Replacements) -> None:
    """Logs every request that cannot be read as an error, for whoever looks for attacks."""

    def parsed(original: Any, body: bytes) -> Any:
        found = original(body)
        if isinstance(found, messages.Response):
            log.error("IPC: %s", found.error)
        return found

    service.wrap(f"{IPC}.messages:parse_request", parsed)


@mutant("H6.6", subtle="only for text that is no text")
def writes_text_as_it_is(service: Replacements) -> None:
    """Writes answers without escapes, for those who read the wire."""

    def encoded(fields: Mapping[str, Any]) -> bytes:
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    service.replace(f"{IPC}.messages:_encoded", encoded)


@mutant("H6.7")
def compares_what_was_given(service: Replacements) -> None:
    """Compares as much of the token as the client has given."""
    service.replace(f"{IPC}.secret:tokens_match", lambda token, secret: secret.startswith(token))


@mutant("H6.7", subtle="only after a long rest")
def saves_up_the_rate(service: Replacements) -> None:
    """Lets a client that was quiet for long ask more at once, as it has asked less before."""

    def prepared(original: Any, self: Any, **_: Any) -> None:
        original(self, capacity=1 << 30)
        self._tokens = 20.0

    service.wrap(f"{IPC}.rate_limit:TokenBucket.__init__", prepared)


@mutant("H6.7")
def makes_its_folder_as_usual(service: Replacements) -> None:
    """Makes the socket's folder with the usual rights: the socket itself is protected."""
    service.replace(f"{IPC}.listener:_prepare_folder", lambda path: path.parent.mkdir(parents=True, exist_ok=True))


@mutant("H6.8")
def never_closes_idle_clients(service: Replacements) -> None:
    """Keeps idle connections: their clients close them when they no longer need them."""
    _instead_of(service, IDLE, lambda *_: None)


@mutant("H6.8", subtle="only for a client that asks for longer than five minutes")
def counts_from_the_connection(service: Replacements) -> None:
    """Counts the five minutes from the first request on, so that connections are renewed."""

    def left(self: Connection, limit_s: float) -> float:
        now = asyncio.get_running_loop().time()
        ends_at: float = getattr(self, "ends_at", now + limit_s)
        self.ends_at = ends_at  # type: ignore[attr-defined]
        return max(0.0, ends_at - now)

    _instead_of(service, IDLE, left)


@mutant("H6.8", subtle="only by seconds")
def looks_for_idle_clients_once_a_minute(service: Replacements) -> None:
    """Sweeps idle connections once a minute, which is cheaper than a timer for each."""

    def next_sweep_s(_: Connection, limit_s: float) -> float:
        ends_at = asyncio.get_running_loop().time() + limit_s
        return limit_s + 60 - ends_at % 60

    _instead_of(service, IDLE, next_sweep_s)


@mutant("H6.9")
def takes_the_next_answer(service: Replacements) -> None:
    """Takes the next answer for its own: there is one for each request."""

    async def answer_to(_self: Any, stream: FrameStream, _: str) -> Any:
        body = await stream.receive()
        assert body is not None, "the connection closed before the answer"
        return messages.parse_response(body)

    service.replace(f"{IPC}.client:AsyncIPCClient._answer_to", answer_to)


@mutant("H6.9", subtle="only after a time-out")
def keeps_the_connection(service: Replacements) -> None:
    """Keeps the connection after a time-out: making a new one costs time."""
    service.replace(f"{IPC}.client:AsyncIPCClient._drop", lambda _: None)


@mutant("H6.9", subtle="only after a kill")
def leaves_whatever_is_there(service: Replacements) -> None:
    """Takes a socket file for a live server, without asking it: whoever made it may be busy."""

    async def is_live(path: Path) -> bool:
        return await asyncio.to_thread(path.exists)

    service.replace(f"{IPC}.listener:_is_live", functools.wraps(is_live)(is_live))
