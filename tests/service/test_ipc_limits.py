"""Nobody can make the server wait longer than its limits say, to the instant (H6.1, H6.2, H6.3, H6.8).

Real sockets, real limits, virtual time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.ipc.limits import IPCLimits
from pywats_reliability.ipc.server import AsyncIPCServer
from tests.service.ipc_world import RawClient, connected, frame, make_server
from tests.service.virtual_clock import in_virtual_time, now

REQUEST = frame("echo", seconds=0)
MEBIBYTE = 1_048_576


async def seconds_until_closed(client: RawClient) -> float:
    """Read until the server closes the connection, and return how long that took."""
    started = now()
    while await client.receive() is not None:
        pass
    return round(now() - started, 3)


async def sleep_for(args: Mapping[str, Any]) -> object:
    await asyncio.sleep(args["seconds"])
    return "slept"


async def answer_with(args: Mapping[str, Any]) -> object:
    return "x" * int(args["size"])


@pytest.mark.proves("H6.1")
def test_the_limits_are_those_that_users_know() -> None:
    server = AsyncIPCServer
    known = server.CONNECTION_TIMEOUT, server.READ_TIMEOUT, server.WRITE_TIMEOUT, server.REQUEST_TIMEOUT
    limits = IPCLimits()
    assert known == (30, 30, 10, 60) == (limits.connection_s, limits.read_s, limits.write_s, limits.request_s)


@pytest.mark.proves("H6.1")
@pytest.mark.parametrize("sent", [b"", b"\x00", b"\x00\x00\x00", REQUEST[:4], REQUEST[:-1]], ids=len)
@in_virtual_time
async def test_a_client_that_falls_silent_is_cut_after_30_s(tmp_path: Path, sent: bytes) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        client.write(sent)
        assert await seconds_until_closed(client) == 30
        assert server.counts.timeouts == 1


@pytest.mark.proves("H6.1")
@in_virtual_time
async def test_one_byte_every_29_s_is_cut_30_s_after_the_first(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        client.write(REQUEST[:1])
        await asyncio.sleep(29)
        client.write(REQUEST[1:2])
        assert await seconds_until_closed(client) == 1


@pytest.mark.proves("H6.1")
@in_virtual_time
async def test_a_request_in_segments_of_one_byte_succeeds_when_it_is_whole_in_time(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        for number in range(len(REQUEST)):
            client.write(REQUEST[number : number + 1])
            await asyncio.sleep(29.9 / len(REQUEST))
        answer = await client.receive()
        assert answer is not None
        assert answer["success"]


@in_virtual_time
async def test_the_second_request_has_its_own_30_s(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        await client.ask("echo")
        await asyncio.sleep(100)
        client.write(REQUEST[:-1])
        assert await seconds_until_closed(client) == 30


@pytest.mark.proves("H6.2")
@in_virtual_time
async def test_a_client_that_never_reads_is_disconnected_after_10_s(tmp_path: Path) -> None:
    async with make_server(tmp_path, {"big": answer_with}).serving() as server, connected(server) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.write_request("big", size=4 * MEBIBYTE)
        await asyncio.sleep(9.99)
        assert server.counts.connections_open == 1
        await asyncio.sleep(0.02)
        assert (server.counts.connections_open, server.counts.timeouts) == (0, 1)


def system_buffer_bytes() -> int:
    """Return what the system takes on a socket whose other end never reads."""
    sender, receiver = socket.socketpair(socket.AF_UNIX)
    with sender, receiver:
        sender.setblocking(False)
        return sender.send(b"x" * 8 * MEBIBYTE)


@in_virtual_time
async def test_a_client_that_never_reads_is_noticed_by_the_first_bytes_that_the_system_cannot_take(
    tmp_path: Path,
) -> None:
    async with make_server(tmp_path, {"big": answer_with}).serving() as server, connected(server) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.write_request("big", size=system_buffer_bytes() + 20_000)
        await asyncio.sleep(10.01)
        assert (server.counts.connections_open, server.counts.timeouts) == (0, 1)


@pytest.mark.proves("H6.2")
@in_virtual_time
async def test_a_client_that_reads_drop_by_drop_is_disconnected_after_10_s_too(tmp_path: Path) -> None:
    async with make_server(tmp_path, {"big": answer_with}).serving() as server, connected(server) as client:
        client.write_request("big", size=8 * MEBIBYTE)
        started = now()
        while server.counts.connections_open:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(0.5)
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await client.reader.read(1000)
        assert round(now() - started) == 10


@in_virtual_time
async def test_a_large_answer_reaches_a_client_that_reads(tmp_path: Path) -> None:
    async with make_server(tmp_path, {"big": answer_with}).serving() as server, connected(server) as client:
        assert len((await client.ask("big", size=8 * MEBIBYTE))["data"]) == 8 * MEBIBYTE


@pytest.mark.proves("H6.3")
@in_virtual_time
async def test_a_command_of_59_9_s_succeeds(tmp_path: Path) -> None:
    async with make_server(tmp_path, {"sleep": sleep_for}).serving() as server, connected(server) as client:
        assert (await client.ask("sleep", seconds=59.9))["data"] == "slept"


@pytest.mark.proves("H6.1", "H6.3")
@pytest.mark.parametrize("seconds", [60.1, 1e9])
@in_virtual_time
async def test_a_longer_command_is_answered_at_60_s_by_a_typed_error(tmp_path: Path, seconds: float) -> None:
    async with make_server(tmp_path, {"sleep": sleep_for}).serving() as server, connected(server) as client:
        started = now()
        answer = await client.ask("sleep", "an-id", seconds=seconds)
        assert now() - started == pytest.approx(60)
        assert (answer["code"], answer["request_id"]) == ("processing_timeout", "an-id")
        assert answer["error"] == "Request processing timeout after 60.0s"


@pytest.mark.proves("H6.3")
@in_virtual_time
async def test_a_command_that_timed_out_has_no_later_effect(tmp_path: Path) -> None:
    effects = []

    async def act_late(_: Mapping[str, Any]) -> object:
        await asyncio.sleep(61)
        effects.append("late")
        return None

    async with make_server(tmp_path, {"act": act_late}).serving() as server, connected(server) as client:
        await client.ask("act")
        await asyncio.sleep(100)
        assert effects == []


@pytest.mark.proves("H6.3")
@in_virtual_time
async def test_after_a_timed_out_command_the_connection_goes_on(tmp_path: Path) -> None:
    async with make_server(tmp_path, {"sleep": sleep_for}).serving() as server, connected(server) as client:
        await client.ask("sleep", seconds=1000)
        assert (await client.ask("sleep", "next", seconds=1))["request_id"] == "next"


@pytest.mark.proves("H6.8")
@in_virtual_time
async def test_an_idle_connection_is_closed_after_5_minutes_and_that_is_no_timeout(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        await client.ask("echo")
        assert await seconds_until_closed(client) == 300
        assert server.counts.timeouts == 0


@in_virtual_time
async def test_a_connection_used_every_299_s_stays(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        for _ in range(10):
            assert (await client.ask("echo"))["success"]
            await asyncio.sleep(299)


@pytest.mark.proves("H6.1")
@pytest.mark.parametrize(
    ("limits", "sent", "seconds"),
    [
        ({"connection_s": 7}, b"", 7),
        ({"read_s": 7}, b"\x00", 7),
        ({"idle_s": 7}, REQUEST, 7),
        ({"request_s": 7, "idle_s": 1}, frame("sleep", seconds=100), 8),
    ],
)
@in_virtual_time
async def test_every_limit_comes_from_the_configuration(
    tmp_path: Path, limits: dict[str, Any], sent: bytes, seconds: float
) -> None:
    handlers = {"echo": sleep_for, "sleep": sleep_for}
    async with make_server(tmp_path, handlers, **limits).serving() as server, connected(server) as client:
        client.write(sent)
        assert await seconds_until_closed(client) == seconds
