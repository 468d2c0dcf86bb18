"""The WATS server when it behaves: what it takes, what it refuses, what it remembers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from chaos.live.wats_server import (
    AnswerShape,
    EventKind,
    RunningWatsServer,
    ServerSettings,
    WatsServer,
    running_wats_server,
)
from chaos.wats_server.exchange import REPORT_PATH, VERSION_PATH, Exchange

pytestmark = pytest.mark.asyncio
JSON = {"Content-Type": "application/json"}
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # No TLS here: loading roots would take most of the time.
ID = "8362baa8-6f02-4d29-8e7f-8b7b2f30f03d"
REPORT = b'{ "id": "' + ID.encode() + b'",  "pn": "\xc3\xa6", "value": 1.10 }'


@asynccontextmanager
async def calling(settings: ServerSettings | None = None) -> AsyncIterator[tuple[RunningWatsServer, httpx.AsyncClient]]:
    async with (
        running_wats_server(settings) as wats,
        httpx.AsyncClient(base_url=wats.url, headers=JSON, trust_env=False, verify=PLAIN) as http,
    ):
        yield wats, http


async def spoken(wats: RunningWatsServer, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes over a connection of their own and return all that comes back until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", wats.server.data_port)
    try:
        writer.write(data)
        if end:
            writer.write_eof()
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


def posted(body: bytes, *headers: str) -> bytes:
    lines = ["POST /api/Report/WSJF HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def test_the_version_is_a_json_value_that_is_not_empty() -> None:
    async with calling() as (_, http):
        assert (await http.get(VERSION_PATH)).json()


async def test_a_report_is_stored_byte_for_byte() -> None:
    async with calling() as (wats, http):
        await http.post(REPORT_PATH, content=REPORT)
        assert await wats.control.body(ID) == REPORT


async def test_an_id_in_capitals_is_the_same_report() -> None:
    async with calling() as (wats, http):
        await http.post(REPORT_PATH, json={"id": ID.upper()})
        assert list(await wats.control.deliveries()) == [ID]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (AnswerShape.LIST, [{"ID": ID}]),
        (AnswerShape.OBJECT_UPPER, {"ID": ID}),
        (AnswerShape.OBJECT_LOWER, {"id": ID}),
        (AnswerShape.OBJECT_UUID, {"uuid": ID}),
        (AnswerShape.TEXT, ID),
        (AnswerShape.EMPTY, None),
    ],
)
async def test_a_report_is_acknowledged_in_each_valid_shape(shape: AnswerShape, expected: object) -> None:
    async with calling() as (wats, http):
        await wats.control.answer_as(shape)
        answer = await http.post(REPORT_PATH, content=REPORT)
        assert (answer.json() if answer.content else None) == expected


async def test_the_same_bytes_again_are_two_deliveries_and_one_effect() -> None:
    async with calling() as (wats, http):
        for _ in range(2):
            await http.post(REPORT_PATH, content=REPORT)
        told = (await wats.control.deliveries())[ID]
        assert (told.deliveries, told.stored, told.effects, told.conflicts) == (2, 2, 1, 0)
        assert (told.sha256, told.answers) == ((hashlib.sha256(REPORT).hexdigest(),), {"200": 2})


async def test_other_bytes_under_the_same_id_are_a_conflict_and_take_its_place() -> None:
    other = REPORT.replace(b"1.10", b"1.1")
    async with calling() as (wats, http):
        await http.post(REPORT_PATH, content=REPORT)
        await http.post(REPORT_PATH, content=other)
        told = (await wats.control.deliveries())[ID]
        assert (told.effects, told.conflicts, len(told.sha256)) == (2, 1, 2)
        assert await wats.control.body(ID) == other


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"x"', 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"pn": "x"}', 400),
        (b'{"id": 5}', 400),
        (b'{"id": "five"}', 400),
        (REPORT.replace(b"1.10", b"NaN"), 400),
        (REPORT.replace(b"1.10", b"9" * 5000), 400),
    ],
)
async def test_what_is_no_report_is_refused_and_not_stored(body: bytes, status: int) -> None:
    async with calling() as (wats, http):
        answer = await http.post(REPORT_PATH, content=body)
        assert (answer.status_code, "message" in answer.json()) == (status, True)
        assert all(report.stored == 0 for report in (await wats.control.deliveries()).values())


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/Report/WSJF", JSON, 405),
        ("POST", "/api/App/Version", JSON, 405),
        ("GET", "/", JSON, 404),
        ("HEAD", "/", JSON, 404),
        ("POST", "/api/Report/WSJF/", JSON, 404),
        ("POST", "/api/Report/WSJF", {"Content-Type": "text/plain"}, 415),
    ],
)
async def test_other_requests_are_refused(method: str, path: str, headers: dict[str, str], status: int) -> None:
    async with calling() as (_, http):
        content = REPORT if method == "POST" else None
        assert (await http.request(method, path, content=content, headers=headers)).status_code == status


@pytest.mark.parametrize("header", [None, "Basic", "Basic wrong", "Bearer secret", "Basic secret2"])
async def test_without_the_right_token_nothing_is_taken(header: str | None) -> None:
    async with calling(ServerSettings(token="secret")) as (wats, http):
        answer = await http.post(REPORT_PATH, content=REPORT, headers={"Authorization": header} if header else {})
        assert answer.status_code == 401
        assert (await wats.control.deliveries())[ID].stored == 0


async def test_with_the_right_token_a_report_is_taken() -> None:
    async with calling(ServerSettings(token="secret")) as (_, http):
        answer = await http.post(REPORT_PATH, content=REPORT, headers={"Authorization": "Basic secret"})
        assert answer.status_code == 200


async def test_the_token_can_change_while_it_runs() -> None:
    async with calling() as (wats, http):
        await wats.control.ask_for_token("secret")
        refused = await http.get(VERSION_PATH)
        await wats.control.ask_for_token(None)
        assert (refused.status_code, (await http.get(VERSION_PATH)).status_code) == (401, 200)


@pytest.mark.parametrize("cut", [1, 40, 140, -1], ids=["first byte", "headers", "body", "last byte"])
async def test_a_request_cut_short_is_never_stored(cut: int) -> None:
    async with running_wats_server() as wats:
        assert await spoken(wats, posted(REPORT)[:cut]) == b""
        await wats.control.wait_for(EventKind.CONNECTION_LOST)
        assert await wats.control.deliveries() == {}


async def test_bytes_beyond_the_content_length_are_no_part_of_the_report() -> None:
    async with running_wats_server() as wats:
        await spoken(wats, posted(REPORT) + b"GARBAGE\r\n\r\n")
        assert await wats.control.body(ID) == REPORT


async def test_requests_sent_in_one_go_are_answered_in_order() -> None:
    other = REPORT.replace(ID.encode(), str(uuid.uuid4()).encode())
    async with running_wats_server() as wats:
        answer = await spoken(wats, posted(REPORT) + posted(other))
        assert answer.count(b"200 OK") == 2
        assert len(await wats.control.deliveries()) == 2


async def test_a_peer_that_wants_the_connection_closed_gets_its_whole_answer_first() -> None:
    async with running_wats_server() as wats:
        answer = await spoken(wats, posted(REPORT, "Connection: close") + b"x" * 4_000_000, end=False)
        assert answer.endswith(ID.encode() + b'"}]')


async def test_what_is_no_http_is_answered_whole_also_after_an_answer_without_content() -> None:
    async with running_wats_server() as wats:
        answer = await spoken(wats, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n\x00\r\n\r\n")
        assert (answer.count(b"HTTP/1.1 404"), answer.count(b"HTTP/1.1 400"), answer[-1:]) == (1, 1, b"}")


async def test_a_peer_that_waits_for_it_is_asked_to_go_on() -> None:
    async with running_wats_server() as wats:
        assert (await spoken(wats, posted(REPORT, "Expect: 100-continue"))).startswith(b"HTTP/1.1 100 ")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"POST /api/Report/WSJF HTTP/1.1\r\nHost: x\r\n\r\n", b"411"),
        (b"POST /api/Report/WSJF HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000, b"431"),
    ],
)
async def test_what_is_no_http_for_it_is_answered_and_cut(data: bytes, status: bytes) -> None:
    async with running_wats_server() as wats:
        answer = await spoken(wats, data)
        assert answer.split()[1] == status
        assert b"connection: close" in answer.lower()


async def test_a_report_over_the_limit_is_refused_unread() -> None:
    async with calling(ServerSettings(body_bytes_max=10)) as (wats, http):
        assert (await http.post(REPORT_PATH, content=REPORT)).status_code == 413
        assert await wats.control.deliveries() == {}


async def test_the_bytes_stored_are_bounded() -> None:
    async with calling(ServerSettings(stored_bytes_max=len(REPORT))) as (wats, http):
        await http.post(REPORT_PATH, content=REPORT)
        answer = await http.post(REPORT_PATH, json={"id": str(uuid.uuid4())})
        assert answer.status_code == 503
        assert wats.server.memory.deliveries.bytes_held == len(REPORT)


async def test_connections_beyond_the_limit_are_cut_and_others_live_on() -> None:
    async with calling(ServerSettings(connections_max=1)) as (wats, http):
        await http.get(VERSION_PATH)
        assert await spoken(wats, b"", end=False) == b""
        assert (await http.get(VERSION_PATH)).status_code == 200


async def test_every_phase_of_a_request_is_noted_in_order() -> None:
    async with calling() as (wats, http):
        await http.post(REPORT_PATH, content=REPORT)
        trace = (await wats.control.requests())[0]
        assert list(trace.times_ns) == ["request_started", "headers_read", "body_read", "stored", "answered"]
        assert (trace.phase, trace.report_id, trace.body_bytes) == (EventKind.ANSWERED, ID, len(REPORT))


async def test_events_are_numbered_without_gaps_and_in_the_order_of_time() -> None:
    async with calling() as (wats, http):
        for _ in range(3):
            await http.post(REPORT_PATH, content=REPORT)
        events = await wats.control.events()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.time_ns for event in events] == sorted(event.time_ns for event in events)


@pytest.mark.parametrize("connections", [10, 64])
async def test_many_reports_over_many_connections_are_all_stored_once(connections: int) -> None:
    bodies = {str(uuid.UUID(int=n)): json.dumps({"id": str(uuid.UUID(int=n)), "n": n}).encode() for n in range(320)}
    waiting = list(bodies.values())
    async with running_wats_server() as wats:
        async with asyncio.TaskGroup() as group:
            for start in range(connections):
                group.create_task(spoken(wats, b"".join(map(posted, waiting[start::connections]))))
        told = await wats.control.deliveries()
        assert {report_id: (report.deliveries, report.effects) for report_id, report in told.items()} == dict.fromkeys(
            bodies, (1, 1)
        )


async def test_nothing_is_left_when_it_ends() -> None:
    before = asyncio.all_tasks()
    async with running_wats_server() as wats:
        await wats.control.set_rules([{"action": "hang_after_body"}])
        _, writer = await asyncio.open_connection("127.0.0.1", wats.server.data_port)
        writer.write(posted(REPORT))
        await wats.control.wait_for(EventKind.RULE_FIRED)
    writer.close()
    assert asyncio.all_tasks() == before
    assert "0 of 1 connections" in repr(wats.server)


async def test_a_bug_in_serving_ends_the_server_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_self: Exchange, _first: bytes) -> bool:
        raise LookupError("a bug")

    async def use() -> None:
        async with running_wats_server() as wats:
            await spoken(wats, b"GET / HTTP/1.1\r\n\r\n")
            await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(Exchange, "run", broken)
    with pytest.raises(ExceptionGroup) as caught:
        await use()
    assert caught.group_contains(LookupError)


async def test_an_error_in_its_block_comes_out_as_it_is() -> None:
    with pytest.raises(LookupError):
        async with WatsServer():
            raise LookupError("of the test")
