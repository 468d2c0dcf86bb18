"""Facts about health over HTTP, on real loopback sockets (wats.md, 8; C2.2, C2.9, C1.5)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_reliability.errors import ListenError
from pywats_reliability.health import ApiStatus, Condition, HealthSnapshot, ServiceStatus
from pywats_reliability.health_server import HealthServer

pytestmark = pytest.mark.asyncio
DEADLINE_S = 10


def snapshot(
    status: ServiceStatus = ServiceStatus.RUNNING, *reasons: str, not_ready: str | None = None
) -> HealthSnapshot:
    return HealthSnapshot(Condition(status, ApiStatus.ONLINE, reasons), not_ready, {"pending": 3})


@asynccontextmanager
async def serving(
    health: Callable[[], HealthSnapshot] = snapshot, *, timeout_s: float = 5.0, connections_max: int = 64
) -> AsyncIterator[HealthServer]:
    server = HealthServer(
        "127.0.0.1", 0, health, lambda: b"up 1\n", request_timeout_s=timeout_s, connections_max=connections_max
    )
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    await server.start()
    try:
        yield server
    finally:
        await server.close()
    assert not complaints, complaints  # C2.10


async def ask(server: HealthServer, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as client:
        return await client.request(method, f"http://127.0.0.1:{server.port}{path}")


async def exchange(server: HealthServer, sent: bytes) -> bytes:
    """Send bytes and return everything until the server closes; a reset counts as a close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(sent)
        return await rest_of(reader)
    finally:
        writer.transport.abort()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await reader.read()
    except ConnectionResetError:
        return b""


def not_to_be_asked() -> HealthSnapshot:
    raise ValueError("planted")


@pytest.mark.parametrize("path", ["/", "/health", "/health?verbose=1"])
async def test_a_running_service_is_ok(path: str) -> None:
    async with serving() as server:
        answer = await ask(server, path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_c2_3_a_degraded_service_is_ok_and_says_what_is_wrong() -> None:
    async with serving(lambda: snapshot(ServiceStatus.RUNNING, "task ping is down")) as server:
        answer = await ask(server, "/health")
        assert answer.status_code == 200
        assert answer.json() == {"status": "ok", "degraded": True, "reasons": ["task ping is down"]}


@pytest.mark.proves("C2.2")
@pytest.mark.parametrize(
    "status", [ServiceStatus.ERROR, ServiceStatus.START_PENDING, ServiceStatus.STOP_PENDING, ServiceStatus.STOPPED]
)
async def test_c2_2_a_service_that_is_not_running_is_unavailable_with_the_reason(status: ServiceStatus) -> None:
    async with serving(lambda: snapshot(status, "critical task pending_queue is down")) as server:
        answer = await ask(server, "/health")
        assert answer.status_code == 503
        assert answer.json() == {"status": str(status), "reason": "critical task pending_queue is down"}


@pytest.mark.proves("H2.4")
@pytest.mark.parametrize("turns", range(1, 8))
async def test_a_start_that_is_cancelled_listens_no_longer(turns: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = HealthServer("127.0.0.1", port, snapshot, lambda: b"")
    starting = asyncio.gather(server.start())
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await server.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_live_asks_nobody() -> None:
    async with serving(not_to_be_asked) as server:
        assert (await ask(server, "/health/live")).status_code == 200


async def test_a_snapshot_that_cannot_be_taken_is_an_answer_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(not_to_be_asked) as server:
        answer = await ask(server, "/health")
        assert (answer.status_code, "planted" in answer.text) == (500, False)
        assert "planted" in caplog.text


@pytest.mark.parametrize(("not_ready", "status"), [(None, 200), ("queue full: 10000 reports", 503)])
async def test_ready_tells_whether_reports_are_accepted(not_ready: str | None, status: int) -> None:
    async with serving(lambda: snapshot(not_ready=not_ready)) as server:
        answer = await ask(server, "/health/ready")
        assert (answer.status_code, answer.json().get("reason")) == (status, not_ready)


async def test_details_are_json() -> None:
    async with serving() as server:
        assert (await ask(server, "/health/details")).json() == {"pending": 3}


async def test_metrics_are_prometheus_text() -> None:
    async with serving() as server:
        answer = await ask(server, "/metrics")
        assert (answer.text, answer.headers["content-type"].split(";")[0]) == ("up 1\n", "text/plain")


@pytest.mark.parametrize("path", ["/health", "/metrics", "/nowhere"])
async def test_head_gives_the_same_headers_and_no_body(path: str) -> None:
    async with serving() as server:
        got, head = await ask(server, path), await ask(server, path, "HEAD")
        assert (head.status_code, head.headers["content-length"]) == (got.status_code, got.headers["content-length"])
        assert head.content == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused_with_the_ones_allowed(method: str) -> None:
    async with serving() as server:
        answer = await ask(server, "/health", method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_an_unknown_page_is_not_found_and_names_those_there_are() -> None:
    async with serving() as server:
        answer = await ask(server, "/nowhere")
        assert answer.status_code == 404
        assert "/health/ready" in answer.json()["reason"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"garbage\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000, b"431"),
    ],
)
async def test_what_is_no_request_is_refused_and_closed(sent: bytes, status: bytes) -> None:
    async with serving() as server:
        answer = await exchange(server, sent)
        assert answer.split(b" ")[1] == status
        assert await exchange(server, b"GET /health HTTP/1.0\r\n\r\n")


class Sink:
    """Takes what the server writes, as a StreamWriter does."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.write(b"")

    async def drain(self) -> None:
        await asyncio.sleep(0)


@given(st.binary(max_size=300) | st.builds(lambda start, rest: start + rest, st.just(b"GET /health"), st.binary()))
async def test_any_bytes_get_an_answer_or_nothing_and_never_an_exception(sent: bytes) -> None:
    reader, sink = asyncio.StreamReader(), Sink()
    reader.feed_data(sent)
    reader.feed_eof()
    await HealthServer("127.0.0.1", 0, snapshot, bytes)._exchange(reader, cast("asyncio.StreamWriter", sink))
    assert sink.written == b"" or sink.written.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200"))


@pytest.mark.parametrize("sent", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: a\r\nX-Half: "])
async def test_a_client_that_does_not_finish_its_request_is_closed_at_the_limit(sent: bytes) -> None:
    async with serving(timeout_s=0.05) as server:
        assert await exchange(server, sent) == b""


async def test_a_client_that_leaves_early_disturbs_nobody() -> None:
    async with serving() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /health HTTP/1.1\r\n")
        writer.transport.abort()
        assert (await ask(server, "/health")).status_code == 200


async def test_hung_clients_are_bounded_and_cost_a_new_one_nothing_once_they_are_gone() -> None:
    async with serving(timeout_s=0.2, connections_max=3) as server:
        hung = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        assert await exchange(server, b"GET /health HTTP/1.0\r\n\r\n") == b""
        async with asyncio.timeout(DEADLINE_S):
            assert [await reader.read() for reader, _ in hung] == [b"", b"", b""]
        assert (await ask(server, "/health")).status_code == 200
        assert server.refused == 1
        for _, writer in hung:
            writer.transport.abort()


@pytest.mark.proves("C2.9")
async def test_c2_9_a_port_that_is_taken_is_an_error_that_names_it() -> None:
    async with serving() as first:
        second = HealthServer("127.0.0.1", first.port, snapshot, bytes)
        with pytest.raises(ListenError, match=f"127.0.0.1:{first.port}"):
            await second.start()


@pytest.mark.proves("C1.5")
async def test_c1_5_close_drops_hung_clients_and_frees_the_port() -> None:
    async with serving() as server:
        port = server.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /hea")
        await exchange(server, b"GET /health HTTP/1.0\r\n\r\n")  # The hung one is served by now.
        await server.close()
        assert await rest_of(reader) == b""
        writer.transport.abort()
        assert repr(server).endswith("closed, 0 connections, 1 requests)")
    with pytest.raises(OSError, match=r"Connect|refused"):
        await asyncio.open_connection("127.0.0.1", port)


async def test_c1_8_closing_twice_or_unstarted_is_harmless() -> None:
    server = HealthServer("127.0.0.1", 0, snapshot, bytes)
    await server.close()
    await server.start()
    port = server.port
    await asyncio.gather(server.close(), server.close())
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_run_beats_and_ends_with_close() -> None:
    beats: list[int] = []
    server = HealthServer("127.0.0.1", 0, snapshot, bytes)
    third = asyncio.Event()

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            third.set()

    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        group.create_task(server.run(beat, interval_s=0.01))
        await third.wait()
        assert json.loads((await ask(server, "/health")).content) == {"status": "ok"}
        await server.close()


async def test_its_state_speaks() -> None:
    server = HealthServer("127.0.0.1", 8080, snapshot, bytes)
    assert repr(server) == "HealthServer(127.0.0.1:8080, closed, 0 connections, 0 requests)"
