"""A crowd of hung clients, floods and nonsense cost a well-behaved client nothing, the server no error (H6.4, H6.6)."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pywats_reliability.ipc.framing import encode_frame
from pywats_reliability.ipc.server import AsyncIPCServer
from tests.service.ipc_world import SECRET, RawClient, connected, frame, make_server
from tests.service.virtual_clock import in_virtual_time, now

NONSENSE = {
    "length zero": b"\x00\x00\x00\x00",
    "length 2**32-1": b"\xff\xff\xff\xff",
    "one over the limit": (1_048_577).to_bytes(4, "big"),
    "invalid UTF-8": encode_frame(b"\xff\xfe\xfd"),
    "invalid JSON": encode_frame(b"{nope"),
    "no object": encode_frame(b"[1, 2]"),
    "no fields": encode_frame(b"{}"),
    "wrong types": encode_frame(b'{"command": 1, "args": 2, "request_id": 3, "protocol_version": 4}'),
    "deep arrays": encode_frame(b"[" * 100_000 + b"]" * 100_000),
    "deep objects": encode_frame(b'{"a":' * 100_000),
    "unknown command": frame("fly"),
}


@asynccontextmanager
async def crowd(server: AsyncIPCServer, size: int, sent: bytes = b"") -> AsyncIterator[list[RawClient]]:
    """Connect clients that send the start of something and then hang."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(size):
            clients.append(await stack.enter_async_context(connected(server, take_hello=False)))
            clients[-1].write(sent)
        yield clients


async def is_closed(client: RawClient) -> bool:
    """Read whatever the server has sent, to the end."""
    while await client.receive() is not None:
        pass
    return True


@pytest.mark.proves("H6.4")
@pytest.mark.parametrize("sent", [b"", b"\x00\x00", frame("echo")[:-1]], ids=["silent", "half a header", "half a body"])
@in_virtual_time
async def test_among_1000_hung_clients_a_newcomer_is_answered_at_once(tmp_path: Path, sent: bytes) -> None:
    async with make_server(tmp_path, connections_max=2000).serving() as server, crowd(server, 1000, sent):
        started = now()
        async with connected(server) as client:
            assert (await client.ask("echo"))["success"]
        assert now() == started
        assert server.counts.connections_open >= 1000


@pytest.mark.proves("H6.4")
@in_virtual_time
async def test_1000_hung_clients_are_gone_after_the_limit(tmp_path: Path) -> None:
    async with make_server(tmp_path, connections_max=2000).serving() as server, crowd(server, 1000) as clients:
        assert all([await is_closed(client) for client in clients])
        assert now() - 1000.0 == pytest.approx(30)


@pytest.mark.proves("H6.4")
@in_virtual_time
async def test_a_crowd_cannot_have_more_places_than_there_are(tmp_path: Path) -> None:
    async with make_server(tmp_path, connections_max=10).serving() as server, crowd(server, 100) as clients:
        assert await is_closed(clients[89])
        counts = server.counts
        assert (counts.connections_open, counts.connections_evicted, counts.connections_refused) == (10, 90, 0)


@in_virtual_time
async def test_a_crowd_for_all_places_keeps_neither_a_regular_client_out_nor_a_newcomer(tmp_path: Path) -> None:
    async with make_server(tmp_path, connections_max=10).serving() as server, connected(server) as regular:
        await regular.ask("echo")
        for _ in range(5):
            async with crowd(server, 50), connected(server) as newcomer:
                assert (await newcomer.ask("echo"))["success"]
                assert (await regular.ask("echo"))["success"]


@in_virtual_time
async def test_clients_that_were_answered_once_and_hang_go_before_one_that_calls_regularly(tmp_path: Path) -> None:
    async with (
        make_server(tmp_path, connections_max=3).serving() as server,
        connected(server) as regular,
        AsyncExitStack() as stack,
    ):
        for _ in range(20):
            assert (await (await stack.enter_async_context(connected(server))).ask("echo"))["success"]
            assert (await regular.ask("ping")).get("code") in (None, "rate_limited")


@in_virtual_time
async def test_when_every_place_is_busy_a_newcomer_is_refused_and_no_command_is_cut(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def wait(_: Mapping[str, Any]) -> object:
        await go_on.wait()
        return "done"

    async with (
        make_server(tmp_path, {"wait": wait}, connections_max=2).serving() as server,
        connected(server) as first,
        connected(server) as second,
    ):
        first.write_request("wait")
        second.write_request("wait")
        await asyncio.sleep(1)
        async with connected(server, take_hello=False) as newcomer:
            assert await newcomer.receive() is None
        go_on.set()
        answers = [await client.receive() for client in (first, second)]
        assert [answer and answer["data"] for answer in answers] == ["done", "done"]
        assert server.counts.connections_refused == 1


@in_virtual_time
async def test_a_flood_of_small_requests_is_served_in_turn_with_the_others(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as flood, connected(server) as client:
        flood.write(b"\x00\x00\x00\x00" * 30_000)
        assert (await client.ask("echo"))["success"]
        assert server.counts.requests < 100


@pytest.mark.proves("H6.6")
@pytest.mark.parametrize("sent", NONSENSE.values(), ids=NONSENSE.keys())
@in_virtual_time
async def test_nonsense_is_answered_with_an_error_and_is_none_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async with make_server(tmp_path).serving() as server:
        async with connected(server) as client:
            client.write(sent)
            answer = await client.receive()
            assert answer is not None
            assert (answer["success"], answer["data"], bool(answer["code"]), bool(answer["error"])) == (
                False, None, True, True,
            )
        async with connected(server) as other:
            assert (await other.ask("echo"))["success"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("name", sorted(set(NONSENSE) - {"length 2**32-1", "one over the limit"}))
@in_virtual_time
async def test_after_nonsense_in_a_frame_the_connection_goes_on(tmp_path: Path, name: str) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        client.write(NONSENSE[name] + frame("echo", "next"))
        await client.receive()
        answer = await client.receive()
        assert answer is not None
        assert answer["request_id"] == "next"


@pytest.mark.proves("H6.6")
@in_virtual_time
async def test_after_a_length_over_the_limit_the_connection_is_closed(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        client.write(NONSENSE["one over the limit"] + frame("echo"))
        answer = await client.receive()
        assert answer is not None
        assert answer["code"] == "message_too_large"
        assert await client.receive() is None


@pytest.mark.proves("H6.6")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.binary(max_size=60)
        | st.binary(max_size=60).map(encode_frame)
        | st.dictionaries(st.sampled_from(["command", "request_id", "protocol_version", "args", "token"]),
                          st.none() | st.text(max_size=5) | st.just("2.0") | st.integers() | st.just({"token": SECRET}),
                          ).map(lambda fields: encode_frame(json.dumps(fields).encode())),
        max_size=8,
    )
)
def test_no_stream_of_bytes_hangs_the_server_or_makes_it_log_an_error(stream: list[bytes]) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = records.append  # type: ignore[assignment,method-assign]
    logging.getLogger("pywats_reliability").addHandler(handler)

    @in_virtual_time
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with (
                make_server(Path(folder), secret=SECRET).serving() as server,
                connected(server) as client,
                connected(server) as other,
            ):
                client.write(b"".join(stream))
                client.writer.write_eof()
                assert await is_closed(client)
                assert (await other.ask("auth", token=SECRET))["success"]

    try:
        scenario()
    finally:
        logging.getLogger("pywats_reliability").removeHandler(handler)
    assert records == []
