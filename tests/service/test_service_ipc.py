"""IPC of the whole service never hangs, and answers nobody it should not (H6)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import stat
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.disk import Disk
from pywats_reliability.errors import (
    IPCCommandTimeoutError,
    IPCError,
    IPCRemoteError,
    IPCServerRunningError,
    StartError,
)
from pywats_reliability.ipc import AsyncIPCClient, UnixAddress, load_secret, secret_path
from tests.service.ipc_world import RawClient, frame
from tests.service.service_world import SETTINGS, ServiceWorld, answering, hanging, make_world, running
from tests.service.store_world import contents

pytestmark = pytest.mark.asyncio
LIMIT_S = 5.0
SOURCE = Path(__file__).parents[2]


@asynccontextmanager
async def raw(world: ServiceWorld) -> AsyncIterator[RawClient]:
    """Connect with a plain socket, and read the hello."""
    client = RawClient(*await asyncio.open_unix_connection(world.folder / "s"))
    try:
        async with asyncio.timeout(LIMIT_S):
            assert await client.receive() is not None
        yield client
    finally:
        await client.frames.close(1.0)


def token(world: ServiceWorld) -> str:
    """Return the service's own secret."""
    secret = load_secret(secret_path("default", folder=world.folder / "secrets"))
    assert secret is not None
    return secret


class StuckDisk(Disk):
    """A disk that lists ``failed/`` only when a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stuck, self.go_on = False, threading.Event()

    def list_names(self, path: Path | str) -> list[str]:
        if self.is_stuck and os.path.basename(path) == "failed":
            assert self.go_on.wait(20)
        return super().list_names(path)


@pytest.mark.proves("H6.3")
async def test_a_command_that_takes_too_long_is_a_typed_error_without_effect_and_the_connection_goes_on(
    tmp_path: Path,
) -> None:
    disk = StuckDisk()
    settings = {"ipc_request_timeout": 0.3, "max_retry_attempts": 1}
    async with running(tmp_path, answering(503), disk=disk, **settings) as world, world.client() as client:
        report_id = await world.service.queue.submit(contents())
        await world.until(lambda: world.service.queue.counts.failed == 1)
        connections, disk.is_stuck = client._connects, True
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(IPCCommandTimeoutError):
                await client.request("discard_failed", {"id": report_id})
        assert (await client.request("ping"), client._connects) == ({"pong": True, "authenticated": True}, connections)
        disk.is_stuck = False
        disk.go_on.set()
        shown = await client.request("get_queue", {"folder": "failed"})
        assert isinstance(shown, dict)
        assert (shown["count"], len(world.kept("failed"))) == (1, 1)


@pytest.mark.proves("H6.5")
async def test_requests_sent_ahead_are_each_answered_once_in_order_by_their_id(tmp_path: Path) -> None:
    async with running(tmp_path, hanging) as world, raw(world) as client:
        asked = [("auth", {"token": token(world)})]
        asked += [("get_status", {}), ("get_config", {}), ("no_such", {}), ("submit", {"report": "{"})] * 4
        client.write(b"".join(frame(command, f"r{n}", **args) for n, (command, args) in enumerate(asked)))
        async with asyncio.timeout(LIMIT_S):
            answers = [await client.receive() for _ in asked]
            client.writer.write_eof()
            assert await client.receive() is None
        assert [answer and answer["request_id"] for answer in answers] == [f"r{n}" for n in range(len(asked))]
        assert [bool(answer and answer["success"]) for answer in answers] == [True] + [True, True, False, False] * 4


COMMANDS = [
    "get_status", "get_config", "set_config", "stop", "restart", "submit", "get_queue", "retry_failed",
    "discard_failed", "sync_now", "get_converters",
]  # fmt: skip


@pytest.mark.proves("H6.7")
@pytest.mark.parametrize("how", ["none", "empty", "wrong", "truncated", "another user's"])
async def test_without_the_right_token_no_command_is_carried_out(tmp_path: Path, how: str) -> None:
    async with running(tmp_path) as world, raw(world) as client:
        good = token(world)
        given = {"empty": "", "wrong": "0" * 64, "truncated": good[:-1], "another user's": good[::-1]}.get(how)
        if given is not None:
            assert not (await client.ask("auth", token=given))["success"]
        for command in COMMANDS:
            answer = await client.ask(command, report=contents().decode(), settings={"max_retry_attempts": 1})
            assert (answer["success"], answer["code"], answer.get("data")) == (False, "authentication", None)
        assert (world.service.config.max_retry_attempts, world.service.queue.submitted) == (10, 0)
        assert not world.service.shutdown_requested.is_set()


@pytest.mark.proves("H6.7")
async def test_the_socket_and_the_secret_are_for_their_owner_only(tmp_path: Path) -> None:
    socket_path = tmp_path / "run" / "s"
    async with running(tmp_path, ipc_socket=str(socket_path)):
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (socket_path, socket_path.parent)]
        secret = stat.S_IMODE((tmp_path / "secrets" / "default.key").stat().st_mode)
        assert [*modes, secret] == [0o600, 0o700, 0o600]


@pytest.mark.proves("H6.7")
async def test_a_flood_is_refused_and_the_next_client_is_served(tmp_path: Path) -> None:
    async with running(tmp_path) as world, raw(world) as flood, world.client() as client:
        codes = [(await flood.ask("ping")).get("code") for _ in range(40)]
        assert codes.count(None) in (20, 21)
        assert set(codes[21:]) - {None} == {"rate_limited"}
        assert await client.request("get_status")


@pytest.mark.proves("H6.8")
async def test_an_idle_connection_is_closed_at_the_limit(tmp_path: Path) -> None:
    async with running(tmp_path, ipc_idle_timeout=0.2) as world, raw(world) as client:
        assert (await client.ask("ping"))["success"]
        async with asyncio.timeout(LIMIT_S):
            assert await client.receive() is None
        assert world.service.status == "Running"


@pytest.mark.proves("H6.8")
async def test_a_stop_closes_every_connection_also_those_that_hang(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(running(tmp_path))
        clients = [await stack.enter_async_context(raw(world)) for _ in range(5)]
        assert (await clients[0].ask("ping"))["success"]
        clients[1].write(b"\x00\x00")
        clients[2].write(frame("ping")[:-1])
        clients[3].write(b"".join(frame("ping") for _ in range(5000)))  # It never reads an answer.
        loop = asyncio.get_running_loop()
        began = loop.time()
        await world.service.stop()
        assert loop.time() - began < LIMIT_S
        for client in clients:
            async with asyncio.timeout(LIMIT_S):
                while await client.receive() is not None:
                    pass
        assert not (tmp_path / "s").exists()


@pytest.mark.proves("H6.9")
async def test_a_second_service_does_not_take_over_a_live_socket(tmp_path: Path) -> None:
    async with running(tmp_path) as world, world.client() as client:
        second = make_world(tmp_path / "second", ipc_socket=str(tmp_path / "s"))
        with pytest.raises(StartError) as caught:
            await second.service.start()
        assert isinstance(caught.value.__cause__, IPCServerRunningError)
        await second.service.stop()
        assert await client.request("ping")
        async with world.client() as newcomer:
            assert await newcomer.request("get_status")


@pytest.mark.proves("H6.9")
async def test_a_late_answer_is_never_taken_for_the_next_ones(tmp_path: Path) -> None:
    disk = StuckDisk()
    async with running(tmp_path, disk=disk) as world, world.client() as client:
        connections, disk.is_stuck = client._connects, True
        with pytest.raises(IPCError, match="get_queue"):
            await client.request("get_queue", {"folder": "failed"}, timeout_s=0.2)
        disk.go_on.set()
        assert await client.request("ping") == {"pong": True, "authenticated": True}
        assert client._connects == connections + 1


async def connections_until_refused(path: Path, most: int, stack: AsyncExitStack) -> int:
    """Connect, and be answered once, until the service cannot accept any more; return how many were answered."""
    for count in range(most):
        reader, writer = await asyncio.open_unix_connection(path)
        stack.callback(writer.close)
        client = RawClient(reader, writer)
        try:
            async with asyncio.timeout(1.0):
                await client.receive()
                client.write_request("ping")
                if await client.receive() is None:
                    return count
        except (TimeoutError, ConnectionError):
            return count
    return most


async def accepted_or_refused(client: AsyncIPCClient) -> int:
    """Hand over one report and return 1 when it was accepted, or 0 when it was refused with the disk's own words."""
    try:
        await client.request("submit", {"report": contents().decode()})
    except IPCRemoteError as error:
        assert error.remote_code == "disk_error"  # noqa: PT017 - either end is right, and nothing between them
        return 0
    return 1


async def served_again(address: Path, secret: str) -> AsyncIPCClient:
    """Connect, again and again while the service still turns newcomers away, and return a client that is served."""
    client = AsyncIPCClient(UnixAddress(address), secret=secret, request_timeout_s=10)
    async with asyncio.timeout(10):
        while not client.is_connected:
            with contextlib.suppress(IPCError):
                await client.connect()
    return client


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux lets one process limit another")
@pytest.mark.proves("H6.10")
async def test_out_of_descriptors_the_service_lives_on_and_recovers(tmp_path: Path) -> None:
    config, address = tmp_path / "config.json", tmp_path / "s"
    config.write_text(json.dumps({**SETTINGS, "service_address": "", "ipc_socket": str(address)}))
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config"), "PYWATS_SERVER_URL": ""}
    path = os.pathsep.join([*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(SOURCE)]).strip(os.pathsep)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pywats_reliability", "run", "--data", str(tmp_path / "data"), "--config", str(config),
        env={**os.environ, **home, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20)
        secret = load_secret(secret_path("default", folder=tmp_path / ".config" / "pywats" / "secrets"))
        assert secret is not None
        async with AsyncIPCClient(UnixAddress(address), secret=secret, request_timeout_s=10) as early:
            used = max(int(name) for name in os.listdir(f"/proc/{process.pid}/fd")) + 1
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 6, hard))
            async with AsyncExitStack() as crowd:
                assert 0 < await connections_until_refused(address, 40, crowd) < 20
                assert await early.request("get_status")
                accepted = await accepted_or_refused(early)
                assert early._connects == 1, "a client that was there before lost its connection"
            async with await served_again(address, secret) as late:
                assert await late.request("submit", {"report": contents().decode()})
                said: Any = await late.request("get_status")
                assert (said["pending_count"], process.returncode) == (accepted + 1, None)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)
