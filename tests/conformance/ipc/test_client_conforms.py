"""Our client works with a server that knows only the protocol's description, byte for byte (H3.3, H6.9)."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.errors import IPCAuthenticationError, IPCUnknownCommandError
from pywats_reliability.ipc.address import UnixAddress
from pywats_reliability.ipc.client import AsyncIPCClient
from tests.conformance.ipc.minimal_server import MinimalServer

pytestmark = pytest.mark.asyncio
SECRET = "0f" * 32


@asynccontextmanager
async def conversation(
    folder: Path, *, server_secret: str | None = None, secret: str | None = None, **commands: Any
) -> AsyncIterator[tuple[AsyncIPCClient, MinimalServer]]:
    """Give our client and the server that it talks to."""
    server = MinimalServer(str(folder / "s"), secret=server_secret, commands=commands)
    client = AsyncIPCClient(UnixAddress(folder / "s"), secret=secret, request_timeout_s=5)
    try:
        yield client, server
    finally:
        await client.aclose()
        await asyncio.to_thread(server.close)


async def test_a_request_is_one_piece_of_header_and_body_with_the_four_fields(tmp_path: Path) -> None:
    async with conversation(tmp_path, echo=1) as (client, server):
        await client.request("echo", {"ä": [None, 1.5]})
    (piece,) = server.pieces
    assert int.from_bytes(piece[:4], "big") == len(piece) - 4
    request = json.loads(piece[4:])
    assert str(uuid.UUID(request.pop("request_id"), version=4))
    assert request == {"command": "echo", "protocol_version": "2.0", "args": {"ä": [None, 1.5]}}


async def test_data_arrives_as_it_was_sent(tmp_path: Path) -> None:
    status = {"status": "Running", "pending_queue": {"queued_files": 3}, "uptime_seconds": 1.25, "start_time": None}
    async with conversation(tmp_path, get_status=status, nothing=None) as (client, _):
        assert (await client.request("get_status"), await client.request("nothing")) == (status, None)


async def test_the_secret_is_sent_as_it_is_and_only_when_asked_for(tmp_path: Path) -> None:
    async with conversation(tmp_path, server_secret=SECRET, secret=SECRET, get_config={}) as (client, server):
        await client.request("get_config")
    assert [(request["command"], request["args"]) for request in server.requests] == [
        ("auth", {"token": SECRET}),
        ("get_config", {}),
    ]


async def test_a_server_that_asks_for_no_secret_is_told_none(tmp_path: Path) -> None:
    async with conversation(tmp_path, secret=SECRET) as (client, server):
        await client.request("ping")
    assert SECRET.encode() not in b"".join(server.pieces)


async def test_errors_without_a_code_are_typed_by_their_texts(tmp_path: Path) -> None:
    async with conversation(tmp_path, server_secret=SECRET) as (client, _):
        with pytest.raises(IPCAuthenticationError):
            await client.request("get_status")
    (tmp_path / "s").unlink()
    async with conversation(tmp_path) as (client, _):
        with pytest.raises(IPCUnknownCommandError):
            await client.request("fly")


async def test_fields_of_tomorrow_in_the_hello_are_ignored(tmp_path: Path) -> None:
    async with conversation(tmp_path) as (client, _):
        hello = await client.connect()
    assert (hello.server_version, hello.capabilities) == ("minimal", ("rate_limit",))
