"""What each fault of the network does, and when, to the nanosecond; one way takes half a millisecond here."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chaos.errors import UsageError
from chaos.rules.link import LinkConditions
from chaos.sim import Script
from tests.sim.net.net_world import NetWorld
from tests.sim.net.serving import Handler, echo, never_read

ONE_WAY = 0.0005
ROUND_TRIP = 2 * ONE_WAY
OPENED: list[asyncio.StreamWriter] = []
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def now() -> float:
    return round(asyncio.get_running_loop().time(), 9)


def serve(world: NetWorld, handler: Handler = echo, *, port: int = 80) -> None:
    """Let a process ``server`` serve on a host of that name."""

    async def main() -> None:
        server = await asyncio.start_server(handler, "", port)
        await server.serve_forever()

    world.start("server", main)
    world.network.host("client")


async def connect() -> Streams:
    reader, writer = await asyncio.open_connection("server", 80)
    OPENED.append(writer)
    return reader, writer


def run(world: NetWorld, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a client that closes in the end what it has opened."""

    async def closing() -> Any:
        try:
            return await main()
        finally:
            for writer in OPENED:
                writer.transport.abort()
            OPENED.clear()

    return world.run(closing)


async def asked(streams: Streams, data: bytes = b"x") -> bytes:
    streams[1].write(data)
    return await streams[0].readexactly(len(data))


def test_without_a_fault_a_question_takes_one_round_trip_and_connecting_too() -> None:
    async def main() -> list[float]:
        streams = await connect()
        connected = now()
        await asked(streams)
        return [connected, now()]

    with NetWorld() as world:
        serve(world)
        assert run(world, main) == [ROUND_TRIP, 2 * ROUND_TRIP]


def test_a_delay_is_added_to_each_way() -> None:
    async def main() -> float:
        await asked(await connect())
        return now()

    with NetWorld() as world:
        serve(world)
        with world.faults.delay("client", "server", by_s=0.25):
            assert run(world, main) == 4 * (ONE_WAY + 0.25)


def test_a_delay_in_one_direction_leaves_the_other_alone() -> None:
    async def main() -> float:
        await asked(await connect())
        return now()

    with NetWorld() as world:
        serve(world)
        with world.faults.delay("client", "server", by_s=0.25, one_way=True):
            assert run(world, main) == 4 * ONE_WAY + 2 * 0.25


def test_jitter_is_drawn_from_the_seed_and_keeps_the_order() -> None:
    async def main() -> float:
        streams = await connect()
        data = bytes(range(250))
        for byte in data:
            streams[1].write(bytes([byte]))
        assert await streams[0].readexactly(250) == data
        return now()

    def took(seed: int) -> float:
        with NetWorld(seed) as world:
            serve(world)
            with world.faults.delay("client", "server", by_s=0, jitter_s=1):
                return float(run(world, main))

    assert took(1) == took(1) != took(2)


def test_a_line_carries_only_so_many_bytes_a_second() -> None:
    async def main() -> float:
        reader, writer = await connect()
        start = now()
        writer.write(bytes(5000))
        await reader.readexactly(5000)
        return round(now() - start, 9)

    with NetWorld() as world:
        serve(world)
        with world.faults.bandwidth("client", "server", bytes_per_s=1000, one_way=True):
            assert run(world, main) == 5 + ROUND_TRIP


def test_connections_share_a_line() -> None:
    async def ask() -> float:
        reader, writer = await connect()
        writer.write(bytes(2500))
        await reader.readexactly(2500)
        return now()

    async def main() -> list[float]:
        return list(await asyncio.gather(ask(), ask()))

    with NetWorld() as world:
        serve(world)
        with world.faults.bandwidth("client", "server", bytes_per_s=1000, one_way=True):
            assert run(world, main) == [4.802, 5.002]  # Whoever came first has the first two pieces.


def test_a_line_that_gets_faster_carries_the_rest_faster() -> None:
    async def main() -> float:
        reader, writer = await connect()
        writer.write(bytes(5000))
        await reader.readexactly(5000)
        return now()

    with NetWorld() as world:
        serve(world)
        world.faults.bandwidth("client", "server", bytes_per_s=1000, one_way=True).at(0, for_s=1)
        assert run(world, main) == 1.002  # The piece that was on the line at 1.001 s keeps its pace.


def test_a_dripping_line_gives_byte_by_byte() -> None:
    async def main() -> list[tuple[bytes, float]]:
        reader, writer = await connect()
        start = now()
        writer.write(b"abc")
        return [(await reader.read(100), round(now() - start, 9)) for _ in range(3)]

    with NetWorld() as world:
        serve(world)
        with world.faults.drip("client", "server", every_s=2, one_way=True):
            assert run(world, main) == [(b"a", 2 + ROUND_TRIP), (b"b", 4 + ROUND_TRIP), (b"c", 6 + ROUND_TRIP)]


def test_calm_streams_of_numbers_give_the_friendliest_network() -> None:
    async def main() -> tuple[int, float]:
        reader, writer = await connect()
        writer.write(bytes(1000))
        return len(await reader.read(1000)), now()

    with NetWorld(script=Script(calmed=("net",))) as world:
        serve(world)
        world.faults.slices("client", "server", largest_bytes=1000).begin()
        world.faults.loss("client", "server", probability=0.9).begin()
        world.faults.delay("client", "server", by_s=0, jitter_s=1).begin()
        assert run(world, main) == (1000, 2 * ROUND_TRIP)


def test_sliced_streams_come_in_pieces_and_whole() -> None:
    data = bytes(range(256)) * 4

    async def main() -> list[int]:
        reader, writer = await connect()
        writer.write(data)
        pieces: list[bytes] = []
        while sum(map(len, pieces)) < len(data):
            pieces.append(await reader.read(len(data)))
        assert b"".join(pieces) == data
        return [len(piece) for piece in pieces]

    def pieces(seed: int) -> list[int]:
        with NetWorld(seed) as world:
            serve(world)
            with (
                world.faults.slices("client", "server", largest_bytes=100),
                world.faults.drip("client", "server", every_s=1, piece_bytes=100),
            ):
                return list(run(world, main))

    assert pieces(1) == pieces(1) != pieces(2)
    assert max(pieces(1)) <= 100


def test_what_is_lost_comes_later() -> None:
    async def main() -> float:
        streams = await connect()
        with_loss = now()
        await asked(streams)
        return round(now() - with_loss, 9)

    with NetWorld() as world:
        serve(world)
        with world.faults.loss("client", "server", probability=1, one_way=True) as fault:
            assert run(world, main) == 12.601
            assert (
                fault.fired == 18
            )  # Six times each: for the piece that opens, the one with the byte, the one that ends.


def test_what_a_partition_held_back_is_sent_again_after_it() -> None:
    async def main() -> float:
        streams = await connect()
        await asyncio.sleep(1 - now())
        await asked(streams)
        return now()

    with NetWorld() as world:
        serve(world)
        world.faults.partition("client", "server").at(0.5, for_s=1.5)
        assert run(world, main) == 2.401  # Tried again after 0.2, 0.6 and 1.4 s.


def test_what_overtakes_a_lost_piece_waits_for_it() -> None:
    arrivals: list[tuple[bytes, float]] = []

    async def hear(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            arrivals.append((data, now()))

    async def main() -> None:
        _, writer = await connect()
        for when, data in ((3, b"first"), (3.3, b"second")):
            await asyncio.sleep(when - now())
            writer.write(data)
        await asyncio.sleep(10)

    with NetWorld() as world:
        serve(world, hear)
        world.faults.delay("client", "server", by_s=0.9995).begin()
        world.faults.partition("client", "server").at(3.9, for_s=0.25)
        run(world, main)
        assert arrivals == [(b"firstsecond", 5.2)]  # The second came at 4.3, the first again at 4 + 0.2 + 1.


def test_whoever_connects_during_a_partition_gets_through_with_a_later_attempt() -> None:
    async def main() -> float:
        await connect()
        return now()

    with NetWorld() as world:
        serve(world)
        world.faults.partition("client", "server").at(0, for_s=2)
        assert run(world, main) == 3 + ROUND_TRIP


def test_connecting_through_a_partition_ends_after_127_seconds() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError, match="Connect call failed") as raised:
            await connect()
        assert raised.value.errno == errno.ETIMEDOUT
        return now()

    with NetWorld() as world:
        serve(world)
        with world.faults.partition("client", "server"):
            assert run(world, main) == 127


def test_a_connection_through_a_partition_ends_after_a_quarter_of_an_hour() -> None:
    async def main() -> float:
        streams = await connect()
        await asyncio.sleep(1 - now())
        with pytest.raises(TimeoutError) as raised:
            await asked(streams)
        assert raised.value.errno == errno.ETIMEDOUT
        return now()

    with NetWorld() as world:
        serve(world)
        world.faults.partition("client", "server").at(0.5)
        assert run(world, main) == 1 + 924.6


def test_an_idle_connection_does_not_notice_a_partition() -> None:
    async def main() -> bytes:
        streams = await connect()
        await asyncio.sleep(7200)
        return await asked(streams)

    with NetWorld() as world:
        serve(world)
        with world.faults.partition("client", "server").at(1, for_s=3600) as fault:
            del fault
        assert run(world, main) == b"x"
        assert world.reports == []


def test_through_a_one_way_partition_one_side_is_heard() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        writer.write(b"hello")
        await reader.read()

    async def main() -> float:
        reader, writer = await connect()
        await asyncio.sleep(0.9)
        writer.write(b"x")
        assert await reader.readexactly(5) == b"hello"
        return now()

    with NetWorld() as world:
        serve(world, talk)
        world.faults.partition("client", "server", one_way=True).at(0.5)
        assert run(world, main) == 1 + 4 * ONE_WAY


def test_a_sender_whose_acknowledgements_are_lost_is_heard_and_times_out() -> None:
    heard: list[tuple[bytes, float]] = []

    async def hear(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.read(100), now()))
        await asyncio.sleep(5000)

    async def main() -> float:
        reader, writer = await connect()
        await asyncio.sleep(1 - now())
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            await reader.read()
        return now()

    with NetWorld() as world:
        serve(world, hear)
        world.faults.partition("server", "client", one_way=True).at(0.5)
        assert (run(world, main), heard) == (1 + ONE_WAY + 924.6, [(b"x", 1 + ONE_WAY)])


def test_a_black_hole_takes_everything_and_gives_nothing() -> None:
    async def main() -> bool:
        reader, writer = await connect()
        for _ in range(100):
            writer.write(bytes(100_000))
            await writer.drain()
        try:
            async with asyncio.timeout(3600):
                await reader.read(1)
        except TimeoutError:
            return True
        return False

    with NetWorld() as world:
        serve(world)
        with world.faults.black_hole("client", "server") as fault:
            assert run(world, main) is True
            assert fault.fired


def test_a_connection_that_has_lost_bytes_stays_deaf_and_a_new_one_does_not() -> None:
    async def main() -> bytes:
        old = await connect()
        await asyncio.sleep(1)
        old[1].write(b"lost")
        await asyncio.sleep(2)
        old[1].write(bytes(1_000_000))
        await old[1].drain()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await asked(old)
        return await asked(await connect())

    with NetWorld() as world:
        serve(world)
        world.faults.black_hole("client", "server").at(0.5, for_s=2)
        assert run(world, main) == b"x"


def test_a_peer_that_does_not_read_stops_its_sender_after_both_buffers() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("server", 80))
            sent = 0
            try:
                async with asyncio.timeout(60):
                    while True:
                        await loop.sock_sendall(client, bytes(1024))
                        sent += 1024
            except TimeoutError:
                return sent

    with NetWorld() as world:
        serve(world)
        with world.faults.unread("client", "server") as fault:
            assert run(world, main) == 2 * 64 * 1024
        assert fault.fired


def test_a_sender_goes_on_when_its_peer_reads_again() -> None:
    async def main() -> float:
        reader, writer = await connect()
        writer.write(bytes(1_000_000))
        await asyncio.sleep(0.5)
        assert writer.transport.get_write_buffer_size() > 800_000
        assert len(await reader.readexactly(1_000_000)) == 1_000_000
        return now()

    with NetWorld() as world:
        serve(world)
        world.faults.unread("client", "server").at(0, for_s=10)
        assert 10 < run(world, main) < 10.1


def test_a_refused_connection_is_refused_although_somebody_listens() -> None:
    async def main() -> bytes:
        with pytest.raises(ConnectionRefusedError):
            await connect()
        await asyncio.sleep(1)
        return await asked(await connect())

    with NetWorld() as world:
        serve(world)
        world.faults.refuse("client", "server").at(0, for_s=1)
        assert run(world, main) == b"x"


@pytest.mark.parametrize(("how", "ending"), [("rst", ConnectionResetError), ("fin", None)])
def test_a_connection_ends_after_so_many_bytes(how: str, ending: type[Exception] | None) -> None:
    async def much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(10_000))
        await reader.read()

    async def main() -> tuple[int, type[Exception] | None]:
        loop, got = asyncio.get_running_loop(), 0
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("server", 80))
            try:
                while data := await loop.sock_recv(client, 100_000):
                    got += len(data)
            except OSError as error:
                return got, type(error)
        return got, None

    with NetWorld() as world:
        serve(world, much)
        with world.faults.end_after("server", "client", count_bytes=1234, how=how):  # type: ignore[arg-type]
            assert run(world, main) == (1234, ending)


def test_a_reset_hits_both_ends_at_once() -> None:
    ends: list[tuple[str, float]] = []

    async def hear(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionResetError:
            ends.append(("server", now()))

    async def main() -> None:
        reader, _ = await connect()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        ends.append(("client", now()))
        await asyncio.sleep(1)

    with NetWorld() as world:
        serve(world, hear)
        fault = world.faults.reset("client", "server").at(5)
        run(world, main)
        assert (sorted(ends), fault.fired) == ([("client", 5), ("server", 5)], 1)


def test_a_name_that_cannot_be_resolved_says_so_and_others_can() -> None:
    async def main() -> int:
        with pytest.raises(socket.gaierror) as raised:
            await connect()
        await asyncio.get_running_loop().getaddrinfo("client", 1)
        await asyncio.sleep(60)
        await connect()
        return raised.value.errno or 0

    with NetWorld() as world:
        serve(world)
        fault = world.faults.names("server").at(0, for_s=60)
        assert (run(world, main), fault.fired) == (socket.EAI_AGAIN, 1)


def test_asking_for_a_name_takes_its_time() -> None:
    async def main() -> float:
        await connect()
        return now()

    with NetWorld() as world:
        serve(world)
        world.network.resolving_ns = 2_000_000_000
        assert run(world, main) == 2 + ROUND_TRIP


def test_a_line_can_be_long_without_any_fault() -> None:
    async def main() -> float:
        await connect()
        return now()

    with NetWorld() as world:
        serve(world)
        world.network.line("client", "server").behave(LinkConditions(latency_ns=300_000_000))
        assert run(world, main) == 0.3 + ONE_WAY


def test_slices_reach_unix_sockets() -> None:
    async def main() -> list[bytes]:
        server = await asyncio.start_unix_server(echo, "/s")
        reader, writer = await asyncio.open_unix_connection("/s")
        writer.write(b"abc")
        got = [await reader.read(10) for _ in range(3)]
        writer.close()
        server.close()
        return got

    with NetWorld() as world:
        world.network.host("client")
        with world.faults.drip("client", "client:unix", every_s=1) as fault:
            assert run(world, main) == [b"a", b"b", b"c"]
            assert fault.fired


def test_a_fault_that_cannot_be_is_an_error() -> None:
    with NetWorld() as world:
        world.network.host("client")
        with pytest.raises(UsageError, match="one of the hosts client"):
            world.faults.partition("client", "servre")
        with pytest.raises(UsageError, match="unix sockets"):
            world.faults.partition("client", "client:unix")


def test_a_fault_is_told_of_when_it_fires_and_when_it_is_undone() -> None:
    async def main() -> None:
        streams = await connect()
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asked(streams)
        await asyncio.sleep(60)

    with NetWorld() as world:
        serve(world)
        world.faults.partition("client", "server").at(0.5, for_s=10)
        run(world, main)
        facts = {"a": "client", "b": "server"}
        assert world.reports == [
            ("network.partition", True, facts),
            ("network.partition", False, {**facts, "times": world.reports[1][2]["times"]}),
        ]


def test_a_fault_that_meets_nobody_is_not_told_of() -> None:
    async def main() -> None:
        await asyncio.sleep(10)

    with NetWorld() as world:
        serve(world, never_read)
        fault = world.faults.partition("client", "server").at(1, for_s=5)
        run(world, main)
        assert (world.reports, fault.fired) == ([], 0)
