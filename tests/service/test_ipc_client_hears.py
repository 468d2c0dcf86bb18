"""Whatever a server says, the client takes nothing for data that is not (H3.3, H6.9).

The servers are scripts: they say exactly what the test wants a client to hear.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.errors import (
    IPCCommandTimeoutError,
    IPCConnectionError,
    IPCProtocolError,
    IPCRemoteError,
    IPCTimeoutError,
)
from pywats_reliability.ipc.address import UnixAddress
from pywats_reliability.ipc.client import AsyncIPCClient
from pywats_reliability.ipc.framing import encode_frame
from tests.service.virtual_clock import in_virtual_time, now

HELLO: dict[str, Any] = {"protocol_version": "2.0", "server_version": "x", "instance_id": "i", "requires_auth": False}
Answering = Callable[[dict[str, Any]], list[dict[str, Any]]]
Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def packed(message: object) -> bytes:
    return encode_frame(json.dumps(message).encode())


def good(request: dict[str, Any], data: object = "fine") -> dict[str, Any]:
    return {"success": True, "data": data, "error": None, "request_id": request["request_id"]}


@contextlib.asynccontextmanager
async def served_by(folder: Path, serve: Serving) -> AsyncIterator[AsyncIPCClient]:
    """Give a client of a server that serves each connection with ``serve``."""
    ended = []

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(closed := asyncio.Event())
        with contextlib.suppress(ConnectionError):  # The client may well have dropped this connection.
            await serve(reader, writer)
        writer.close()
        closed.set()

    server = await asyncio.start_unix_server(serve_and_close, folder / "s")
    client = AsyncIPCClient(UnixAddress(folder / "s"))
    try:
        yield client
    finally:
        await client.aclose()
        server.close()
        for closed in ended:
            await closed.wait()


@contextlib.asynccontextmanager
async def scripted(folder: Path, *answers: Answering, hello: object = HELLO) -> AsyncIterator[AsyncIPCClient]:
    """Give a client of a server that answers the first request by the first script, and so on."""
    script = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(packed(hello))
        while length := await reader.read(4):
            request = json.loads(await reader.readexactly(int.from_bytes(length, "big")))
            for answer in script.pop(0)(request):
                writer.write(packed(answer))

    async with served_by(folder, serve) as client:
        yield client


@pytest.mark.proves("H6.9")
@in_virtual_time
async def test_a_foreign_answer_is_an_error_and_drops_the_connection(tmp_path: Path) -> None:
    async with scripted(tmp_path, lambda _: [good({"request_id": "somebody else's"})]) as client:
        with pytest.raises(IPCProtocolError, match="expected the answer to request"):
            await client.request("x")
        assert not client.is_connected


@in_virtual_time
async def test_an_answer_that_comes_twice_counts_once(tmp_path: Path) -> None:
    async with scripted(tmp_path, *[lambda request: [good(request, request["command"])] * 2] * 3) as client:
        assert [await client.request(command) for command in "abc"] == ["a", "b", "c"]


@in_virtual_time
async def test_an_answer_that_comes_three_times_is_an_error(tmp_path: Path) -> None:
    async with scripted(tmp_path, *[lambda request: [good(request)] * 3] * 2) as client:
        await client.request("a")
        with pytest.raises(IPCProtocolError):
            await client.request("b")


@in_virtual_time
async def test_an_error_without_an_id_is_an_error_and_drops_the_connection(tmp_path: Path) -> None:
    answer = {"success": False, "error": "Request processing timeout after 60.0s", "data": None}
    async with scripted(tmp_path, lambda _: [answer]) as client:
        with pytest.raises(IPCCommandTimeoutError):
            await client.request("x")
        assert not client.is_connected


@pytest.mark.parametrize(
    "answer",
    [
        {"success": True, "data": 1},
        {"data": {"pong": True}},
        {"success": "yes", "data": 1},
        {"success": True, "data": 1, "error": "but"},
        ["success"],
        "success",
        None,
    ],
)
@in_virtual_time
async def test_a_malformed_answer_is_never_taken_for_data(tmp_path: Path, answer: Any) -> None:
    def reply(request: dict[str, Any]) -> list[Any]:
        has_id = isinstance(answer, dict) and answer != {"success": True, "data": 1}
        return [{"request_id": request["request_id"]} | answer if has_id else answer]

    async with scripted(tmp_path, reply) as client:
        with pytest.raises(IPCProtocolError):
            await client.request("x")
        assert not client.is_connected


@in_virtual_time
async def test_a_failure_with_data_is_a_failure(tmp_path: Path) -> None:
    def reply(request: dict[str, Any]) -> list[Any]:
        return [{"success": False, "data": {"authenticated": True}, "request_id": request["request_id"]}]

    async with scripted(tmp_path, reply) as client:
        with pytest.raises(IPCRemoteError, match="the service gave no reason"):
            await client.request("x")


@in_virtual_time
async def test_a_server_of_an_older_protocol_is_refused(tmp_path: Path) -> None:
    async with scripted(tmp_path, hello={"protocol_version": "1.0"}) as client:
        with pytest.raises(IPCProtocolError, match=r"expected a server of protocol 2\.0 or newer, found protocol 1\.0"):
            await client.connect()


@in_virtual_time
async def test_a_server_that_says_nothing_is_left_after_5_s(tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with served_by(tmp_path, say_nothing) as client:
        with pytest.raises(IPCTimeoutError, match="connect: expected an answer within 5 s"):
            await client.request("ping")
        assert now() == 1005


@in_virtual_time
async def test_a_server_that_closes_without_a_hello_is_a_connection_error(tmp_path: Path) -> None:
    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with served_by(tmp_path, leave) as client:
        with pytest.raises(IPCConnectionError, match="closed without a hello"):
            await client.connect()
