"""The WATS server when it misbehaves, looked at byte by byte."""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import ssl
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from chaos.live.wats_server import EventKind, RunningWatsServer, running_wats_server
from chaos.wats_server.exchange import REPORT_PATH

pytestmark = pytest.mark.asyncio
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # No TLS here: loading roots would take most of the time.
ID = "8362baa8-6f02-4d29-8e7f-8b7b2f30f03d"
REPORT = json.dumps({"id": ID, "pn": "x" * 1000}).encode()
HEAD = b"POST /api/Report/WSJF HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
MEBIBYTE = 1024 * 1024
TURNS = 5


class Caller:
    """A plain socket to the server, so that nothing is read, sent or hidden by a library."""

    def __init__(self, wats: RunningWatsServer, connection: socket.socket) -> None:
        self.wats, self.connection = wats, connection

    async def send(self, body: bytes = REPORT) -> None:
        await asyncio.get_running_loop().sock_sendall(self.connection, HEAD % len(body) + body)

    async def rest(self) -> bytes:
        """Return what comes until the server ends the connection."""
        received = b""
        async with asyncio.timeout(5):
            while piece := await asyncio.get_running_loop().sock_recv(self.connection, 65536):
                received += piece
        return received

    async def answer(self) -> bytes:
        """Return one whole answer."""
        received = b""
        async with asyncio.timeout(5):
            while not _is_whole(received):
                received += await asyncio.get_running_loop().sock_recv(self.connection, 65536) or b"(ended)\r\n\r\n"
        return received

    def come(self) -> bytes:
        """Return what has come by now."""
        try:
            return self.connection.recv(65536)
        except BlockingIOError:
            return b""

    async def give_turns(self) -> None:
        """Let the server's loop do whatever it is able to do."""
        for _ in range(TURNS):
            await self.wats.control.summary()


def _is_whole(received: bytes) -> bool:
    head, blank, content = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    return bool(blank) and len(content) >= length


@asynccontextmanager
async def told(*rules: dict[str, Any]) -> AsyncIterator[tuple[Caller, RunningWatsServer]]:
    """Run a server under these rules, and a caller that is connected to it."""
    async with running_wats_server() as wats:
        await wats.control.set_rules(rules)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.setblocking(False)
        with connection:
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", wats.server.data_port))
            yield Caller(wats, connection), wats


@pytest.mark.parametrize(
    ("action", "phase", "stored"),
    [
        ("hang_before_headers", EventKind.REQUEST_STARTED, 0),
        ("hang_after_headers", EventKind.HEADERS_READ, 0),
        ("hang_in_body", EventKind.HEADERS_READ, 0),
        ("hang_after_body", EventKind.BODY_READ, 0),
        ("hang_after_storing", EventKind.STORED, 1),
    ],
)
async def test_a_hang_stops_at_its_phase_and_answers_nothing(action: str, phase: EventKind, stored: int) -> None:
    async with told({"action": action}) as (caller, wats):
        await caller.send()
        await wats.control.wait_for(EventKind.RULE_FIRED)
        await caller.give_turns()
        assert (caller.come(), (await wats.control.requests())[0].phase) == (b"", phase)
        assert sum(report.stored for report in (await wats.control.deliveries()).values()) == stored


HANGS = [
    "hang_before_headers",
    "hang_after_headers",
    "hang_in_body",
    "hang_after_body",
    "hang_after_storing",
    "hang_in_answer",
]


@pytest.mark.parametrize("action", HANGS)
async def test_a_released_request_goes_on_as_if_nothing_had_been(action: str) -> None:
    async with told({"action": action, "times": 1}) as (caller, wats):
        await caller.send()
        await wats.control.wait_for(EventKind.RULE_FIRED)
        assert await wats.control.release() == 1
        assert ID.encode() in await caller.answer()
        assert await wats.control.body(ID) == REPORT


@pytest.mark.parametrize("action", HANGS)
async def test_a_hang_ends_when_the_peer_leaves(action: str) -> None:
    async with told({"action": action}) as (caller, wats):
        await caller.send()
        await wats.control.wait_for(EventKind.RULE_FIRED)
        caller.connection.close()
        await wats.control.wait_for(EventKind.CONNECTION_LOST)
        assert len(wats.server.memory.gates) == 0


async def test_a_hang_ends_when_the_peer_resets() -> None:
    async with told({"action": "hang_in_body"}) as (caller, wats):
        await caller.send()
        await wats.control.wait_for(EventKind.RULE_FIRED)
        caller.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        caller.connection.close()
        event = await wats.control.wait_for(EventKind.CONNECTION_LOST)
        assert event.detail["phase"] == EventKind.HEADERS_READ


async def test_a_hang_in_the_body_leaves_every_later_byte_in_the_kernel() -> None:
    async with told({"action": "hang_in_body", "after_bytes": 10}) as (caller, wats):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(caller.connection, HEAD % 99_999 + b"0123456789")
        await wats.control.wait_for(EventKind.RULE_FIRED)
        await loop.sock_sendall(caller.connection, b"x" * 5000)
        await caller.give_turns()
        (connection,) = wats.server._data._tasks
        unread = fcntl.ioctl(connection.transport.get_extra_info("socket"), termios.FIONREAD, b"    ")
        assert int.from_bytes(unread, sys.byteorder) == 5000


async def sent_until_blocked(caller: Caller, data: bytes) -> int:
    sent = 0
    for _ in range(TURNS):
        try:
            while sent < len(data):
                sent += caller.connection.send(data[sent : sent + 65536])
        except BlockingIOError:
            await caller.give_turns()
    return sent


async def test_a_hang_in_the_body_really_stops_reading() -> None:
    body = b'{"id": "' + ID.encode() + b'"' + b" " * 4 * MEBIBYTE + b"}"
    async with told({"action": "hang_in_body", "after_bytes": 1000, "report_id": ID}) as (caller, wats):
        sent = await sent_until_blocked(caller, HEAD % len(body) + body)
        event = await wats.control.wait_for(EventKind.RULE_FIRED, report_id=ID)
        assert sent < MEBIBYTE
        assert event.detail["body_bytes_read"] == 1000


async def test_without_a_rule_the_same_body_is_read_to_its_end() -> None:
    body = b'{"id": "' + ID.encode() + b'"' + b" " * 4 * MEBIBYTE + b"}"
    async with told() as (caller, wats):
        await asyncio.wait_for(caller.send(body), 5)
        await caller.answer()
        assert await wats.control.body(ID) == body


async def test_a_hang_in_the_answer_comes_right_after_its_headers() -> None:
    async with told({"action": "hang_in_answer"}) as (caller, wats):
        await caller.send()
        await wats.control.wait_for(EventKind.RULE_FIRED)
        await caller.give_turns()
        assert caller.come().endswith(b"\r\n\r\n")
        await wats.control.release()
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(caller.connection, 99), 5)


@pytest.mark.parametrize(
    ("action", "phase", "stored"),
    [
        ("drop_before_headers", EventKind.REQUEST_STARTED, 0),
        ("drop_after_headers", EventKind.HEADERS_READ, 0),
        ("drop_in_body", EventKind.HEADERS_READ, 0),
        ("drop_after_body", EventKind.BODY_READ, 0),
        ("drop_after_storing", EventKind.STORED, 1),
    ],
)
async def test_a_drop_ends_the_stream_at_its_phase(action: str, phase: EventKind, stored: int) -> None:
    async with told({"action": action}) as (caller, wats):
        await caller.send()
        assert await caller.rest() == b""
        trace = (await wats.control.requests())[0]
        assert (trace.phase, trace.is_aborted) == (phase, True)
        assert sum(report.stored for report in (await wats.control.deliveries()).values()) == stored


@pytest.mark.parametrize("action", ["drop_before_headers", "drop_in_body", "drop_after_storing", "truncate_answer"])
async def test_a_reset_really_is_one(action: str) -> None:
    async with told({"action": action, "how": "rst"}) as (caller, _):
        await caller.send()
        with pytest.raises(ConnectionResetError):
            await caller.rest()


async def test_a_dropped_large_report_sees_the_end_of_the_stream_and_no_reset() -> None:
    async with told({"action": "drop_after_headers", "how": "fin"}) as (caller, _):
        await caller.send(b" " * 2 * MEBIBYTE)
        assert await caller.rest() == b""


async def test_what_was_stored_and_dropped_is_one_effect_when_sent_again() -> None:
    async with told({"action": "drop_after_storing", "times": 1}) as (caller, wats):
        await caller.send()
        await caller.rest()
        async with httpx.AsyncClient(base_url=wats.url, trust_env=False, verify=PLAIN) as http:
            await http.post(REPORT_PATH, content=REPORT, headers={"Content-Type": "application/json"})
        report = (await wats.control.deliveries())[ID]
        assert (report.deliveries, report.effects, report.answers) == (2, 1, {"200": 1})


@pytest.mark.parametrize("after_bytes", [None, 0, 7])
async def test_a_truncated_answer_is_shorter_than_it_says(after_bytes: int | None) -> None:
    async with told({"action": "truncate_answer", "after_bytes": after_bytes}) as (caller, wats):
        await caller.send()
        head, _, content = (await caller.rest()).partition(b"\r\n\r\n")
        said = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert len(content) == (said // 2 if after_bytes is None else after_bytes) < said
        assert (await wats.control.requests())[0].phase is EventKind.STORED


async def test_an_answer_too_short_to_be_cut_there_is_sent_whole_and_the_rule_has_not_fired() -> None:
    async with told({"action": "truncate_answer", "after_bytes": 5000}) as (caller, wats):
        await caller.send()
        assert ID.encode() in await caller.answer()
        counts = (await wats.control.rule_counts())["0:truncate_answer"]
        assert (counts.chosen, counts.fired) == (1, 0)


@pytest.mark.parametrize("action", ["delay_answer", "delay_storing"])
async def test_a_delay_is_at_least_as_long_as_said(action: str) -> None:
    async with told({"action": action, "delay_s": 0.1}) as (caller, wats):
        await caller.send()
        await caller.answer()
        answered, read = [await wats.control.wait_for(kind) for kind in (EventKind.ANSWERED, EventKind.BODY_READ)]
        assert answered.time_ns - read.time_ns >= 0.1e9


@pytest.mark.parametrize(("action", "stored_meanwhile"), [("delay_answer", True), ("delay_storing", False)])
async def test_a_delay_comes_before_or_after_storing(action: str, stored_meanwhile: bool) -> None:
    async with told({"action": action, "delay_s": 1000}) as (caller, wats):
        await caller.send()
        await wats.control.wait_for(EventKind.RULE_FIRED)
        assert bool((await wats.control.deliveries())[ID].stored) is stored_meanwhile
        assert await wats.control.release() == 1
        assert ID.encode() in await caller.answer()


async def test_a_slow_server_stores_a_report_whose_sender_has_left() -> None:
    async with told({"action": "delay_storing", "delay_s": 0.05}) as (caller, wats):
        await caller.send()
        await wats.control.wait_for(EventKind.RULE_FIRED)
        caller.connection.close()
        await wats.control.wait_for(EventKind.STORED, report_id=ID)
        assert await wats.control.body(ID) == REPORT


async def test_a_slow_answer_drips() -> None:
    async with told({"action": "slow_answer", "bytes_per_second": 1000}) as (caller, wats):
        await caller.send()
        first = await asyncio.get_running_loop().sock_recv(caller.connection, 65536)
        rest = await caller.answer() if not _is_whole(first) else b""
        assert len(first) <= 50 < len(first + rest)
        fired, answered = [await wats.control.wait_for(kind) for kind in (EventKind.RULE_FIRED, EventKind.ANSWERED)]
        assert answered.time_ns - fired.time_ns >= len(first + rest) / 1000 * 1e9 * 0.9


async def test_a_connection_goes_on_after_an_answer_that_was_a_lie() -> None:
    async with told({"action": "status", "times": 1}) as (caller, _):
        await caller.send()
        first = await caller.answer()
        await caller.send()
        assert (first.split()[1], (await caller.answer()).split()[1]) == (b"500", b"200")


async def test_new_rules_hold_for_a_request_that_is_under_way_and_met_none() -> None:
    async with told() as (caller, wats):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(caller.connection, HEAD % len(REPORT))
        await wats.control.wait_for(EventKind.HEADERS_READ)
        await wats.control.set_rules([{"action": "status", "status": 502}])
        await loop.sock_sendall(caller.connection, REPORT)
        assert (await caller.answer()).split()[1] == b"502"


async def test_a_fired_rule_is_in_the_log_with_its_name() -> None:
    async with told({"action": "html", "name": "captive portal"}) as (caller, wats):
        await caller.send()
        await caller.answer()
        event = await wats.control.wait_for(EventKind.RULE_FIRED, report_id=ID)
        assert (event.detail["rule"], event.detail["action"]) == ("captive portal", "html")
        assert (await wats.control.rule_counts())["captive portal"].fired == 1
