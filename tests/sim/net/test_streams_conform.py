"""Streams behave alike in the simulation and on the real loopback: every fact here holds in both."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import socket
import struct

import pytest

from tests.sim.net.conftest import Place, Play
from tests.sim.net.serving import echo, listening, never_read

RESET_AT_ONCE = struct.pack("ii", 1, 0)
MUCH = 16 * 1024 * 1024


def test_what_is_sent_comes_back(play: Play) -> None:
    async def body(place: Place) -> None:
        async with listening(echo) as port:
            reader, writer = await asyncio.open_connection(place.host, port)
            writer.write(b"hello")
            writer.write_eof()
            assert await reader.read() == b"hello"
            writer.close()
            await writer.wait_closed()

    play(body)


def test_megabytes_both_ways_arrive_unharmed(play: Play) -> None:
    async def body(place: Place) -> None:
        data = os.urandom(3_000_000)
        async with listening(echo) as port:
            reader, writer = await asyncio.open_connection(place.host, port)

            async def send() -> None:
                writer.write(data)
                await writer.drain()
                writer.write_eof()

            async with asyncio.TaskGroup() as group:
                group.create_task(send())
                came = group.create_task(reader.read())
            assert hashlib.sha256(came.result()).digest() == hashlib.sha256(data).digest()
            writer.close()
            await writer.wait_closed()

    play(body)


def test_an_ended_stream_can_still_be_answered(play: Play) -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%d" % len(await reader.read()))
        await writer.drain()

    async def body(place: Place) -> None:
        async with listening(count) as port:
            reader, writer = await asyncio.open_connection(place.host, port)
            writer.write(b"x" * 1000)
            writer.write_eof()
            assert await reader.read(4) == b"1000"
            writer.close()

    play(body)


def test_a_peer_that_never_reads_stops_its_sender(play: Play) -> None:
    async def body(place: Place) -> None:
        async with listening(never_read) as port:
            _, writer = await asyncio.open_connection(place.host, port)
            writer.write(bytes(MUCH))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await writer.drain()
            assert 0 < writer.transport.get_write_buffer_size() < MUCH
            writer.transport.abort()

    play(body)


def test_a_sender_goes_on_when_its_peer_reads_again(play: Play) -> None:
    read_again = asyncio.Event()

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await read_again.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        writer.write(b"%d" % len(await reader.read()))
        await writer.drain()

    async def body(place: Place) -> None:
        async with listening(read_late, limit=MUCH) as port:
            reader, writer = await asyncio.open_connection(place.host, port)
            writer.write(bytes(MUCH))
            assert writer.transport.get_write_buffer_size() > 0
            read_again.set()
            await writer.drain()
            writer.write_eof()
            assert await reader.read(20) == b"%d" % MUCH
            writer.close()

    play(body)


def test_a_reset_is_told_to_whoever_reads(play: Play) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
        writer.transport.abort()

    async def body(place: Place) -> None:
        async with listening(reset) as port:
            reader, writer = await asyncio.open_connection(place.host, port)
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            with pytest.raises(ConnectionResetError):
                await writer.wait_closed()

    play(body)


def test_closing_with_bytes_unread_resets(play: Play) -> None:
    async def body(place: Place) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as server, socket.socket() as client:
            server.bind((place.host, 0))
            server.listen()
            for one in (server, client):
                one.setblocking(False)
            await loop.sock_connect(client, server.getsockname())
            accepted, _ = await loop.sock_accept(server)
            accepted.setblocking(False)
            await loop.sock_sendall(client, b"12")
            assert await loop.sock_recv(accepted, 1) == b"1"
            accepted.close()
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(client, 1)

    play(body)


def test_what_arrived_before_a_reset_can_be_read(play: Play) -> None:
    async def send_and_reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words")
        await asyncio.sleep(0.1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)

    async def body(place: Place) -> None:
        async with listening(send_and_reset) as port:
            loop = asyncio.get_running_loop()
            client = socket.socket()
            client.setblocking(False)
            await loop.sock_connect(client, (place.host, port))
            await asyncio.sleep(0.3)
            assert await loop.sock_recv(client, 100) == b"last words"
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(client, 100)
            assert await loop.sock_recv(client, 100) == b""
            client.close()

    play(body)


def test_writing_to_a_peer_that_has_closed_fails_in_the_end(play: Play) -> None:
    async def leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def body(place: Place) -> None:
        async with listening(leave) as port:
            reader, writer = await asyncio.open_connection(place.host, port)
            assert await reader.read() == b""

            async def write_on() -> None:
                for _ in range(100):
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.01)

            with pytest.raises(ConnectionError):
                await write_on()
            writer.close()

    play(body)


def test_nobody_listening_refuses(play: Play) -> None:
    async def body(place: Place) -> None:
        port = place.free_port()
        with pytest.raises(ConnectionRefusedError, match="Connect call failed") as raised:
            await asyncio.open_connection(place.host, port)
        assert raised.value.errno == errno.ECONNREFUSED

    play(body)


def test_a_name_that_nobody_knows_is_an_error_of_its_own(play: Play) -> None:
    async def body(_place: Place) -> None:
        with pytest.raises(socket.gaierror):
            await asyncio.open_connection("no-such-host.invalid", 80)

    play(body)


def test_a_closed_transport_is_told_once_and_has_no_descriptor(play: Play) -> None:
    async def body(place: Place) -> None:
        lost: list[Exception | None] = []

        class Told(asyncio.Protocol):
            def connection_lost(self, exc: Exception | None) -> None:
                lost.append(exc)

        async with listening(echo) as port:
            transport, _ = await asyncio.get_running_loop().create_connection(Told, place.host, port)
            connected = transport.get_extra_info("socket")
            assert connected.fileno() >= 0
            transport.close()
            assert transport.is_closing()
            transport.close()
            transport.abort()
            await asyncio.sleep(0.01)
            assert (lost, connected.fileno()) == ([None], -1)

    play(body)


def test_a_protocol_may_keep_the_connection_after_the_peers_end(play: Play) -> None:
    async def body(place: Place) -> None:
        ended, received = asyncio.Event(), bytearray()

        class Keeps(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                received.extend(data)

            def eof_received(self) -> bool:
                ended.set()
                return True

        async def end_then_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"bye")
            writer.write_eof()
            writer.get_extra_info("peername")
            assert await reader.read() == b"still here"

        async with listening(end_then_listen) as port:
            transport, _ = await asyncio.get_running_loop().create_connection(Keeps, place.host, port)
            await ended.wait()
            assert not transport.is_closing()
            transport.write(b"still here")
            transport.close()
            assert bytes(received) == b"bye"

    play(body)


def test_a_buffered_protocol_gets_its_bytes_in_its_own_buffer(play: Play) -> None:
    async def body(place: Place) -> None:
        received, complete = bytearray(), asyncio.Event()

        class Buffered(asyncio.BufferedProtocol):
            def __init__(self) -> None:
                self.buffer = bytearray(7)

            def get_buffer(self, sizehint: int) -> bytearray:
                del sizehint
                return self.buffer

            def buffer_updated(self, nbytes: int) -> None:
                received.extend(self.buffer[:nbytes])
                if len(received) == 100:
                    complete.set()

        async with listening(echo) as port:
            transport, _ = await asyncio.get_running_loop().create_connection(Buffered, place.host, port)
            transport.write(bytes(range(100)))
            await complete.wait()
            assert bytes(received) == bytes(range(100))
            transport.close()

    play(body)


def test_a_high_water_mark_of_zero_pauses_the_writer_at_the_first_byte_held_back(play: Play) -> None:
    async def body(place: Place) -> None:
        calls: list[str] = []

        class Watching(asyncio.Protocol):
            def pause_writing(self) -> None:
                calls.append("pause")

            def resume_writing(self) -> None:
                calls.append("resume")

        async with listening(echo) as port:
            transport, _ = await asyncio.get_running_loop().create_connection(Watching, place.host, port)
            transport.set_write_buffer_limits(high=0)
            transport.write(b"fits")
            assert calls == []
            transport.write(bytes(MUCH))
            assert calls == ["pause"]
            transport.abort()
            assert transport.get_write_buffer_size() == 0

    play(body)


def test_nothing_comes_while_reading_is_paused(play: Play) -> None:
    async def body(place: Place) -> None:
        async with listening(echo) as port:
            reader, writer = await asyncio.open_connection(place.host, port)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"x")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(1)
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert await reader.read(1) == b"x"
            writer.close()

    play(body)


def test_both_ends_know_each_other_by_the_same_names(play: Play) -> None:
    async def body(place: Place) -> None:
        seen: list[object] = []

        async def look(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.extend((writer.get_extra_info("peername"), writer.get_extra_info("sockname")))

        async with listening(look) as port:
            reader, writer = await asyncio.open_connection(place.host, port)
            await reader.read()
            assert seen == [writer.get_extra_info("sockname"), writer.get_extra_info("peername")]
            assert seen[1] == (place.host, port)
            writer.close()

    play(body)


def test_a_connection_given_up_half_way_leaves_no_socket(play: Play) -> None:
    async def body(place: Place) -> None:
        async with listening(echo) as port:
            async with asyncio.TaskGroup() as group:
                attempt = group.create_task(asyncio.open_connection(place.host, port))
                await asyncio.sleep(0)
                attempt.cancel()
            assert attempt.cancelled()

    play(body)


def test_fifty_clients_get_their_own_answers(play: Play) -> None:
    async def body(place: Place) -> None:
        async def ask(port: int, number: int) -> bytes:
            reader, writer = await asyncio.open_connection(place.host, port)
            writer.write(b"%d" % number)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

        async with listening(echo) as port:
            answers = await asyncio.gather(*(ask(port, number) for number in range(50)))
        assert answers == [b"%d" % number for number in range(50)]

    play(body)


def test_a_file_is_sent_by_copying_where_the_system_cannot(play: Play) -> None:
    async def body(place: Place) -> None:
        content = os.urandom(20_000)  # More than fits shows a bug of CPython in copying: a pause that nobody ends.
        file = place.folder / "file"
        file.write_bytes(content)
        async with listening(echo) as port:
            reader, writer = await asyncio.open_connection(place.host, port)
            with file.open("rb") as opened:
                sent = await asyncio.get_running_loop().sendfile(writer.transport, opened)
            assert (sent, await reader.readexactly(len(content))) == (len(content), content)
            writer.close()

    play(body)


def test_writing_after_the_own_end_is_a_bug_that_is_named(play: Play) -> None:
    async def body(place: Place) -> None:
        async with listening(echo) as port:
            _, writer = await asyncio.open_connection(place.host, port)
            writer.write_eof()
            with pytest.raises(RuntimeError, match="Cannot call write"):
                writer.write(b"x")
            writer.close()

    play(body)
