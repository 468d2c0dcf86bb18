"""Servers, ports and unix sockets behave alike in the simulation and on the real loopback."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import stat
import struct
import sys

import pytest

from tests.sim.net.conftest import Place, Play
from tests.sim.net.serving import echo, listening, listening_on_path


class KeepingSocket(socket.socket):
    """A class of a program's own over sockets, made before any simulation."""

    accepted_count = 0

    def accept(self) -> tuple[socket.socket, object]:
        accepted, address = super().accept()
        self.accepted_count += 1
        return accepted, address


def test_a_port_that_is_taken_cannot_be_taken_again(play: Play) -> None:
    async def body(place: Place) -> None:
        async with listening(echo) as port:
            with pytest.raises(OSError, match="address already in use") as raised:
                await asyncio.start_server(echo, place.host, port)
            assert raised.value.errno == errno.EADDRINUSE

    play(body)


def test_a_port_can_be_taken_again_once_it_is_free(play: Play) -> None:
    async def body(place: Place) -> None:
        async with listening(echo) as port:
            pass
        server = await asyncio.start_server(echo, place.host, port)
        assert server.sockets[0].getsockname() == (place.host, port)
        server.close()
        await server.wait_closed()

    play(body)


def test_a_closed_server_refuses_and_keeps_its_connections(play: Play) -> None:
    async def body(place: Place) -> None:
        server = await asyncio.start_server(echo, place.host, 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(place.host, port)
        writer.write(b"1")
        await reader.readexactly(1)
        server.close()
        assert (server.sockets, server.is_serving()) == ((), False)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(place.host, port)
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)

    play(body)


def test_whether_a_closed_server_waits_for_its_connections_depends_on_the_version(play: Play) -> None:
    async def body(place: Place) -> None:
        server = await asyncio.start_server(echo, place.host, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"1")
        await reader.readexactly(1)
        server.close()
        async with asyncio.TaskGroup() as group:
            closed = group.create_task(server.wait_closed())
            await asyncio.sleep(0.05)
            assert closed.done() is (sys.version_info < (3, 12))
            writer.close()
        await asyncio.sleep(0.05)

    play(body)


def test_a_server_knows_the_loop_that_runs(play: Play) -> None:
    async def body(place: Place) -> None:
        async with await asyncio.start_server(echo, place.host, 0) as server:
            assert server.get_loop() is asyncio.get_running_loop()

    play(body)


def test_serving_forever_ends_with_its_cancellation(play: Play) -> None:
    async def body(place: Place) -> None:
        server = await asyncio.start_server(echo, place.host, 0, start_serving=False)
        assert not server.is_serving()
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve_forever())
            await asyncio.sleep(0)
            assert server.is_serving()
            serving.cancel()
        assert not server.is_serving()

    play(body)


def test_an_unaccepted_connection_can_be_written_to(play: Play) -> None:
    async def body(place: Place) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as server:
            server.bind((place.host, 0))
            server.listen(5)
            server.setblocking(False)
            _, writer = await asyncio.open_connection(*server.getsockname())
            writer.write(b"early")
            await asyncio.sleep(0.01)
            accepted, _ = await loop.sock_accept(server)
            accepted.setblocking(False)
            assert await loop.sock_recv(accepted, 10) == b"early"
            accepted.close()
            writer.close()

    play(body)


def test_a_full_backlog_lets_nobody_in_until_there_is_room(play: Play) -> None:
    async def body(place: Place) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as server:
            server.bind((place.host, 0))
            server.listen(1)
            server.setblocking(False)
            writers = [(await asyncio.open_connection(*server.getsockname()))[1] for _ in range(2)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asyncio.open_connection(*server.getsockname())
            for _ in range(2):
                (await loop.sock_accept(server))[0].close()
            writers.append((await asyncio.open_connection(*server.getsockname()))[1])
            for writer in writers:
                writer.transport.abort()

    play(body)


def test_a_socket_class_of_the_programs_own_is_a_socket(play: Play) -> None:
    async def body(place: Place) -> None:
        loop = asyncio.get_running_loop()
        with KeepingSocket(socket.AF_INET, socket.SOCK_STREAM) as server:
            assert isinstance(server, KeepingSocket)
            assert isinstance(server, socket.socket)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((place.host, 0))
            server.listen()
            server.setblocking(False)
            _, writer = await asyncio.open_connection(*server.getsockname())
            accepted, address = await loop.sock_accept(server)
            assert (server.accepted_count, address) == (1, writer.get_extra_info("sockname"))
            accepted.close()
            writer.close()
        assert server.fileno() == -1

    play(body)


def test_plain_sockets_serve_the_loops_own_methods(play: Play) -> None:
    async def body(place: Place) -> None:
        loop = asyncio.get_running_loop()
        async with listening(echo) as port:
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, (place.host, port))
                await loop.sock_sendall(client, b"x" * 1000)
                buffer, got = bytearray(1000), 0
                while got < 1000:
                    got += await loop.sock_recv_into(client, memoryview(buffer)[got:])
                assert bytes(buffer) == b"x" * 1000
                with pytest.raises(BlockingIOError):
                    client.recv(1)
                client.shutdown(socket.SHUT_WR)
                assert await loop.sock_recv(client, 1) == b""

    play(body)


def test_within_a_host_what_is_sent_is_there_at_once(play: Play) -> None:
    async def body(place: Place) -> None:
        with socket.socket() as server, socket.socket() as client:
            server.bind((place.host, 0))
            server.listen()
            server.setblocking(False)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, server.getsockname())
            accepted, _ = server.accept()
            accepted.setblocking(False)
            client.send(b"x")
            assert accepted.recv(1) == b"x"
            accepted.close()
            assert client.recv(1) == b""

    play(body)


def test_a_program_can_watch_a_socket_itself(play: Play) -> None:
    async def body(place: Place) -> None:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        async with listening(echo) as port:
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, (place.host, port))
                loop.add_reader(client.fileno(), readable.set)
                client.send(b"x")
                await readable.wait()
                assert loop.remove_reader(client.fileno())
                assert client.recv(10) == b"x"

    play(body)


def test_polling_tells_whether_something_has_come(play: Play) -> None:
    async def body(place: Place) -> None:
        def ready(connected: socket.socket) -> bool:
            poll = select.poll()
            poll.register(connected, select.POLLIN)
            return bool(poll.poll(0))

        async with listening(echo) as port:
            with socket.socket() as client:
                client.setblocking(False)
                await asyncio.get_running_loop().sock_connect(client, (place.host, port))
                before = ready(client), select.select([client], [client], [], 0)[:2]
                client.send(b"x")
                await asyncio.sleep(0.05)
                assert (before, ready(client)) == ((False, ([], [client])), True)
                assert client.recv(10, socket.MSG_PEEK) == client.recv(10) == b"x"

    play(body)


def test_an_accepted_socket_becomes_a_stream(play: Play) -> None:
    async def body(place: Place) -> None:
        with socket.socket() as server:
            server.bind((place.host, 0))
            server.listen()
            server.setblocking(False)
            _, out = await asyncio.open_connection(*server.getsockname())
            accepted, _ = await asyncio.get_running_loop().sock_accept(server)
            reader, writer = await asyncio.open_connection(sock=accepted)
            out.write(b"line\n")
            assert await reader.readline() == b"line\n"
            out.close()
            writer.close()

    play(body)


def test_a_unix_socket_is_a_file_and_a_stream(play: Play) -> None:
    async def body(place: Place) -> None:
        path = place.path()
        async with listening_on_path(echo, path):
            assert stat.S_ISSOCK(os.lstat(path).st_mode)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"hello")
            writer.write_eof()
            assert await reader.read() == b"hello"
            assert (writer.get_extra_info("peername"), writer.get_extra_info("sockname")) == (path, "")
            writer.close()

    play(body)


def test_without_a_socket_file_there_is_nobody(play: Play) -> None:
    async def body(place: Place) -> None:
        with pytest.raises(FileNotFoundError):
            await asyncio.open_unix_connection(place.path())

    play(body)


def test_a_socket_file_whose_server_has_gone_refuses(play: Play) -> None:
    async def body(place: Place) -> None:
        path = place.path()
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
        assert stat.S_ISSOCK(os.lstat(path).st_mode)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_unix_connection(path)

    play(body)


def test_a_file_of_another_kind_refuses(play: Play) -> None:
    async def body(place: Place) -> None:
        path = place.path()
        os.close(os.open(path, os.O_CREAT))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_unix_connection(path)

    play(body)


def test_a_bound_path_cannot_be_bound_again(play: Play) -> None:
    async def body(place: Place) -> None:
        with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
            one.bind(place.path())
            with pytest.raises(OSError, match="Address already in use"):
                other.bind(place.path())

    play(body)


def test_a_server_replaces_the_socket_file_of_a_dead_one(play: Play) -> None:
    async def body(place: Place) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(place.path())
        async with listening_on_path(echo, place.path()):
            reader, writer = await asyncio.open_unix_connection(place.path())
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()

    play(body)


def test_writing_to_a_unix_peer_that_has_closed_is_a_broken_pipe(play: Play) -> None:
    async def leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def body(place: Place) -> None:
        async with listening_on_path(leave, place.path()):
            reader, writer = await asyncio.open_unix_connection(place.path())
            assert await reader.read() == b""
            writer.write(b"x")
            writer.close()
            with pytest.raises(BrokenPipeError):
                await writer.wait_closed()

    play(body)


def test_a_unix_peer_that_leaves_something_unread_resets(play: Play) -> None:
    async def body(place: Place) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(place.path())
            server.listen()
            server.setblocking(False)
            client.setblocking(False)
            await loop.sock_connect(client, place.path())
            accepted, _ = await loop.sock_accept(server)
            client.send(b"unread")
            accepted.close()
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(client, 1)

    play(body)


def test_a_unix_peer_is_known_by_its_process_and_user(play: Play) -> None:
    async def body(place: Place) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(place.path())
            server.listen()
            server.setblocking(False)
            client.setblocking(False)
            await loop.sock_connect(client, place.path())
            accepted, _ = await loop.sock_accept(server)
            with accepted:
                told = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            assert struct.unpack("3i", told) == (os.getpid(), os.geteuid(), os.getegid())

    play(body)


def test_bytes_that_nobody_reads_fill_a_unix_socket_too(play: Play) -> None:
    async def body(place: Place) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(place.path())
            server.listen()
            server.setblocking(False)
            client.setblocking(False)
            await loop.sock_connect(client, place.path())
            accepted, _ = await loop.sock_accept(server)
            accepted.setblocking(False)
            sent = _fill(client)
            got = 0
            while got < sent:
                got += len(await loop.sock_recv(accepted, 1_000_000))
            assert client.send(b"room again") == 10
            accepted.close()

    play(body)


def _fill(client: socket.socket) -> int:
    """Send until nothing more is taken, and return how much was."""
    sent = 0
    try:
        while sent < 16 * 1024 * 1024:
            sent += client.send(bytes(65536))
    except BlockingIOError:
        return sent
    raise AssertionError("everything was taken, although nobody reads")
