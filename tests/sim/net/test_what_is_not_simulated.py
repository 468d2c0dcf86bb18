"""What the simulated network does not have says so, by name; nothing reaches the real one."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Callable

import pytest

from chaos.sim.verdicts import NotSimulatedError
from tests.sim.net.net_world import NetWorld
from tests.sim.net.serving import echo, listening


def tcp_socket() -> socket.socket:
    return socket.socket()


CALLS: dict[str, Callable[[], object]] = {
    "datagrams": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "another family": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_STREAM),
    "a descriptor from elsewhere": lambda: socket.socket(fileno=0),
    "a pair": lambda: socket.socketpair(),  # noqa: PLW0108 - looked up when it is called, as programs do
    "epoll": lambda: select.epoll(),  # noqa: PLW0108 - as above
    "poll that waits": lambda: select.poll().poll(),
    "select that waits": lambda: select.select([], [], [], 1),
    "an unknown option": lambda: tcp_socket().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "the value of an unknown option": lambda: tcp_socket().getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "a duplicate": lambda: tcp_socket().dup(),
    "detaching": lambda: tcp_socket().detach(),
    "sendto": lambda: tcp_socket().sendto(b"", ("127.0.0.1", 1)),
    "recvmsg": lambda: tcp_socket().recvmsg(1),
    "blocking to connect": lambda: tcp_socket().connect(("127.0.0.1", 1)),
    "blocking through a helper": lambda: socket.create_connection(("127.0.0.1", 1)),
}


@pytest.mark.parametrize("what", CALLS)
def test_what_is_not_simulated_says_so(what: str) -> None:
    async def main() -> None:
        with pytest.raises(NotSimulatedError, match="not simulated"):
            CALLS[what]()

    with NetWorld() as world:
        world.run(main)


def test_a_blocking_accept_says_so() -> None:
    async def main() -> None:
        with socket.socket() as server:
            server.bind(("", 0))
            server.listen()
            with pytest.raises(NotSimulatedError, match="accept on a blocking socket"):
                server.accept()

    with NetWorld() as world:
        world.run(main)


def test_a_descriptor_that_is_no_socket_cannot_be_waited_for() -> None:
    async def main() -> None:
        with pytest.raises(NotSimulatedError, match="descriptor 0"):
            asyncio.get_running_loop().add_reader(0, print)

    with NetWorld() as world:
        world.run(main)


def test_outside_of_simulated_processes_everything_is_real() -> None:
    with NetWorld() as world:
        world.network.host("server")
        with socket.socket() as real:
            assert type(real) is socket.socket
            assert real.fileno() < 1_000_000
    assert "__new__" not in vars(socket.socket)


def test_a_process_knows_the_name_of_its_host() -> None:
    async def main() -> tuple[str, str]:
        return socket.gethostname(), socket.gethostbyname("other")

    with NetWorld() as world:
        world.network.place("client", "station")
        world.network.host("other")
        assert world.run(main, host="station") == ("station", "10.0.0.2")


def test_loopback_never_leaves_its_host() -> None:
    async def elsewhere() -> None:
        async with listening(echo) as port:
            assert port == 32768
            await asyncio.sleep(1)

    async def main() -> None:
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", 32768)

    with NetWorld() as world:
        world.start("other", elsewhere)
        world.run(main)


@pytest.mark.parametrize(("listen_on", "call"), [("::1", "::1"), (None, "localhost"), ("localhost", "127.0.0.1")])
def test_addresses_that_mean_oneself(listen_on: str | None, call: str) -> None:
    async def main() -> bytes:
        server = await asyncio.start_server(echo, listen_on, 8000)
        reader, writer = await asyncio.open_connection(call, 8000)
        writer.write(b"x")
        got = await reader.readexactly(1)
        writer.close()
        server.close()
        return got

    with NetWorld() as world:
        assert world.run(main) == b"x"


def test_an_address_that_nobody_has_cannot_be_reached() -> None:
    async def main() -> int | None:
        with pytest.raises(OSError, match="unreachable") as raised:
            await asyncio.open_connection("192.0.2.1", 80)
        return raised.value.errno

    with NetWorld() as world:
        assert world.run(main) == errno.ENETUNREACH


def test_a_process_can_run_out_of_sockets() -> None:
    async def main() -> list[int | None]:
        world.network.table(world.kernel.processes[0]).sockets_max = 2
        loop = asyncio.get_running_loop()
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0))
            server.listen()
            for one in (server, client):
                one.setblocking(False)
            await loop.sock_connect(client, server.getsockname())
            await asyncio.sleep(0.1)
            codes = []
            for call in (socket.socket, server.accept):
                with pytest.raises(OSError, match="Too many open files") as raised:
                    call()
                codes.append(raised.value.errno)
            return codes

    with NetWorld() as world:
        assert world.run(main) == [errno.EMFILE, errno.EMFILE]
