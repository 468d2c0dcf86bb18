"""The client gives data or an exception, never one for the other, and never another request's answer (H3.3, H6.9)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.errors import (
    IPCAuthenticationError,
    IPCCommandTimeoutError,
    IPCConnectionError,
    IPCError,
    IPCMessageTooLargeError,
    IPCQueueFullError,
    IPCRateLimitError,
    IPCRemoteError,
    IPCReportInvalidError,
    IPCServiceStoppingError,
    IPCTimeoutError,
    IPCUnknownCommandError,
    QueueFullError,
    ReliabilityError,
    ReportInvalidError,
    ServiceStoppingError,
)
from pywats_reliability.ipc.address import TcpAddress, UnixAddress
from pywats_reliability.ipc.client import AsyncIPCClient
from pywats_reliability.ipc.messages import Hello
from pywats_reliability.ipc.server import AsyncIPCServer
from tests.service.ipc_world import SECRET, echo, make_server
from tests.service.virtual_clock import in_virtual_time, now


async def wait_for_ever(_: Mapping[str, Any]) -> object:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets the event")


def failing(error: Exception) -> Callable[[Mapping[str, Any]], Awaitable[object]]:
    async def fail(_: Mapping[str, Any]) -> object:
        raise error

    return fail


@in_virtual_time
async def test_a_request_gives_the_data_of_its_answer(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, AsyncIPCClient(server.address) as client:
        assert await client.request("echo", {"a": None}) == {"a": None}


@in_virtual_time
async def test_it_proves_itself_when_the_server_asks_for_that(tmp_path: Path) -> None:
    async with (
        make_server(tmp_path, secret=SECRET).serving() as server,
        AsyncIPCClient(server.address, secret=SECRET) as client,
    ):
        assert await client.request("echo") == {}
        assert client.hello is not None
        assert client.hello.requires_auth


@in_virtual_time
async def test_a_wrong_secret_is_an_error_on_connecting(tmp_path: Path) -> None:
    async with make_server(tmp_path, secret=SECRET).serving() as server:
        client = AsyncIPCClient(server.address, secret="f" * 64)
        with pytest.raises(IPCAuthenticationError, match="Invalid token"):
            await client.connect()
        assert not client.is_connected


@in_virtual_time
async def test_no_secret_is_an_error_on_the_request(tmp_path: Path) -> None:
    async with make_server(tmp_path, secret=SECRET).serving() as server, AsyncIPCClient(server.address) as client:
        with pytest.raises(IPCAuthenticationError, match="Authentication required"):
            await client.request("echo")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (QueueFullError(1, 1), IPCQueueFullError),
        (ServiceStoppingError("submit"), IPCServiceStoppingError),
        (ReportInvalidError("JSON", "nothing"), IPCReportInvalidError),
        (ReliabilityError("anything"), IPCRemoteError),
        (ValueError("a bug"), IPCRemoteError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
@in_virtual_time
async def test_an_error_of_a_command_arrives_typed_with_code_words_and_id(
    tmp_path: Path, error: Exception, kind: type[IPCRemoteError]
) -> None:
    async with (
        make_server(tmp_path, {"fail": failing(error)}).serving() as server,
        AsyncIPCClient(server.address) as client,
    ):
        with pytest.raises(IPCRemoteError) as caught:
            await client.request("fail")
    assert type(caught.value) is kind
    assert caught.value.remote_code == getattr(error, "code", "internal_error")
    assert (caught.value.message.startswith(str(error)) or kind is IPCRemoteError, len(caught.value.request_id)) == (
        True, 36,
    )


@in_virtual_time
async def test_an_unknown_command_and_too_many_requests_have_their_types(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, AsyncIPCClient(server.address) as client:
        with pytest.raises(IPCUnknownCommandError):
            await client.request("fly")
        for _ in range(19):
            await client.request("ping")
        with pytest.raises(IPCRateLimitError):
            await client.request("ping")


@in_virtual_time
async def test_a_command_that_the_server_cuts_is_not_a_time_out_of_the_clients(tmp_path: Path) -> None:
    async with (
        make_server(tmp_path, {"hang": wait_for_ever}).serving() as server,
        AsyncIPCClient(server.address) as client,
    ):
        with pytest.raises(IPCCommandTimeoutError, match=r"after 60\.0s"):
            await client.request("hang")
        assert await client.request("ping")


@in_virtual_time
async def test_after_an_error_the_same_connection_serves_on(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, AsyncIPCClient(server.address) as client:
        with pytest.raises(IPCUnknownCommandError):
            await client.request("fly")
        await client.request("ping")
        assert repr(client) == f"AsyncIPCClient({server.address}, connected, 1 connections, 2 requests)"


@in_virtual_time
async def test_requests_of_several_tasks_each_get_their_own_answer(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, AsyncIPCClient(server.address) as client:
        answers = await asyncio.gather(*(client.request("echo", {"n": number}) for number in range(20)))
        assert answers == [{"n": number} for number in range(20)]


@in_virtual_time
async def test_where_nobody_listens_there_is_a_connection_error_that_says_what_to_do(tmp_path: Path) -> None:
    client = AsyncIPCClient(UnixAddress(tmp_path / "s"))
    with pytest.raises(IPCConnectionError, match="found no socket there; start it with `pywats-service run`"):
        await client.request("ping")


@in_virtual_time
async def test_over_tcp_it_works_the_same() -> None:
    server = AsyncIPCServer(TcpAddress(0), handlers={"echo": echo}, secret=SECRET, hello=Hello("1.0", "test"))
    async with server.serving(), AsyncIPCClient(server.address, secret=SECRET) as client:
        assert await client.request("echo", {"big": "x" * 500_000}) == {"big": "x" * 500_000}


@in_virtual_time
async def test_a_connection_closed_while_idle_is_replaced_without_an_error(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, AsyncIPCClient(server.address) as client:
        await client.request("ping")
        await asyncio.sleep(301)
        assert not client.is_connected
        assert await client.request("echo") == {}


@in_virtual_time
async def test_a_service_that_goes_away_in_mid_request_is_a_connection_error_and_the_next_one_is_found(
    tmp_path: Path,
) -> None:
    client = AsyncIPCClient(UnixAddress(tmp_path / "s"))
    async with make_server(tmp_path, {"hang": wait_for_ever}).serving() as server, asyncio.TaskGroup() as group:
        asking = group.create_task(failure_of(client.request("hang")))
        await asyncio.sleep(1)
        await server.close()
    async with make_server(tmp_path).serving():
        assert await client.request("echo") == {}
        await client.aclose()
    assert isinstance(asking.result(), IPCConnectionError)


async def failure_of(request: Awaitable[object]) -> IPCError | None:
    try:
        await request
    except IPCError as error:
        return error
    return None


@in_virtual_time
async def test_a_request_over_one_mebibyte_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, AsyncIPCClient(server.address) as client:
        with pytest.raises(IPCMessageTooLargeError, match="expected a request of at most 1048576 bytes"):
            await client.request("echo", {"x": "x" * 1_048_576})
        assert (await client.request("echo"), server.counts.requests) == ({}, 1)


@pytest.mark.proves("H6.9")
@in_virtual_time
async def test_a_late_answer_is_never_taken_for_the_next_ones(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def late(_: Mapping[str, Any]) -> object:
        await release.wait()
        return "late"

    async with (
        make_server(tmp_path, {"late": late, "echo": echo}).serving() as server,
        AsyncIPCClient(server.address) as client,
    ):
        with pytest.raises(IPCTimeoutError, match="late: expected an answer within 2 s"):
            await client.request("late", timeout_s=2)
        assert now() == 1002
        release.set()
        assert await client.request("echo", {"n": 1}) == {"n": 1}


@in_virtual_time
async def test_after_a_cancelled_request_its_answer_is_never_taken_for_the_next_ones(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def late(_: Mapping[str, Any]) -> object:
        await release.wait()
        return "late"

    async with (
        make_server(tmp_path, {"late": late, "echo": echo}).serving() as server,
        AsyncIPCClient(server.address) as client,
        asyncio.TaskGroup() as group,
    ):
        asking = group.create_task(client.request("late"))
        await asyncio.sleep(1)
        asking.cancel()
        release.set()
        assert await client.request("echo", {"n": 1}) == {"n": 1}


@in_virtual_time
async def test_giving_up_in_the_queue_of_requests_leaves_the_one_under_way_alone(tmp_path: Path) -> None:
    async def slow(_: Mapping[str, Any]) -> object:
        await asyncio.sleep(10)
        return "slow"

    async with (
        make_server(tmp_path, {"slow": slow}).serving() as server,
        AsyncIPCClient(server.address) as client,
        asyncio.TaskGroup() as group,
    ):
        asking = group.create_task(client.request("slow"))
        await asyncio.sleep(1)
        with pytest.raises(IPCTimeoutError):
            await client.request("ping", timeout_s=2)
    assert asking.result() == "slow"


@in_virtual_time
async def test_closing_is_idempotent_and_a_later_request_connects_again(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, AsyncIPCClient(server.address) as client:
        await client.aclose()
        await client.aclose()
        assert await client.request("echo") == {}


@pytest.mark.asyncio
async def test_a_service_that_dies_before_its_hello_is_a_connection_error(tmp_path: Path) -> None:
    """A reset of the very first read is told as what it is: unread bytes of ours turn the peer's end into a reset."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        client = AsyncIPCClient(UnixAddress(tmp_path / "s"), secret=None)

        async def die() -> None:
            peer = await asyncio.to_thread(lambda: listening.accept()[0])
            client._stream._writer.write(b"unread")  # type: ignore[union-attr]
            peer.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(die())
            with pytest.raises(IPCConnectionError):
                await client.connect()
