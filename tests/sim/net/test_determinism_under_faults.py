"""Whatever the network does to a stream, what arrives is a beginning of what was sent, and a seed tells one story."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable

import pytest

from chaos.sim.net import NetworkFault
from chaos.sim.process import SimProcess
from tests.sim.net.net_world import Main, NetWorld
from tests.sim.net.serving import echo, listening

CLIENTS = 6
BYTES = 15_000


def plan_faults(world: NetWorld, draw: random.Random) -> None:
    """Plan five faults at random times between 0 and 30 s, for at most 30 s each."""
    faults = world.faults
    makers: list[Callable[[], NetworkFault]] = [
        lambda: faults.delay("client", "server", by_s=draw.random(), jitter_s=draw.random()),
        lambda: faults.bandwidth("client", "server", bytes_per_s=draw.randrange(1000, 100_000)),
        lambda: faults.drip("server", "client", every_s=0.01, piece_bytes=draw.randrange(100, 500), one_way=True),
        lambda: faults.slices("client", "server", largest_bytes=draw.randrange(200, 5000)),
        lambda: faults.loss("client", "server", probability=draw.random()),
        lambda: faults.partition("client", "server", one_way=draw.random() < 0.5),
        lambda: faults.unread("client", "server"),
        lambda: faults.refuse("client", "server"),
        lambda: faults.black_hole("client", "server", one_way=draw.random() < 0.5),
        lambda: faults.end_after("server", "client", count_bytes=draw.randrange(1, BYTES)),
        lambda: faults.reset("client", "server"),
        lambda: faults.names("server"),
    ]
    for make in draw.sample(makers, 5):
        make().at(draw.random() * 30, for_s=draw.random() * 30)


def plan_a_death(world: NetWorld, server: SimProcess, serve: Main, draw: random.Random) -> None:
    """Kill the server, or its machine, at a random time, and start it again up to 10 s later."""
    at_s, power_lost = draw.random() * 40, draw.random() < 0.5
    world.kernel.at(round(at_s * 1e9), lambda: server.kill(power_lost=power_lost))
    world.kernel.at(round((at_s + draw.random() * 10) * 1e9), lambda: world.start("server", serve))


async def one_client(number: int, sent: bytes) -> bytes:
    """Send everything, read what comes back, give up after two minutes; return what came."""
    came = bytearray()
    await asyncio.sleep(number * 5)
    with contextlib.suppress(OSError):
        async with asyncio.timeout(120):
            reader, writer = await asyncio.open_connection("server", 80)
            try:
                writer.write(sent)
                writer.write_eof()
                while data := await reader.read(10_000):
                    came += data
            finally:
                writer.transport.abort()
    return bytes(came)


def story(seed: int, policy: str) -> tuple[int, list[tuple[str, bool]], int]:
    """Return the digest of a run, its faults, and how many bytes came back."""
    draw = random.Random(seed)
    sent = [draw.randbytes(BYTES) for _ in range(CLIENTS)]

    async def serve() -> None:
        server = await asyncio.start_server(echo, "", 80)
        await server.serve_forever()

    async def main() -> list[bytes]:
        return await asyncio.gather(*(one_client(number, data) for number, data in enumerate(sent)))

    with NetWorld(seed, policy=policy) as world:
        world.network.host("client")
        server = world.start("server", serve)
        plan_faults(world, draw)
        plan_a_death(world, server, serve, draw)
        came = world.run(main)
        for got, data in zip(came, sent, strict=True):
            assert data.startswith(got)
        reports = [(name, has_begun) for name, has_begun, _ in world.reports]
        return world.kernel.digest, reports, sum(map(len, came))


@pytest.mark.parametrize("policy", ["fifo", "shuffle", "pct"])
def test_streams_are_never_corrupted_and_seeds_repeat(policy: str) -> None:
    for seed in range(6):
        assert story(seed, policy) == story(seed, policy)


def test_the_faults_really_fire_and_some_streams_survive() -> None:
    stories = [story(seed, "shuffle") for seed in range(20)]
    fired = {name for _, reports, _ in stories for name, _ in reports}
    came = [count for _, _, count in stories]
    assert len(fired) >= 10
    assert max(came) == CLIENTS * BYTES > min(came)


def test_encrypted_streams_repeat_too(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def main() -> bytes:
        async with listening(echo, ssl=server_tls) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_tls)
            writer.write(bytes(100_000))
            got = await reader.readexactly(100_000)
            writer.close()
            await writer.wait_closed()
            return got

    def digest(seed: int) -> int:
        with NetWorld(seed, policy="shuffle") as world:
            world.network.host("client")
            with world.faults.delay("client", "client", by_s=0, jitter_s=0.1):
                assert world.run(main) == bytes(100_000)
            return world.kernel.digest

    assert digest(1) == digest(1) != digest(2)
