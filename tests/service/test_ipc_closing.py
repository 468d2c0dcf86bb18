"""A stop ends every connection within its bounds, also hung ones; one failure ends nothing else (H6.8).

Virtual time; each of these tests also fails when a task is left, or when the loop has to complain of anything.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.ipc.connection import Connection
from pywats_reliability.ipc.listener import Listener
from tests.service.ipc_world import RawClient, connected, frame, make_server
from tests.service.virtual_clock import in_virtual_time, now


async def sleep_for(args: Mapping[str, Any]) -> object:
    await asyncio.sleep(args["seconds"])
    return "slept"


async def answer_with(args: Mapping[str, Any]) -> object:
    return "x" * int(args["size"])


HANDLERS = {"sleep": sleep_for, "big": answer_with}


@pytest.mark.proves("H6.8")
@pytest.mark.parametrize("sent", [b"", b"\x00", frame("ping"), frame("ping")[:-1]], ids=len)
@in_virtual_time
async def test_clients_that_are_waited_for_are_closed_at_once(tmp_path: Path, sent: bytes) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as client:
        client.write(sent)
        await asyncio.sleep(1)
        started = now()
        await server.close()
        assert (now() - started, server.counts.connections_open) == (0, 0)


@in_virtual_time
async def test_a_command_that_ends_in_time_is_answered_before_the_end(tmp_path: Path) -> None:
    async with make_server(tmp_path, HANDLERS).serving() as server, connected(server) as client:
        client.write_request("sleep", seconds=3)
        await asyncio.sleep(1)
        await server.close(timeout=5)
        answer = await client.receive()
        assert answer is not None
        assert (answer["data"], now() - 1000) == ("slept", 3)


@in_virtual_time
async def test_after_that_answer_no_further_request_is_carried_out(tmp_path: Path) -> None:
    async with make_server(tmp_path, HANDLERS).serving() as server, connected(server) as client:
        client.write(frame("sleep", seconds=3) + frame("sleep", seconds=0))
        await asyncio.sleep(1)
        await server.close(timeout=5)
        await client.receive()
        assert await client.receive() is None


@in_virtual_time
async def test_a_command_that_does_not_end_in_time_is_cancelled(tmp_path: Path) -> None:
    async with make_server(tmp_path, HANDLERS).serving() as server, connected(server) as client:
        client.write_request("sleep", seconds=50)
        await asyncio.sleep(1)
        await server.close(timeout=5)
        assert (await client.receive(), now() - 1000) == (None, 6)


@pytest.mark.proves("H6.8")
@in_virtual_time
async def test_a_client_that_never_reads_cannot_hold_the_closing(tmp_path: Path) -> None:
    async with make_server(tmp_path, HANDLERS).serving() as server, connected(server) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.write_request("big", size=4_000_000)
        await asyncio.sleep(1)
        await server.close(timeout=5)
        assert (server.counts.connections_open, now() - 1000) == (0, 6)


@in_virtual_time
async def test_a_command_that_ignores_its_cancellation_is_named_and_does_not_hold_the_closing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()

    async def resist(_: Mapping[str, Any]) -> object:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        return "at last"

    async with make_server(tmp_path, {"resist": resist}).serving() as server, connected(server) as client:
        client.write_request("resist")
        await asyncio.sleep(1)
        await server.close(timeout=5)
        assert now() - 1000 == 7
        go_on.set()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "Connection(1, carrying out a command, 0 answered) ignores its cancellation" in record.getMessage()


@in_virtual_time
async def test_closing_twice_and_at_once_is_closing(tmp_path: Path) -> None:
    async with make_server(tmp_path, HANDLERS).serving() as server, connected(server) as client:
        client.write_request("sleep", seconds=2)
        await asyncio.sleep(1)
        await asyncio.gather(server.close(), server.close())
        await server.close()
        assert now() - 1000 == 2


@in_virtual_time
async def test_closing_from_within_a_command_does_not_wait_for_that_command(tmp_path: Path) -> None:
    async def close(_: Mapping[str, Any]) -> object:
        await server.close()
        return "closed"

    server = make_server(tmp_path, {"close": close})
    async with server.serving(), connected(server) as client:
        assert (await client.ask("close"))["data"] == "closed"
        assert now() == 1000


@in_virtual_time
async def test_run_returns_when_closed_and_at_once_when_closed_before(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    await server.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(lambda: None))
        await asyncio.sleep(1)
        await server.close()
    await server.run(lambda: None)
    assert now() == 1001


@in_virtual_time
async def test_a_client_that_connects_before_run_is_served_by_it(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    await server.start()
    async with asyncio.TaskGroup() as group:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        group.create_task(server.run(lambda: None))
        assert await RawClient(reader, writer).receive() is not None
        writer.close()
        await server.close()


@in_virtual_time
async def test_a_server_whose_run_was_cancelled_can_be_run_again(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    await server.start()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(server.run(lambda: None))
        async with connected(server) as client:
            first.cancel()
            assert await client.receive() is None
        group.create_task(server.run(lambda: None))
        async with connected(server) as client:
            assert (await client.ask("echo"))["success"]
        await server.close()


@in_virtual_time
async def test_run_beats_at_least_every_10_s_though_nobody_comes(tmp_path: Path) -> None:
    beats: list[float] = []
    server = make_server(tmp_path)
    await server.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(lambda: beats.append(now())))
        await asyncio.sleep(100)
        await server.close()
    assert max(later - earlier for earlier, later in itertools.pairwise(beats)) <= 10
    assert len(beats) >= 10


@in_virtual_time
async def test_a_failure_of_accepting_itself_ends_run_with_that_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Listener) -> object:
        raise RuntimeError("planted")

    monkeypatch.setattr(Listener, "accept", fail)
    server = make_server(tmp_path)
    await server.start()
    with pytest.raises(ExceptionGroup) as caught:
        await server.run(lambda: None)
    await server.close()
    assert str(caught.value.exceptions[0]) == "planted"


@in_virtual_time
async def test_a_bug_in_serving_one_client_is_logged_and_the_others_are_served_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Connection) -> None:
        raise RuntimeError("planted")

    async with make_server(tmp_path).serving() as server, connected(server) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "serve", fail)
            async with connected(server, take_hello=False) as unlucky:
                assert await unlucky.receive() is None
        assert (await client.ask("echo"))["success"]
    assert "RuntimeError: planted" in caplog.text


@in_virtual_time
async def test_100_servers_with_hung_clients_leave_no_descriptor(tmp_path: Path) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        async with (
            make_server(tmp_path).serving() as server,
            connected(server) as client,
            connected(server),
            connected(server, take_hello=False),
        ):
            client.write(b"\x00")
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == before


@in_virtual_time
async def test_an_error_in_the_block_comes_out_of_serving_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="planted"):
        async with make_server(tmp_path).serving():
            raise KeyError("planted")
    assert not (tmp_path / "s").exists()
