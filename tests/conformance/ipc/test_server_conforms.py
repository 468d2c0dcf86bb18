"""A client that knows only the protocol's description works with our server, byte for byte (H6.5, H6.6, H6.7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pywats_reliability.ipc.address import UnixAddress
from pywats_reliability.ipc.limits import IPCLimits
from pywats_reliability.ipc.messages import Hello
from pywats_reliability.ipc.server import AsyncIPCServer
from pywats_reliability.ipc.session import Answer
from tests.conformance.ipc.minimal_client import MinimalClient

pytestmark = pytest.mark.asyncio
SECRET = "0f" * 32
ANSWER_FIELDS = {"success", "data", "error", "request_id", "protocol_version"}
T = TypeVar("T")


async def get_status(_: Mapping[str, Any]) -> object:
    return {"status": "Running", "api_status": "Online", "padding": "x" * 140_000}


async def hang(_: Mapping[str, Any]) -> object:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets the event")


async def stop(_: Mapping[str, Any]) -> object:
    return Answer({"requested": True}, after=lambda: None)


async def size_of(args: Mapping[str, Any]) -> object:
    return len(args["text"])


async def converse(folder: Path, conversation: Callable[[MinimalClient], T], *, secret: str | None = None) -> T:
    """Hold a conversation of a blocking client, in a thread, with our server."""

    def hold() -> T:
        client = MinimalClient(str(folder / "s"))
        try:
            return conversation(client)
        finally:
            client.close()

    server = AsyncIPCServer(
        UnixAddress(folder / "s"),
        handlers={"get_status": get_status, "hang": hang, "stop": stop, "size_of": size_of},
        secret=secret,
        hello=Hello("1.2.3", "default", capabilities=("queue",)),
        limits=IPCLimits(request_s=0.05),
    )
    async with server.serving(), asyncio.timeout(20):
        return await asyncio.to_thread(hold)


async def test_the_hello_has_the_fields_of_the_protocol(tmp_path: Path) -> None:
    assert await converse(tmp_path, lambda client: client.hello, secret=SECRET) == {
        "protocol_version": "2.0",
        "server_version": "1.2.3",
        "instance_id": "default",
        "requires_auth": True,
        "capabilities": ["auth", "queue", "rate_limit"],
    }


async def test_a_good_answer_has_exactly_the_fields_of_the_protocol(tmp_path: Path) -> None:
    answer = await converse(tmp_path, lambda client: client.call("ping"))
    assert set(answer) == ANSWER_FIELDS
    assert (answer["success"], answer["error"], answer["protocol_version"]) == (True, None, "2.0")


@pytest.mark.proves("H6.5")
async def test_an_error_has_them_and_a_code(tmp_path: Path) -> None:
    answer = await converse(tmp_path, lambda client: client.call("fly"))
    assert set(answer) == ANSWER_FIELDS | {"code"}
    assert (answer["success"], answer["data"], answer["protocol_version"]) == (False, None, "2.0")


async def test_authentication_goes_as_described(tmp_path: Path) -> None:
    def conversation(client: MinimalClient) -> list[Any]:
        return [
            client.call("ping")["data"],
            client.call("get_status")["error"][:23],
            client.call("auth", {"token": "0" * 64})["data"],
            client.call("auth", {"token": SECRET})["data"],
            client.call("ping")["data"],
            client.call("stop")["data"],
        ]

    assert await converse(tmp_path, conversation, secret=SECRET) == [
        {"pong": True, "authenticated": False},
        "Authentication required",
        {"authenticated": False},
        {"authenticated": True},
        {"pong": True, "authenticated": True},
        {"requested": True},
    ]


@pytest.mark.parametrize(
    ("command", "changes", "beginning"),
    [
        ("ping", {"protocol_version": "1.5"}, "Protocol version 1.5 not supported. Minimum: 2.0"),
        ("get_status", {}, "Authentication required"),
        ("auth", {}, "Token required"),
        ("auth", {"args": {"token": "wrong"}}, "Invalid token"),
    ],
)
async def test_errors_before_authentication_begin_as_described(
    tmp_path: Path, command: str, changes: dict[str, Any], beginning: str
) -> None:
    answer = await converse(tmp_path, lambda client: client.call(command, **changes), secret=SECRET)
    assert answer["error"].startswith(beginning)


@pytest.mark.parametrize(
    ("command", "beginning"),
    [("fly", "Unknown command: fly"), ("", "Unknown command: "), ("hang", "Request processing timeout after 0.05s")],
)
async def test_errors_of_commands_begin_as_described(tmp_path: Path, command: str, beginning: str) -> None:
    assert (await converse(tmp_path, lambda client: client.call(command)))["error"].startswith(beginning)


async def test_a_request_without_a_version_is_of_version_one(tmp_path: Path) -> None:
    def conversation(client: MinimalClient) -> dict[str, Any]:
        client.send(b'{"command": "ping", "request_id": "r"}')
        return client.receive()

    answer = await converse(tmp_path, conversation)
    assert (answer["request_id"], answer["error"]) == ("r", "Protocol version 1.0 not supported. Minimum: 2.0")


async def test_higher_versions_are_accepted(tmp_path: Path) -> None:
    assert (await converse(tmp_path, lambda client: client.call("ping", protocol_version="3.1")))["success"]


@pytest.mark.proves("H6.6")
async def test_invalid_json_is_answered_and_the_connection_goes_on(tmp_path: Path) -> None:
    def conversation(client: MinimalClient) -> tuple[str, bool]:
        client.send(b"{")
        return client.receive()["error"], client.call("ping")["success"]

    error, goes_on = await converse(tmp_path, conversation)
    assert error.startswith("Invalid JSON: ")
    assert goes_on


@pytest.mark.proves("H6.7")
async def test_the_21st_request_at_once_is_above_the_rate(tmp_path: Path) -> None:
    answers = await converse(tmp_path, lambda client: [client.call("ping") for _ in range(22)])
    assert [answer["success"] for answer in answers[:20]] == [True] * 20
    assert answers[21]["error"] == "Rate limit exceeded. Try again later."


async def test_answers_of_140_kb_arrive(tmp_path: Path) -> None:
    answers = await converse(tmp_path, lambda client: [client.call("get_status") for _ in range(5)])
    assert [len(answer["data"]["padding"]) for answer in answers] == [140_000] * 5


async def test_a_request_of_exactly_one_mebibyte_is_taken(tmp_path: Path) -> None:
    request = {"command": "size_of", "protocol_version": "2.0", "args": {"text": ""}}
    padding = 1_048_576 - len(json.dumps(request))

    def conversation(client: MinimalClient) -> dict[str, Any]:
        client.send(json.dumps(request | {"args": {"text": "x" * padding}}).encode())
        return client.receive()

    assert (await converse(tmp_path, conversation))["data"] == padding


@pytest.mark.proves("H6.5")
async def test_requests_sent_ahead_are_answered_in_order(tmp_path: Path) -> None:
    def conversation(client: MinimalClient) -> list[str]:
        for number in range(10):
            request = {"command": "ping", "request_id": f"{number}", "protocol_version": "2.0", "args": {}}
            client.send(json.dumps(request).encode())
        return [client.receive()["request_id"] for _ in range(10)]

    assert await converse(tmp_path, conversation) == [str(number) for number in range(10)]
