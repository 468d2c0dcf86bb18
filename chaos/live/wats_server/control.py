"""The control port: tells the server to misbehave, and tells what it took and saw. HTTP under ``/_chaos/``.

* A command holds when its answer is there: rules are replaced as a whole, a closed listener refuses.
* Bad input is answered with 400 and one line: what was expected, what was found, what to do.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Protocol, TypeVar
from urllib.parse import parse_qsl

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.config import with_config

from chaos.errors import UsageError
from chaos.rules.wats_server import Action, rules_from_json, usage_error
from chaos.wats_server import replies
from chaos.wats_server.connection import Connection, Request, RequestRefusedError
from chaos.wats_server.events import EventKind, Wanted
from chaos.wats_server.exchange import PEER_HAS_GONE
from chaos.wats_server.memory import ServerMemory
from chaos.wats_server.replies import AnswerShape, Reply

ROOT = "/_chaos"
COMMAND_BYTES_MAX = 4 * 1024 * 1024
EVENTS_PER_ANSWER = 1000
WAIT_S_MAX = 60.0
_STRICT = ConfigDict(extra="forbid", strict=True)
_T = TypeVar("_T")


class DataPort(Protocol):
    """What the control port may do with the data port."""

    @property
    def data_url(self) -> str:
        """Return the address to send reports to."""
        ...

    @property
    def is_listening(self) -> bool:
        """Return whether it takes connections."""
        ...

    async def listen(self, *, on: bool, keep_connections: bool = False) -> None:
        """Open or close it."""
        ...

    async def reset(self) -> None:
        """Forget everything."""
        ...


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class _Release:
    report_id: str | None = None
    rule: str | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class _Listen:
    on: bool
    connections: Literal["cut", "keep"] = "cut"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class _Change:
    token: str | None = None
    answer_shape: AnswerShape | None = None


@with_config(ConfigDict(extra="forbid"))  # A query is text: "5" is a number there.
@dataclass(frozen=True, slots=True)
class _Question:
    after: Annotated[int, Field(ge=0)] = 0
    wait: Annotated[float, Field(ge=0, le=WAIT_S_MAX)] = 0
    limit: Annotated[int, Field(ge=1, le=EVENTS_PER_ANSWER)] = EVENTS_PER_ANSWER
    kind: EventKind | None = None
    report_id: str | None = None


_RELEASE = TypeAdapter(_Release)
_LISTEN = TypeAdapter(_Listen)
_CHANGE = TypeAdapter(_Change)
_QUESTION = TypeAdapter(_Question)


class Control:
    """Serves the connections of the control port."""

    def __init__(self, memory: ServerMemory, data: DataPort) -> None:
        self._memory, self._data = memory, data
        self._commands: dict[tuple[str, str], Callable[[Request, bytes], Awaitable[Reply]]] = {
            ("GET", "/"): self._summary,
            ("GET", "/rules"): self._rules,
            ("PUT", "/rules"): self._set_rules,
            ("POST", "/rules"): self._set_rules,
            ("DELETE", "/rules"): self._clear_rules,
            ("GET", "/deliveries"): self._deliveries,
            ("GET", "/requests"): self._requests,
            ("GET", "/report/{id}"): self._report,
            ("GET", "/events"): self._events,
            ("POST", "/release"): self._release,
            ("POST", "/listener"): self._listen,
            ("PUT", "/settings"): self._change_settings,
            ("POST", "/reset"): self._reset,
        }

    def __repr__(self) -> str:
        return f"Control({len(self._commands)} commands, {self._memory!r})"

    async def serve(self, connection: Connection) -> None:
        """Answer the commands on a connection, one after the other, until it ends."""
        try:
            while first := await connection.first_byte():
                if not await self._serve_one(connection, first):
                    return
        except PEER_HAS_GONE:
            return  # Whoever gave the command does not wait for its answer any more.

    async def _serve_one(self, connection: Connection, first: bytes) -> bool:
        try:
            request = await connection.read_head(first)
            _refuse_long(request)
            body = await connection.read_body(request.length_bytes)
        except RequestRefusedError as error:
            await _write(connection, replies.error(error.status, error.message), close=True)
            await connection.end("fin")
            return False
        await _write(connection, await self._obey(request, body))
        if connection.may_go_on():
            return True
        await connection.end("fin")
        return False

    async def _obey(self, request: Request, body: bytes) -> Reply:
        path = request.path.removeprefix(ROOT).rstrip("/") or "/"
        name = "/report/{id}" if path.startswith("/report/") else path
        command = self._commands.get((request.method, name)) if request.path.startswith(ROOT) else None
        if command is None:
            known = ", ".join(f"{method} {ROOT}{known}" for method, known in self._commands)
            found = f"{request.method} {request.path[:200]}"
            return _complaint(404, UsageError(f"one of {known}", found, f"GET {ROOT}/ tells more"))
        try:
            return await command(request, body)
        except UsageError as error:
            return _complaint(400, error)

    async def _summary(self, _request: Request, _body: bytes) -> Reply:
        return _ok(
            data_url=self._data.data_url,
            is_listening=self._data.is_listening,
            requests=self._memory.traces.begun,
            waiting=len(self._memory.gates),
            bytes_held=self._memory.deliveries.bytes_held,
            last_event=self._memory.events.last,
            rules=self._memory.rulebook.as_data(),
            commands=[f"{method} {ROOT}{path}" for method, path in self._commands],
            actions=list(Action),
            events=list(EventKind),
        )

    async def _rules(self, _request: Request, _body: bytes) -> Reply:
        return _ok(rules=self._memory.rulebook.as_data())

    async def _set_rules(self, _request: Request, body: bytes) -> Reply:
        event = self._memory.set_rules(rules_from_json(body))
        return _ok(rules=len(self._memory.rulebook.rules), seq=event.seq)

    async def _clear_rules(self, request: Request, _body: bytes) -> Reply:
        return await self._set_rules(request, b"[]")

    async def _deliveries(self, _request: Request, _body: bytes) -> Reply:
        return _ok(reports=[report.as_data() for report in self._memory.deliveries.all()])

    async def _requests(self, _request: Request, _body: bytes) -> Reply:
        return _ok(begun=self._memory.traces.begun, requests=[trace.as_data() for trace in self._memory.traces.all()])

    async def _report(self, request: Request, _body: bytes) -> Reply:
        report_id = _canonical_id(request.path.rpartition("/")[2])
        body = self._memory.deliveries.body(report_id)
        if body is None:
            advice = f"GET {ROOT}/deliveries lists the ids"
            return _complaint(404, UsageError("the id of a stored report", report_id, advice))
        return Reply(200, body, "application/octet-stream")

    async def _events(self, request: Request, _body: bytes) -> Reply:
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        try:
            asked = _QUESTION.validate_python(query)
        except ValidationError as error:
            raise usage_error(error, "the query") from None
        report_id = None if asked.report_id is None else _canonical_id(asked.report_id)
        wanted = Wanted(asked.after, asked.kind, report_id)
        found = await self._memory.events.wait(wanted, asked.limit, asked.wait)
        last = found[-1].seq if len(found) == asked.limit else max(self._memory.events.last, asked.after)
        return _ok(events=[event.as_data() for event in found], last=last)

    async def _release(self, _request: Request, body: bytes) -> Reply:
        asked = _parsed(_RELEASE, body)
        report_id = None if asked.report_id is None else _canonical_id(asked.report_id)
        return _ok(released=self._memory.gates.release(report_id, asked.rule))

    async def _listen(self, _request: Request, body: bytes) -> Reply:
        asked = _parsed(_LISTEN, body)
        await self._data.listen(on=asked.on, keep_connections=asked.connections == "keep")
        return _ok(is_listening=self._data.is_listening)

    async def _change_settings(self, _request: Request, body: bytes) -> Reply:
        """Change what is given, a token of null included."""
        asked, given = _parsed(_CHANGE, body), json.loads(body or b"{}")
        settings = self._memory.settings
        token = asked.token if "token" in given else settings.token
        self._memory.settings = replace(settings, token=token, answer_shape=asked.answer_shape or settings.answer_shape)
        return _ok(answer_shape=self._memory.settings.answer_shape, asks_for_a_token=token is not None)

    async def _reset(self, _request: Request, _body: bytes) -> Reply:
        await self._data.reset()
        return _ok(last_event=self._memory.events.last)


def _refuse_long(request: Request) -> None:
    if request.length_bytes > COMMAND_BYTES_MAX:
        raise RequestRefusedError(413, f"A command has at most {COMMAND_BYTES_MAX} bytes")


def _parsed(adapter: TypeAdapter[_T], body: bytes) -> _T:
    try:
        return adapter.validate_json(body or b"{}")
    except ValidationError as error:
        raise usage_error(error, "the command") from None


def _canonical_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise UsageError("a report id (a UUID)", repr(text[:60]), f"GET {ROOT}/deliveries lists the ids") from None


def _ok(**fields: Any) -> Reply:
    return Reply(200, json.dumps(fields).encode() + b"\n")


def _complaint(status: int, error: UsageError) -> Reply:
    parts = {"expected": error.expected, "found": error.found, "advice": error.advice}
    return Reply(status, json.dumps({"error": str(error), **parts}).encode() + b"\n")


async def _write(connection: Connection, reply: Reply, *, close: bool = False) -> None:
    await connection.write(b"".join(connection.encoded(reply, close=close)))
