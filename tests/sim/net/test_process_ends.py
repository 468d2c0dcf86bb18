"""What the peers of a process see when it ends, is killed, or its machine loses power."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from chaos.sim.process import SimProcess
from tests.sim.net.net_world import NetWorld
from tests.sim.net.serving import Handler, echo, never_read


def start_server(world: NetWorld, handler: Handler = echo, *, path: str | None = None) -> SimProcess:
    """Start ``server``, which listens on port 80, or on a socket file of the client's host."""

    async def main() -> None:
        if path is None:
            server = await asyncio.start_server(handler, "", 80)
        else:
            server = await asyncio.start_unix_server(handler, path)
        await server.serve_forever()

    return world.start("server", main, host="client" if path else None)


def at(world: NetWorld, when_s: float, process: SimProcess, *, power_lost: bool = False) -> None:
    """Kill a process at a time."""
    world.kernel.at(round(when_s * 1e9), lambda: process.kill(power_lost=power_lost))


async def connected(address: tuple[str, int] | str = ("server", 80)) -> socket.socket:
    """Return a connected socket."""
    client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, address)
    return client


async def ending(client: socket.socket) -> tuple[float, bytes | int | None]:
    """Return when and how a connection ends: with bytes (none: in order), or an error number."""
    loop = asyncio.get_running_loop()
    try:
        got: bytes | int | None = await loop.sock_recv(client, 100)
    except OSError as error:
        got = error.errno
    client.close()
    return round(loop.time(), 9), got


def test_the_peers_of_a_killed_process_see_the_end_of_their_streams() -> None:
    async def main() -> object:
        return await ending(await connected())

    with NetWorld() as world:
        at(world, 5, start_server(world))
        assert world.run(main) == (5.0005, b"")


def test_a_killed_process_that_had_not_read_everything_resets() -> None:
    async def main() -> object:
        client = await connected()
        client.send(b"unread")
        return await ending(client)

    with NetWorld() as world:
        at(world, 5, start_server(world, never_read))
        assert world.run(main) == (5.0005, errno.ECONNRESET)


def test_what_a_killed_process_had_handed_over_still_arrives() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(1000))
        await reader.read()

    async def main() -> int:
        client, got = await connected(), 0
        while data := await asyncio.get_running_loop().sock_recv(client, 10_000):
            got += len(data)
        client.close()
        return got

    with NetWorld() as world:
        server = start_server(world, speak)
        world.network.host("client")
        world.faults.bandwidth("server", "client", bytes_per_s=100).begin()
        at(world, 1, server)
        assert world.run(main) == 1000


def test_a_killed_process_runs_no_clean_up() -> None:
    ran: list[str] = []

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            ran.append("finally")

    async def main() -> None:
        await ending(await connected())
        assert ran == []

    with NetWorld() as world:
        at(world, 5, start_server(world, wait))
        world.run(main)


def test_the_port_of_a_killed_process_is_free_at_once() -> None:
    async def main() -> bytes:
        await asyncio.sleep(5)
        with pytest.raises(ConnectionRefusedError):
            await connected()
        start_server(world)
        await asyncio.sleep(0.01)
        client = await connected()
        client.send(b"again")
        return (await ending(client))[1]  # type: ignore[return-value]

    with NetWorld() as world:
        at(world, 4, start_server(world))
        assert world.run(main) == b"again"


def test_connections_that_a_killed_process_had_not_accepted_are_reset() -> None:
    async def listen_only() -> None:
        with socket.socket() as listening:
            listening.bind(("", 80))
            listening.listen()
            await asyncio.sleep(1000)

    async def main() -> object:
        await asyncio.sleep(0.1)
        return await ending(await connected())

    with NetWorld() as world:
        at(world, 5, world.start("server", listen_only))
        assert world.run(main) == (5.0005, errno.ECONNRESET)


@pytest.mark.parametrize("has_disk", [False, True], ids=["real folder", "simulated disk"])
def test_the_socket_file_of_a_killed_process_stays_and_refuses(tmp_path: Path, has_disk: bool) -> None:
    folder = Path("/data") if has_disk else tmp_path
    path = str(folder / "s")

    async def main() -> object:
        await asyncio.sleep(0.1)
        client = await connected(path)
        end = await ending(client)
        assert stat.S_ISSOCK(os.lstat(path).st_mode)
        with pytest.raises(ConnectionRefusedError):
            await connected(path)
        return end

    with NetWorld(folder=folder, has_disk=has_disk) as world:
        at(world, 5, start_server(world, path=path))
        assert world.run(main) == (5, b"")


def test_a_loss_of_power_is_silent_until_somebody_sends_to_the_machine_that_runs_again() -> None:
    async def main() -> object:
        client = await connected()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.get_running_loop().sock_recv(client, 1)
        client.send(b"are you there?")
        return await ending(client)

    with NetWorld() as world:
        at(world, 5, start_server(world), power_lost=True)
        world.kernel.at(30_000_000_000, lambda: start_server(world))
        assert world.run(main) == (60.002, errno.ECONNRESET)


def test_a_machine_without_power_answers_nobody() -> None:
    async def main() -> object:
        client = await connected()
        await asyncio.sleep(10 - asyncio.get_running_loop().time())
        client.send(b"are you there?")
        with pytest.raises(TimeoutError, match="Connect call failed"):
            await connected()
        return await ending(client)

    with NetWorld() as world:
        at(world, 5, start_server(world), power_lost=True)
        assert world.run(main) == (10 + 924.6005, errno.ETIMEDOUT)


def test_a_guest_on_a_machine_that_loses_power_is_reset_and_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "s")

    async def main() -> list[object]:
        await asyncio.sleep(0.1)
        ends: list[object] = [await ending(await connected(path))]
        with pytest.raises(ConnectionRefusedError):
            await connected(path)
        with pytest.raises(ConnectionRefusedError):
            await connected(("127.0.0.1", 80))
        return ends

    with NetWorld(folder=tmp_path) as world:
        at(world, 5, start_server(world, path=path), power_lost=True)
        assert world.run(main) == [(5, errno.ECONNRESET)]


def test_a_guest_on_a_machine_without_power_still_talks_to_others() -> None:
    async def main() -> object:
        client = await connected()
        await asyncio.sleep(10)
        client.send(b"x")
        return await ending(client)

    async def station() -> None:
        await asyncio.sleep(1000)

    with NetWorld() as world:
        start_server(world)
        at(world, 5, world.start("service", station, host="client"), power_lost=True)
        assert world.run(main) == (10.002, b"x")


def test_a_machine_that_runs_again_lets_in_whoever_was_still_trying() -> None:
    async def main() -> float:
        await asyncio.sleep(10)
        client = await connected()
        client.close()
        return round(asyncio.get_running_loop().time(), 9)

    with NetWorld() as world:
        at(world, 5, start_server(world), power_lost=True)
        world.kernel.at(12_000_000_000, lambda: start_server(world))
        assert world.run(main) == 13.001


def test_a_process_that_returns_closes_what_it_left_open() -> None:
    async def main() -> None:
        kept.append(await connected())

    kept: list[socket.socket] = []
    with NetWorld() as world:
        start_server(world)
        world.run(main)
        world.kernel.run(until_ns=1_000_000_000)
        assert all(end.is_gone for host in world.network.hosts.values() for end in host.endpoints.values())
