"""The address is taken from nobody alive, replaced when its server was killed, and given back (H6.7, H6.9, H6.10)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import pytest

from pywats_reliability.errors import DiskError, IPCAddressError, IPCServerRunningError
from pywats_reliability.ipc import listener as listener_module
from pywats_reliability.ipc.address import TcpAddress, UnixAddress
from pywats_reliability.ipc.listener import listen
from pywats_reliability.ipc.messages import Hello
from pywats_reliability.ipc.server import AsyncIPCServer
from tests.service.ipc_world import connected, make_server
from tests.service.virtual_clock import in_virtual_time, now

BIND_AND_WAIT = """
import socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listening", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def killed_server(path: Path) -> Iterator[None]:
    """Leave behind what a server leaves that was killed."""
    child = subprocess.Popen(
        [sys.executable, "-c", BIND_AND_WAIT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"listening\n"
        child.send_signal(signal.SIGKILL)
    yield


@pytest.mark.proves("H6.7")
@in_virtual_time
async def test_the_socket_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        listener = await listen(UnixAddress(tmp_path / "run" / "s"))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "run" / "s", tmp_path / "run")]
    listener.close()
    assert modes == [0o600, 0o700]


@pytest.mark.proves("H6.9")
@in_virtual_time
async def test_a_second_server_does_not_take_over_a_live_socket(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server:
        with pytest.raises(IPCServerRunningError, match="found a live one"):
            await make_server(tmp_path).start()
        async with connected(server) as client:
            assert (await client.ask("echo"))["success"]


@in_virtual_time
async def test_a_live_server_that_is_too_busy_to_accept_is_respected_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(tmp_path / "s"))
        busy.listen(0)
        waiting.connect(str(tmp_path / "s"))
        with pytest.raises(IPCServerRunningError):
            await make_server(tmp_path).start()


@pytest.mark.proves("H6.9")
@in_virtual_time
async def test_a_socket_left_by_a_killed_server_is_replaced(tmp_path: Path) -> None:
    with killed_server(tmp_path / "s"):
        async with make_server(tmp_path).serving() as server, connected(server) as client:
            assert (await client.ask("echo"))["success"]


@in_virtual_time
async def test_of_servers_that_start_at_once_over_a_stale_socket_one_wins_and_works(tmp_path: Path) -> None:
    with killed_server(tmp_path / "s"):
        servers = [make_server(tmp_path) for _ in range(8)]
        outcomes = await asyncio.gather(*(server.start() for server in servers), return_exceptions=True)
        (winner,) = [server for server, outcome in zip(servers, outcomes, strict=True) if outcome is None]
        assert sum(isinstance(outcome, IPCServerRunningError) for outcome in outcomes) == 7
        async with asyncio.TaskGroup() as group:
            group.create_task(winner.run(lambda: None))
            async with connected(winner) as client:
                assert (await client.ask("echo"))["success"]
            await winner.close()


@in_virtual_time
async def test_an_address_that_another_process_is_taking_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    with filelock.FileLock(tmp_path / "s.lock"):
        started = now()
        with pytest.raises(IPCServerRunningError, match="being taken by another process"):
            await make_server(tmp_path).start()
        assert now() - started == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, os.mkfifo], ids=["file", "folder", "fifo"])
@in_virtual_time
async def test_a_file_of_another_kind_in_its_place_stays(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "s")
    with pytest.raises(IPCAddressError, match="found a file of another kind, which stays"):
        await make_server(tmp_path).start()
    assert (tmp_path / "s").exists()


@in_virtual_time
async def test_closing_removes_the_socket(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    await server.start()
    await server.close()
    assert not (tmp_path / "s").exists()


@in_virtual_time
async def test_closing_leaves_a_socket_that_another_has_put_there(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    await server.start()
    (tmp_path / "s").unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        await server.close()
        assert (tmp_path / "s").exists()


@in_virtual_time
async def test_a_socket_that_cannot_be_removed_does_not_stop_the_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, f"Read-only file system {missing_ok}")

    server = make_server(tmp_path)
    await server.start()
    monkeypatch.setattr(Path, "unlink", refuse)
    await server.close()
    assert "could not remove the socket" in caplog.text


@in_virtual_time
async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="could not prepare the folder of"):
        await listen(UnixAddress(tmp_path / "file" / "s"))


@in_virtual_time
async def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    os.chown(tmp_path, 12345, -1) if owner == 0 else monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(IPCAddressError, match="expected a folder of this user's, found one of user"):
        await make_server(tmp_path).start()


@in_virtual_time
async def test_a_failed_start_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(DiskError, match="could not listen on"):
        await make_server(tmp_path).start()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.proves("H6.7")
@in_virtual_time
async def test_tcp_listens_on_loopback_only_and_says_on_which_port() -> None:
    handlers: Mapping[str, Any] = {}
    server = AsyncIPCServer(TcpAddress(0), handlers=handlers, secret=None, hello=Hello("1.0", "test"))
    async with server.serving(), connected(server) as client:
        assert isinstance(server.address, TcpAddress)
        assert client.writer.get_extra_info("peername") == ("127.0.0.1", server.address.port)
        with pytest.raises(IPCServerRunningError):
            await listen(server.address)


@in_virtual_time
async def test_a_connection_that_came_while_accepting_was_cancelled_is_the_next_one_accepted(tmp_path: Path) -> None:
    listener = await listen(UnixAddress(tmp_path / "s"))
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        accepting = group.create_task(listener.accept())
        await asyncio.sleep(0)
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(tmp_path / "s"))
        # The reader fires in the next round and the cancellation comes right behind it, before the task wakes.
        loop.call_soon(lambda: loop.call_soon(accepting.cancel))
        await asyncio.wait({accepting})
    async with asyncio.timeout(5):
        accepted = accepting.result() if not accepting.cancelled() else await listener.accept()
    was_cancelled = accepting.cancelled()
    accepted.close()
    client.close()
    listener.close()
    assert was_cancelled


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[socket.socket]:
    """Give the last socket that the process may have for now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as last:
        last.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, hard))
        try:
            yield last
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.proves("H6.10")
@in_virtual_time
async def test_out_of_descriptors_the_server_serves_on_says_so_once_and_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as early:
        await early.ask("echo")
        with no_descriptor_left() as last:
            last.connect(str(tmp_path / "s"))
            await asyncio.sleep(20)
            assert (await early.ask("echo"))["success"]
            assert server.counts.connections_total == 1
            late = socket.socket(fileno=last.detach())
        late.setblocking(False)
        healed_at = now()
        with late:
            assert b"protocol_version" in await asyncio.get_running_loop().sock_recv(late, 1000)
        assert now() - healed_at <= 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "IPC cannot accept clients for now: Too many open files; raise the limit of open files"
    ]


@in_virtual_time
async def test_out_of_descriptors_a_hung_client_gives_up_its_own_for_a_newcomer(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server) as early, connected(server) as hung:
        await early.ask("echo")
        with no_descriptor_left() as last:
            last.connect(str(tmp_path / "s"))
            assert b"protocol_version" in await asyncio.get_running_loop().sock_recv(last, 1000)
            assert (await hung.receive(), now()) == (None, 1000)
            assert (await early.ask("echo"))["success"]


@pytest.mark.proves("H6.10")
@in_virtual_time
async def test_out_of_descriptors_nobody_has_to_go_while_nobody_comes(tmp_path: Path) -> None:
    async with make_server(tmp_path).serving() as server, connected(server):
        with no_descriptor_left():
            await asyncio.sleep(25)
            assert (server.counts.connections_open, server.counts.connections_evicted) == (1, 0)


@in_virtual_time
async def test_the_listener_says_what_it_is(tmp_path: Path) -> None:
    listener = await listener_module.listen(UnixAddress(tmp_path / "s"))
    open_repr = repr(listener)
    listener.close()
    assert (open_repr, repr(listener)) == (f"Listener({tmp_path}/s, listening)", f"Listener({tmp_path}/s, closed)")


@pytest.mark.proves("H2.4")
@pytest.mark.asyncio
async def test_a_socket_that_cannot_be_made_private_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, _: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    path = tmp_path / "s"
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(DiskError):
        await listen(UnixAddress(path))
    assert not path.exists()
