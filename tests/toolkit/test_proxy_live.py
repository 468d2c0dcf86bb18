"""The proxy between real sockets: what passes, what breaks, what is counted, that its API is Toxiproxy's."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from chaos.errors import DeadlineError, RefusedError, UsageError
from chaos.live.proxy import ProxyClient, ProxyServer
from chaos.live.proxy.proxy import Proxy
from chaos.live.proxy.settings import ProxySettings, ToxicSettings

pytestmark = pytest.mark.asyncio
LIMIT_S = 10
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that sends back what it gets, and says what came over it and how its connections ended."""

    def __init__(self) -> None:
        self.got, self.ends = b"", asyncio.Queue[str]()
        self.connected: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected.put_nowait(writer)
        try:
            while data := await reader.read(65536):
                self.got += data
                writer.write(data)
                await writer.drain()
            self.ends.put_nowait("end")
        except ConnectionError:
            self.ends.put_nowait("reset")
        finally:
            writer.close()


class Around:
    """An echo server, a proxy in front of it, and a way to connect."""

    def __init__(self) -> None:
        self.echo = Echo()
        self.proxies: list[Proxy] = []
        self.servers: list[asyncio.Server] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def open(self, *toxics: ToxicSettings, folder: Path | None = None, seed: int = 0) -> Proxy:
        if folder is None:
            self.server = await asyncio.start_server(self.echo, "127.0.0.1", 0)
            upstream, listen = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}", "127.0.0.1:0"
        else:
            self.server = await asyncio.start_unix_server(self.echo, folder / "up")
            upstream, listen = f"unix:{folder / 'up'}", f"unix:{folder / 'in'}"
        self.servers.append(self.server)
        proxy = Proxy(ProxySettings("p", upstream, listen, toxics=toxics, seed=seed))
        proxy.open()
        self.proxies.append(proxy)
        return proxy

    async def connect(self) -> Pair:
        listen = self.proxies[-1].listen
        if listen.path:
            pair = await asyncio.open_unix_connection(listen.path)
        else:
            pair = await asyncio.open_connection(listen.host, listen.port)
        self.writers.append(pair[1])
        return pair

    async def close(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        for proxy in self.proxies:
            proxy.close()
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def around() -> AsyncIterator[Around]:
    opened = Around()
    async with asyncio.timeout(LIMIT_S):
        yield opened
    await opened.close()


def toxic(kind: str, stream: str = "downstream", toxicity: float = 1.0, **attributes: Any) -> ToxicSettings:
    return ToxicSettings(kind, stream=stream, toxicity=toxicity, attributes=attributes)  # type: ignore[arg-type]


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - the proxy's own counts give no event
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("is_unix", [False, True])
@pytest.mark.parametrize("kinds", [[], ["latency"], ["slicer", "packet_loss"]])
async def test_a_large_stream_arrives_byte_for_byte(
    around: Around, tmp_path: Path, kinds: list[str], is_unix: bool
) -> None:
    """Through the fast path and through stages, in both directions at once."""
    given: dict[str, dict[str, float]] = {"slicer": {"average_size": 5000}, "packet_loss": {"retransmission": 1}}
    toxics = [toxic(kind, stream, **given.get(kind, {})) for kind in kinds for stream in ("upstream", "downstream")]
    await around.open(*toxics, folder=tmp_path if is_unix else None)
    reader, writer = await around.connect()
    sent = os.urandom(3_000_000)

    async def send() -> None:
        writer.write(sent)
        await writer.drain()
        writer.write_eof()

    _, found = await asyncio.gather(send(), reader.read(-1))
    assert hashlib.sha256(found).digest() == hashlib.sha256(sent).digest()
    assert await around.echo.ends.get() == "end"


async def test_a_toxicity_of_zero_disturbs_nothing(around: Around) -> None:
    """Not a byte, not a time: the connection has no stages at all."""
    everything = [toxic(kind, toxicity=0.0) for kind in ("timeout", "reset_peer", "limit_data", "black_hole")]
    proxy = await around.open(*everything)
    reader, writer = await around.connect()
    writer.write(b"whole")
    assert await reader.readexactly(5) == b"whole"
    (link,) = proxy._links.values()
    assert all(not flow._stages for flow in link._flows.values())
    assert [(one.reached, one.fired) for one in proxy.toxics.values()] == [(0, 0)] * 4


async def test_toxicity_is_drawn_per_connection_from_the_seed(around: Around) -> None:
    async def drawn(seed: int) -> list[bool]:
        proxy = await around.open(toxic("latency", toxicity=0.5), seed=seed)
        for _ in range(20):
            await around.connect()
        await until(lambda: len(proxy._links) == 20)
        return [bool(link._toxics) for _, link in sorted(proxy._links.items())]

    assert await drawn(1) == await drawn(1)
    assert await drawn(1) != await drawn(2)


async def test_a_proxy_is_created_with_its_faults(around: Around) -> None:
    """The very first connection already has them."""
    await around.open(toxic("limit_data", bytes=3))
    reader, writer = await around.connect()
    writer.write(b"123456")
    assert await reader.read(-1) == b"123"


async def test_a_reset_arrives_as_a_reset_at_both_ends(around: Around) -> None:
    proxy = await around.open(toxic("reset_peer", "upstream"))
    reader, writer = await around.connect()
    await around.echo.connected.get()
    writer.write(b"x")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert await around.echo.ends.get() == "reset"
    assert proxy.toxics["reset_peer_upstream"].fired == 1


async def test_a_reset_of_the_server_goes_through_as_one(around: Around) -> None:
    await around.open()
    reader, _ = await around.connect()
    server_side = await around.echo.connected.get()
    server_side.transport.get_extra_info("socket").setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: reset on close
    server_side.transport.abort()
    with pytest.raises(ConnectionResetError):
        await reader.read()


async def test_half_open_lets_the_client_believe_in_a_server_that_is_gone(around: Around) -> None:
    proxy = await around.open(toxic("half_open"))
    reader, writer = await around.connect()
    (await around.echo.connected.get()).transport.abort()
    await proxy.toxics["half_open_downstream"].wait_fired(1, LIMIT_S)
    writer.write(b"into the void")
    await writer.drain()
    assert not reader.at_eof()
    proxy.remove_toxic("half_open_downstream")
    assert await reader.read() == b""


async def test_a_black_hole_in_one_direction_lets_the_other_pass(around: Around) -> None:
    proxy = await around.open(toxic("black_hole", "upstream"))
    reader, writer = await around.connect()
    server_side = await around.echo.connected.get()
    writer.write(b"lost")
    await proxy.toxics["black_hole_upstream"].wait_fired(1, LIMIT_S)
    server_side.write(b"still here")
    assert await reader.readexactly(10) == b"still here"
    assert around.echo.got == b""


async def test_a_timeout_closes_an_open_connection_that_it_was_added_to(around: Around) -> None:
    proxy = await around.open()
    reader, writer = await around.connect()
    writer.write(b"x")
    await reader.readexactly(1)
    proxy.add_toxic(toxic("timeout", timeout=20))
    assert await reader.read() == b""


async def test_what_a_toxic_holds_back_goes_on_when_it_is_taken_away(around: Around) -> None:
    proxy = await around.open(toxic("latency", latency=60_000))
    reader, writer = await around.connect()
    writer.write(b"late")
    await proxy.toxics["latency_downstream"].wait_fired(1, LIMIT_S)
    proxy.remove_toxic("latency_downstream")
    assert await reader.readexactly(4) == b"late"


async def test_a_narrow_line_makes_the_sender_wait(around: Around) -> None:
    """What the proxy takes in is bounded, however much is sent."""
    proxy = await around.open(toxic("bandwidth", "upstream", rate=1))
    _, writer = await around.connect()
    writer.write(bytes(30_000_000))
    await proxy.toxics["bandwidth_upstream"].wait_fired(2, LIMIT_S)
    await asyncio.sleep(0.05)  # Time for it to take in more than it should, if it did.
    (link,) = proxy._links.values()
    assert sum(flow._waiting_bytes for flow in link._flows.values()) < 200_000


async def test_a_server_that_is_not_there_closes_the_client(around: Around) -> None:
    await around.open()
    around.server.close()
    await around.server.wait_closed()
    reader, _ = await around.connect()
    assert await reader.read() == b""


async def test_closing_the_proxy_refuses_new_connections_and_closes_open_ones(around: Around) -> None:
    proxy = await around.open()
    reader, _ = await around.connect()
    await until(lambda: proxy.accepted == 1)
    proxy.close()
    assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await around.connect()
    proxy.open()
    await around.connect()


@pytest.mark.parametrize("address", ["10.0.0.1:80", "0.0.0.0:80", "[2001:db8::1]:80"])
async def test_an_address_beyond_this_machine_is_refused(address: str) -> None:
    with pytest.raises(RefusedError, match="not a loopback address"):
        Proxy(ProxySettings("p", address))


async def test_a_file_at_the_place_of_the_unix_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("precious")
    with pytest.raises(RefusedError):
        Proxy(ProxySettings("p", "127.0.0.1:9", f"unix:{tmp_path / 'in'}")).open()
    assert (tmp_path / "in").read_text() == "precious"


@pytest_asyncio.fixture
async def control() -> AsyncIterator[ProxyClient]:
    async with ProxyServer() as server, ProxyClient(f"http://127.0.0.1:{server.port}") as client:
        yield client


async def test_the_control_api_speaks_toxiproxy(control: ProxyClient) -> None:
    """A conversation as Toxiproxy's clients have it: statuses, fields and names."""
    async with httpx.AsyncClient(base_url=control.control_url, trust_env=False) as http:
        assert "version" in (await http.get("/version")).json()
        made = await http.post("/proxies", json={"name": "web", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"})
        assert (made.status_code, made.json()["enabled"], made.json()["toxics"]) == (201, True, [])
        assert not made.json()["listen"].endswith(":0")
        assert (await http.post("/proxies", json={"name": "web", "upstream": "127.0.0.1:9"})).status_code == 409
        added = await http.post("/proxies/web/toxics", json={"type": "latency", "attributes": {"latency": 10}})
        assert (added.status_code, added.json()["name"], added.json()["stream"]) == (
            200,
            "latency_downstream",
            "downstream",
        )
        changed = await http.post("/proxies/web/toxics/latency_downstream", json={"attributes": {"jitter": 3}})
        assert changed.json()["attributes"] == {"latency": 10.0, "jitter": 3.0}
        assert (await http.delete("/proxies/web/toxics/latency_downstream")).status_code == 204
        assert (await http.post("/proxies/web", json={"enabled": False})).json()["enabled"] is False
        assert (await http.post("/reset")).status_code == 204
        listed = (await http.get("/proxies")).json()
        assert (list(listed), listed["web"]["enabled"]) == (["web"], True)
        populated = await http.post("/populate", json=[{"name": "web", "upstream": "127.0.0.1:9"}])
        assert (populated.status_code, len(populated.json()["proxies"])) == (201, 1)
        assert (await http.delete("/proxies/web")).status_code == 204
        missing = await http.get("/proxies/web")
        assert (missing.status_code, missing.json()["status"]) == (404, 404)
        assert "proxy not found" in missing.json()["error"]


async def test_a_fault_is_waited_for_over_the_control_api(control: ProxyClient) -> None:
    made = await control.create("p", "127.0.0.1:9", toxics=[{"type": "timeout", "attributes": {"timeout": 5}}])
    with pytest.raises(DeadlineError, match=r"fired 1 times within 0\.01 s, saw 0 times"):
        await control.fired("p", "timeout_downstream", deadline_s=0.01)
    server = await asyncio.start_server(Echo(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await control.call("POST", "/proxies/p", {"upstream": f"127.0.0.1:{port}"})
    _, writer = await asyncio.open_connection("127.0.0.1", int(made["listen"].rpartition(":")[2]))
    assert await control.fired("p", "timeout_downstream") == 1
    writer.close()
    server.close()


async def test_what_the_control_api_does_not_understand_is_one_line(control: ProxyClient) -> None:
    with pytest.raises(UsageError, match=r"400: .*lateness"):
        await control.create("p", "127.0.0.1:9", toxics=[{"type": "lateness"}])
    with pytest.raises(UsageError, match=r"404: .*no such command"):
        await control.call("GET", "/nothing")


async def test_the_first_requests_are_counted_over_all_connections(around: Around) -> None:
    """Each request on a connection of its own: two are refused, the third reaches the server."""
    await around.open(toxic("http_fail", "upstream", first=2))
    began = []
    for _ in range(3):
        reader, writer = await around.connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        began.append(await reader.readexactly(12))
    assert began == [b"HTTP/1.1 503", b"HTTP/1.1 503", b"GET / HTTP/1"]
