"""One request on its way through the server: each phase is noted, and each is a place where a rule may step in.

* The way of a report: started → headers read → body read → (judged) → stored → answered. Nothing is stored that was
  not read to its last byte. A rule of the answer stores nothing unless it says so; the others change nothing of that.
* A hang takes no byte off the socket. It ends by ``release`` (the request then goes on as if nothing had been), when
  the peer leaves, or with the server; it has no deadline on purpose, for the deadline under test is the peer's.
* A delay ends by time or by ``release`` and not when the peer leaves: a slow server stores what it was sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from itertools import islice
from typing import Any

from chaos.rules.wats_server import Action, Effect, Facts, Point, Rule, early_report_id
from chaos.wats_server import replies
from chaos.wats_server.connection import Connection, Request, RequestRefusedError
from chaos.wats_server.events import EventKind, now_ns
from chaos.wats_server.memory import ServerMemory
from chaos.wats_server.replies import Reply

VERSION_PATH = "/api/App/Version"
REPORT_PATH = "/api/Report/WSJF"
DRIP_TICK_S = 0.05
PATH_SHOWN = 200
PEER_HAS_GONE = (ConnectionError, TimeoutError, asyncio.IncompleteReadError)


class _CutError(Exception):
    """A rule has ended the connection; the exchange is over."""


class Exchange:
    """A request from its first byte to the end of its answer, or of its connection."""

    def __init__(self, memory: ServerMemory, connection: Connection) -> None:
        self._memory, self._connection = memory, connection
        self._trace = memory.traces.begin(connection.number)
        self._book, self._index = memory.rulebook, -1
        self._path: str | None = None
        self._is_repeat = False

    def __repr__(self) -> str:
        return f"Exchange({self._trace.number}, {self._trace.phase or 'new'}, rule {self._trace.rule or 'none'})"

    async def run(self, first: bytes) -> bool:
        """Serve the request that begins with ``first``; return whether the connection can carry another one."""
        try:
            return await self._serve(first)
        except _CutError:
            return False
        except RequestRefusedError as error:
            return await self._refuse(replies.error(error.status, error.message))
        except PEER_HAS_GONE as error:
            self._lost(type(error).__name__)
            return False
        except asyncio.CancelledError:
            self._note(EventKind.ABORTED, why="the server cut its connections")
            raise
        finally:
            self._trace.body_bytes = self._connection.body_bytes_read

    async def _serve(self, first: bytes) -> bool:
        self._note(EventKind.REQUEST_STARTED)
        self._decide(Point.STARTED)
        await self._meet(Point.STARTED)
        request = await self._connection.read_head(first)
        self._path, shown = request.path, request.path[:PATH_SHOWN]
        self._trace.method, self._trace.path = request.method[:PATH_SHOWN], shown
        self._note(EventKind.HEADERS_READ, method=self._trace.method, path=shown, length_bytes=request.length_bytes)
        self._decide(Point.HEADERS_READ)
        await self._meet(Point.HEADERS_READ)
        if refusal := self._refusal_of_head(request):
            return await self._refuse(refusal)
        with self._memory.deliveries.room_for(request.length_bytes):
            body = await self._read_body(request)
            return await self._answer(request, body)

    def _refusal_of_head(self, request: Request) -> Reply | None:
        if request.method == "POST" and "content-length" not in request.headers:
            return replies.error(411, "Content-Length required")
        if request.length_bytes > self._memory.settings.body_bytes_max:
            return replies.error(413, f"Report larger than {self._memory.settings.body_bytes_max} bytes")
        if not self._memory.deliveries.has_room_for(request.length_bytes):
            return replies.error(503, "The test server holds as many bytes as it may; reset it or raise its limit")
        return None

    async def _read_body(self, request: Request) -> bytes:
        """Read the body, stopping where a rule about its middle wants to be asked."""
        body = b""
        stops = [] if self._rule else self._memory.rulebook.stops_in(request.length_bytes)
        for stop in stops:
            body += await self._connection.read_body(stop - len(body))
            if self._trace.report_id is None:
                self._learn_id(early_report_id(body))
            self._decide(Point.IN_BODY, at_bytes=stop, length_bytes=request.length_bytes)
            if self._rule:
                await self._meet(Point.IN_BODY)
                break
        return body + await self._connection.read_body(request.length_bytes - len(body))

    async def _answer(self, request: Request, body: bytes) -> bool:
        fields = _report_fields(body) if _is_submission(request) else None
        report_id = _report_id(fields)
        self._learn_id(report_id)
        sha256 = hashlib.sha256(body).hexdigest()
        if report_id:
            self._memory.deliveries.delivered(report_id, now_ns())
        self._note(EventKind.BODY_READ, bytes=len(body), sha256=sha256)
        self._decide(Point.BODY_READ)
        await self._meet(Point.BODY_READ)
        reply = self._refusal(request, fields)
        if reply is None:
            reply = self._take(report_id, body, sha256)
        await self._meet(Point.STORED)
        return await self._send(reply)

    def _refusal(self, request: Request, fields: object) -> Reply | None:
        """Return what an honest server refuses this request with; None if it takes it."""
        if not self._is_authorized(request):
            return replies.error(401, "Invalid token", headers=(("WWW-Authenticate", 'Basic realm="WATS"'),))
        if request.path not in (VERSION_PATH, REPORT_PATH):
            return replies.error(404, "No such resource")
        if request.method != ("POST" if request.path == REPORT_PATH else "GET"):
            return replies.error(405)
        return _refusal_of_report(request, fields) if request.path == REPORT_PATH else None

    def _is_authorized(self, request: Request) -> bool:
        token = self._memory.settings.token
        shown = request.headers.get("authorization", "")
        return token is None or hmac.compare_digest(shown.encode(), f"Basic {token}".encode())

    def _take(self, report_id: str | None, body: bytes, sha256: str) -> Reply:
        """Store the report, unless the rule it meets answers something else, and return the true answer."""
        if report_id is None:
            return replies.version()
        rule = self._rule
        if rule is None or rule.stores:
            change = self._memory.deliveries.store(report_id, body, sha256)
            self._note(EventKind.STORED, effect=change, sha256=sha256)
        return replies.receipt(report_id, self._memory.settings.answer_shape)

    async def _send(self, reply: Reply) -> bool:
        rule = self._rule
        if rule is not None and rule.effect is Effect.ANSWER:
            reply = replies.misleading(rule, self._trace.report_id, reply, self._memory.wall_time_s())
            self._fire(status=reply.status)
        wire = self._connection.encoded(reply)
        if rule is not None and rule.point is Point.IN_ANSWER:
            await self._send_in_two(rule, reply, next(wire), b"".join(wire))
        elif rule is not None and rule.action is Action.SLOW_ANSWER:
            await self._drip(b"".join(wire), rule.bytes_per_second)
        else:
            await self._connection.write(b"".join(islice(wire, 2)))
            for piece in wire:
                await self._connection.write(piece)
        self._answered(reply)
        if self._connection.may_go_on():
            return True
        await self._connection.end("fin")
        return False

    async def _send_in_two(self, rule: Rule, reply: Reply, head: bytes, content: bytes) -> None:
        half = len(content) // 2 if rule.effect is Effect.DROP else 0
        cut = half if rule.after_bytes is None else rule.after_bytes
        await self._connection.write(head + content[:cut])
        if cut < len(content):
            await self._meet(Point.IN_ANSWER, status=reply.status, sent_bytes=cut, of_bytes=len(content))
            await self._connection.write(content[cut:])

    async def _drip(self, data: bytes, bytes_per_second: float) -> None:
        """Send a little at a time: a byte, or what is due in 50 ms when that is more."""
        size = max(1, int(bytes_per_second * DRIP_TICK_S))
        for start in range(0, len(data), size):
            await self._connection.write(data[start : start + size])
            await asyncio.sleep(size / bytes_per_second)

    async def _refuse(self, reply: Reply) -> bool:
        """Answer without having read the request to its end; the connection cannot be used after that."""
        try:
            for piece in self._connection.encoded(reply, close=True):
                await self._connection.write(piece)
            self._answered(reply)
            await self._connection.end("fin")
        except PEER_HAS_GONE as error:
            self._lost(type(error).__name__)
        return False

    def _decide(self, moment: Point, *, at_bytes: int = 0, length_bytes: int = 0) -> None:
        """Ask the rules that are in force now, unless the request has met one already."""
        if self._rule is None:
            facts = Facts(moment, self._path, self._trace.report_id, self._is_repeat, at_bytes, length_bytes)
            self._book = self._memory.rulebook
            index = self._book.decide(facts)
            self._index = -1 if index is None else index

    @property
    def _rule(self) -> Rule | None:
        return None if self._index < 0 else self._book.rules[self._index]

    async def _meet(self, point: Point, **detail: Any) -> None:
        """Do what the request's rule says, if it acts here."""
        rule = self._rule
        if rule is None or rule.point is not point:
            return
        if rule.effect is Effect.DROP:
            self._fire(how=rule.how, **detail)
            self._note(EventKind.ABORTED, how=rule.how)
            await self._connection.end(rule.how)
            raise _CutError
        if rule.effect is Effect.HANG:
            await self._hang(detail)
        elif rule.effect is Effect.DELAY:
            await self._delay(rule.delay_s)

    async def _hang(self, detail: dict[str, Any]) -> None:
        transport = self._connection.transport
        with (
            self._memory.gates.shut(self._trace.report_id, self._label) as gate,
            self._connection.not_reading(),
            self._memory.peers.watching(transport, lambda: gate.open(released=False)),
        ):
            self._fire(**detail)
            released = await gate.opened
        if not released:
            raise ConnectionResetError("the peer left while its request was hanging")
        self._note(EventKind.RELEASED)

    async def _delay(self, delay_s: float) -> None:
        with self._memory.gates.shut(self._trace.report_id, self._label) as gate:
            self._fire(delay_s=delay_s)
            timer = asyncio.get_running_loop().call_later(delay_s, lambda: gate.open(released=True))
            try:
                await gate.opened
            finally:
                timer.cancel()

    @property
    def _label(self) -> str:
        return self._book.label(self._index)

    def _fire(self, **detail: Any) -> None:
        self._book.fired(self._index)
        self._trace.rule = self._label
        action = self._book.rules[self._index].action
        read = self._connection.body_bytes_read
        self._note(EventKind.RULE_FIRED, rule=self._label, action=action, body_bytes_read=read, **detail)

    def _learn_id(self, report_id: str | None) -> None:
        self._trace.report_id = report_id
        self._is_repeat = report_id is not None and self._memory.deliveries.body(report_id) is not None

    def _answered(self, reply: Reply) -> None:
        self._trace.status = reply.status
        if self._trace.report_id and EventKind.BODY_READ in self._trace.times_ns:
            self._memory.deliveries.answered(self._trace.report_id, reply.status)
        self._note(EventKind.ANSWERED, status=reply.status)

    def _lost(self, how: str) -> None:
        phase = self._trace.phase
        self._note(EventKind.CONNECTION_LOST, how=how, phase=phase, body_bytes_read=self._connection.body_bytes_read)

    def _note(self, kind: EventKind, **detail: Any) -> None:
        trace = self._trace
        event = self._memory.events.add(
            kind, connection=trace.connection, request=trace.number, report_id=trace.report_id, **detail
        )
        if kind not in (EventKind.RULE_FIRED, EventKind.RELEASED):
            trace.times_ns[kind] = event.time_ns


def _is_submission(request: Request) -> bool:
    return request.method == "POST" and request.path == REPORT_PATH


def _refusal_of_report(request: Request, fields: object) -> Reply | None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return replies.error(415, "Content-Type application/json required")
    if not isinstance(fields, dict):
        return replies.error(400, "A report is one JSON object in UTF-8")
    return None if _report_id(fields) else replies.error(400, "A report needs an id that is a UUID")


def _report_fields(body: bytes) -> object:
    """Return what the body says, None when it is no JSON."""
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not in JSON")


def _report_id(fields: object) -> str | None:
    given = fields.get("id") if isinstance(fields, dict) else None
    try:
        return str(uuid.UUID(given)) if isinstance(given, str) else None
    except ValueError:
        return None
