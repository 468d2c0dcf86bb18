"""Every request gets one answer, under its id and in its turn, and an error is never data (H6.5, H6.7, H3.3)."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.errors import QueueFullError, ReliabilityError
from pywats_reliability.ipc.framing import encode_frame
from pywats_reliability.ipc.session import Answer, CommandHandler
from tests.service.ipc_world import SECRET, connected, frame, make_server
from tests.service.virtual_clock import in_virtual_time


def raising(error: BaseException) -> CommandHandler:
    async def fail(_: Mapping[str, Any]) -> object:
        raise error

    return fail


@in_virtual_time
async def test_a_command_is_answered_with_its_data_under_its_id(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        assert await client.ask("echo", "an-id", a=[1, None]) == {
            "success": True,
            "data": {"a": [1, None]},
            "error": None,
            "request_id": "an-id",
            "protocol_version": "2.0",
        }


@in_virtual_time
async def test_the_hello_comes_at_once_and_says_what_the_server_is(tmp_path: Path) -> None:
    async with make_server(tmp_path, secret=SECRET).serving() as server, connected(server, take_hello=False) as client:
        assert await client.receive() == {
            "protocol_version": "2.0",
            "server_version": "1.0",
            "instance_id": "test",
            "requires_auth": True,
            "capabilities": ["auth", "rate_limit"],
        }


@pytest.mark.proves("H6.5")
@in_virtual_time
async def test_requests_sent_ahead_are_answered_one_by_one_in_order(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        client.write(b"".join(frame("echo", str(number)) for number in range(20)))
        answers = [await client.receive() for _ in range(20)]
        assert [answer and answer["request_id"] for answer in answers] == [str(number) for number in range(20)]


@in_virtual_time
async def test_a_later_request_waits_until_the_earlier_one_is_answered(tmp_path: Path) -> None:
    running = []

    async def count(args: Mapping[str, Any]) -> object:
        running.append(args["n"])
        await asyncio.sleep(5)
        running.remove(args["n"])
        return list(running)

    async with make_server(tmp_path, {"count": count}).serving() as server, connected(server) as client:
        client.write(frame("count", n=1) + frame("count", n=2))
        answers = [await client.receive() for _ in range(2)]
        assert [answer and answer["data"] for answer in answers] == [[], []]


@in_virtual_time
async def test_requests_before_the_end_of_the_stream_are_answered(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        client.write_request("echo")
        client.writer.write_eof()
        answer = await client.receive()
        assert answer is not None
        assert await client.receive() is None


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (QueueFullError(10, 10), "queue_full", "queue full: 10 reports, limit 10"),
        (ValueError("pa55word"), "internal_error", "found an error of the service's own; see its log"),
        (TimeoutError("pa55word"), "internal_error", "found an error of the service's own; see its log"),
        (RecursionError(), "internal_error", "found an error of the service's own"),
        (ExceptionGroup("pa55word", [ValueError("pa55word")]), "internal_error", "found an error of the service's own"),
        (asyncio.CancelledError("pa55word"), "cancelled", "found it cancelled"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
@in_virtual_time
async def test_what_a_command_raises_is_answered_and_the_connection_goes_on(
    tmp_path: Path, error: BaseException, code: str, words: str
) -> None:
    async with make_server(tmp_path, {"fail": raising(error)}).serving() as server, connected(server) as client:
        answer = await client.ask("fail", "an-id")
        assert (answer["success"], answer["data"], answer["code"], answer["request_id"]) == (
            False, None, code, "an-id",
        )
        assert words in answer["error"]
        assert "pa55word" not in str(answer)
        assert (await client.ask("ping"))["success"]


@in_virtual_time
async def test_a_bug_in_a_command_is_logged_once_with_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_server(tmp_path, {"fail": raising(KeyError("k"))}).serving() as server, connected(server) as client:
        await client.ask("fail")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == "IPC command fail failed"
    assert record.exc_info is not None


@in_virtual_time
async def test_an_error_that_the_service_expects_is_not_logged_as_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        make_server(tmp_path, {"fail": raising(ReliabilityError("no"))}).serving() as server,
        connected(server) as client,
    ):
        await client.ask("fail")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    "data", [object(), {1, 2}, float("nan"), b"bytes", {("a",): 1}], ids=lambda data: type(data).__name__
)
@in_virtual_time
async def test_data_that_is_no_json_is_an_error_of_the_service(tmp_path: Path, data: object) -> None:
    async def give(_: Mapping[str, Any]) -> object:
        return data

    async with make_server(tmp_path, {"give": give}).serving() as server, connected(server) as client:
        assert (await client.ask("give"))["code"] == "internal_error"


@pytest.mark.proves("H6.7")
@in_virtual_time
async def test_without_the_token_only_ping_and_auth_are_answered(tmp_path: Path) -> None:
    async with make_server(tmp_path, secret=SECRET).serving() as server, connected(server) as client:
        answers = [await client.ask(command) for command in ("echo", "stop", "", "ping")]
        assert [answer.get("code") for answer in answers] == [*["authentication"] * 3, None]
        assert answers[-1]["data"] == {"pong": True, "authenticated": False}


@in_virtual_time
async def test_with_the_token_every_command_is_answered(tmp_path: Path) -> None:
    async with make_server(tmp_path, secret=SECRET).serving() as server, connected(server) as client:
        assert (await client.ask("auth", token=SECRET))["data"] == {"authenticated": True}
        assert (await client.ask("echo"))["success"]
        assert (await client.ask("ping"))["data"] == {"pong": True, "authenticated": True}


@pytest.mark.proves("H6.7")
@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "Token required"),
        ({"token": ""}, "Token required"),
        ({"token": None}, "Token required"),
        ({"token": 7}, "Token required"),
        ({"token": SECRET[:-1]}, "Invalid token"),
        ({"token": SECRET + "0"}, "Invalid token"),
        ({"token": "f" * 64}, "Invalid token"),
        ({"token": "\ud800ä"}, "Invalid token"),
    ],
)
@in_virtual_time
async def test_a_wrong_token_opens_nothing(tmp_path: Path, args: dict[str, Any], words: str) -> None:
    async with make_server(tmp_path, secret=SECRET).serving() as server, connected(server) as client:
        answer = await client.ask("auth", **args)
        assert (answer["success"], answer["data"]) == (False, {"authenticated": False})
        assert answer["code"] == "authentication"
        assert answer["error"].startswith(words)
        assert (await client.ask("echo"))["code"] == "authentication"


@in_virtual_time
async def test_one_connections_token_opens_no_other(tmp_path: Path) -> None:
    async with (
        make_server(tmp_path, secret=SECRET).serving() as server,
        connected(server) as first,
        connected(server) as second,
    ):
        await first.ask("auth", token=SECRET)
        assert (await second.ask("echo"))["code"] == "authentication"


@in_virtual_time
async def test_no_token_appears_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with make_server(tmp_path, secret=SECRET).serving() as server, connected(server) as client:
        await client.ask("auth", token=SECRET[:-1] + "0")
        await client.ask("auth", token=SECRET)
    assert SECRET[:-1] not in caplog.text


@pytest.mark.proves("H6.7")
@in_virtual_time
async def test_requests_above_the_rate_are_refused_and_a_pause_helps(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        codes = [(await client.ask("ping")).get("code") for _ in range(22)]
        assert codes == [None] * 20 + ["rate_limited"] * 2
        await asyncio.sleep(0.7)
        assert (await client.ask("ping"))["success"]


@in_virtual_time
async def test_the_version_is_checked_before_the_rate_and_the_rate_before_the_token(tmp_path: Path) -> None:
    async with make_server(tmp_path, secret=SECRET).serving() as server, connected(server) as client:
        for _ in range(20):
            await client.ask("ping")
        client.write(encode_frame(b'{"command": "ping", "protocol_version": "1.0"}'))
        old = await client.receive()
        assert old is not None
        assert old["error"] == "Protocol version 1.0 not supported. Minimum: 2.0"
        assert (await client.ask("auth", token=SECRET))["error"] == "Rate limit exceeded. Try again later."


@in_virtual_time
async def test_an_unknown_command_is_named_but_not_at_any_length(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        assert (await client.ask("fly"))["error"] == "Unknown command: fly"
        assert len((await client.ask("x" * 5000))["error"]) < 200


@in_virtual_time
async def test_what_follows_an_answer_is_done_when_the_system_has_taken_the_answer(tmp_path: Path) -> None:
    client, received, done = socket.socket(socket.AF_UNIX), bytearray(), asyncio.Event()

    def look() -> None:
        received.extend(client.recv(65536))
        done.set()

    async def stop(_: Mapping[str, Any]) -> object:
        return Answer({"requested": True}, after=look)

    async with make_server(tmp_path, {"stop": stop}).serving():
        with client:
            client.connect(str(tmp_path / "s"))
            client.setblocking(False)
            client.send(frame("stop"))
            await done.wait()
    assert b'"data": {"requested": true}' in received


@in_virtual_time
async def test_an_answer_of_140_kb_is_handed_over_in_one_piece(tmp_path: Path) -> None:
    """A client that has not read yet, and then reads once, has all of it: no part waits for it to make room."""
    client, done = socket.socket(socket.AF_UNIX), asyncio.Event()

    async def big(_: Mapping[str, Any]) -> object:
        return Answer("x" * 140_000, after=done.set)

    async with make_server(tmp_path, {"big": big}).serving():
        with client:
            client.connect(str(tmp_path / "s"))
            client.setblocking(False)
            client.send(frame("big"))
            await done.wait()
            client.recv(int.from_bytes(client.recv(4), "big"))
            size = int.from_bytes(client.recv(4), "big")
            assert len(client.recv(size)) == size > 140_000


@in_virtual_time
async def test_what_follows_an_answer_is_done_though_the_client_has_gone(tmp_path: Path) -> None:
    done, leave = asyncio.Event(), asyncio.Event()

    async def stop(_: Mapping[str, Any]) -> object:
        await leave.wait()
        return Answer({"requested": True}, after=done.set)

    async with make_server(tmp_path, {"stop": stop}).serving() as server:
        async with connected(server) as client:
            client.write_request("stop")
        leave.set()
        async with asyncio.timeout(1):
            await done.wait()


@in_virtual_time
async def test_a_failure_of_what_follows_an_answer_is_logged_and_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def stop(_: Mapping[str, Any]) -> object:
        return Answer(1, after=lambda: 1 / 0)

    async with make_server(tmp_path, {"stop": stop}).serving() as server, connected(server) as client:
        await client.ask("stop")
        assert (await client.ask("ping"))["success"]
    assert "ZeroDivisionError" in caplog.text


@in_virtual_time
async def test_the_server_counts_and_says_so(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        await client.ask("echo")
        await client.ask("no such")
        counts = server.counts
        assert (counts.connections_open, counts.connections_total, counts.requests, counts.errors) == (1, 1, 2, 1)
        assert repr(server).endswith("1 of 128 connections, 2 requests, 1 errors, 0 timeouts)")
