"""TLS and httpx behave alike in the simulation and on the real loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter

import httpx
import pytest

from tests.sim.net.conftest import Place, Play
from tests.sim.net.serving import echo, listening

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Website:
    """Answers GET with the path, POST with the body; counts requests by connection."""

    def __init__(self, *, requests_max: int = 1_000) -> None:
        self.requests: Counter[object] = Counter()
        self._requests_max = requests_max

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        peer = writer.get_extra_info("peername")
        for _ in range(self._requests_max):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            except asyncio.IncompleteReadError:
                return
            self.requests[peer] += 1
            path = head.split()[1]
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
            body = await reader.readexactly(length) or path.encode()
            if path == "/silent":
                await reader.read()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


def client(place: Place, port: int, **more: object) -> httpx.AsyncClient:
    more = {"verify": NO_TLS, "timeout": 5.0, **more}
    scheme = "http" if more["verify"] is NO_TLS else "https"
    return httpx.AsyncClient(base_url=f"{scheme}://{place.host}:{port}", trust_env=False, **more)  # type: ignore[arg-type]


def test_requests_share_a_connection_that_is_kept(play: Play) -> None:
    async def body(place: Place) -> None:
        website = Website()
        async with listening(website.serve) as port, client(place, port) as http:
            answers = [(await http.get(f"/{number}")).text for number in range(3)]
            answers.append((await http.post("/", content=b"x" * 100_000)).text)
        assert answers == ["/0", "/1", "/2", "x" * 100_000]
        assert list(website.requests.values()) == [4]

    play(body)


def test_a_kept_connection_that_the_server_has_closed_is_not_used_again(play: Play) -> None:
    async def body(place: Place) -> None:
        website = Website(requests_max=1)
        async with listening(website.serve) as port, client(place, port) as http:
            for number in range(2):
                assert (await http.get(f"/{number}")).text == f"/{number}"
                await asyncio.sleep(0.05)
        assert list(website.requests.values()) == [1, 1]

    play(body)


def test_silence_is_a_read_timeout(play: Play) -> None:
    async def body(place: Place) -> None:
        async with listening(Website().serve) as port, client(place, port, timeout=0.2) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.get("/silent")

    play(body)


def test_nobody_there_is_a_connect_error(play: Play) -> None:
    async def body(place: Place) -> None:
        async with client(place, place.free_port()) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get("/")

    play(body)


def test_requests_at_once_have_connections_of_their_own(play: Play) -> None:
    async def body(place: Place) -> None:
        website = Website()
        async with listening(website.serve) as port, client(place, port) as http:
            answers = await asyncio.gather(*(http.get(f"/{number}") for number in range(5)))
        assert [answer.text for answer in answers] == [f"/{number}" for number in range(5)]
        assert sum(website.requests.values()) == 5

    play(body)


def test_bytes_go_through_tls_and_come_back(play: Play, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def body(place: Place) -> None:
        async with listening(echo, ssl=server_tls) as port:
            reader, writer = await asyncio.open_connection(place.host, port, ssl=client_tls)
            data = bytes(range(256)) * 2000
            async with asyncio.TaskGroup() as group:
                came = group.create_task(reader.readexactly(len(data)))
                writer.write(data)
            assert came.result() == data
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            writer.close()
            await writer.wait_closed()

    play(body)


def test_a_certificate_that_nobody_vouches_for_ends_the_handshake(play: Play, server_tls: ssl.SSLContext) -> None:
    async def body(place: Place) -> None:
        async with listening(echo, ssl=server_tls) as port:
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(place.host, port, ssl=ssl.create_default_context(cadata=None))

    play(body)


def test_a_server_without_tls_ends_the_handshake(play: Play, client_tls: ssl.SSLContext) -> None:
    async def body(place: Place) -> None:
        async with listening(echo) as port:
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection(place.host, port, ssl=client_tls)

    play(body)


def test_a_handshake_that_nobody_answers_times_out(play: Play, client_tls: ssl.SSLContext) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def body(place: Place) -> None:
        async with listening(silent) as port:
            with pytest.raises(ConnectionAbortedError, match="SSL handshake"):
                await asyncio.open_connection(place.host, port, ssl=client_tls, ssl_handshake_timeout=0.2)

    play(body)


def test_a_stream_can_turn_to_tls(play: Play, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.drain()
        await writer.start_tls(server_tls)
        await echo(reader, writer)

    async def body(place: Place) -> None:
        async with listening(upgrade) as port:
            reader, writer = await asyncio.open_connection(place.host, port)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go\n"
            await writer.start_tls(client_tls, server_hostname=place.host)
            writer.write(b"secret")
            assert await reader.readexactly(6) == b"secret"
            writer.close()

    play(body)


def test_https_works(play: Play, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def body(place: Place) -> None:
        website = Website()
        async with listening(website.serve, ssl=server_tls) as port, client(place, port, verify=client_tls) as http:
            assert [(await http.get(path)).text for path in ("/a", "/b")] == ["/a", "/b"]
        assert list(website.requests.values()) == [2]

    play(body)
