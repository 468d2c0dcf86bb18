"""The service's own network code runs in the simulation unmodified: IPC, health, and the way to the server."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaos.history import History
from chaos.sim.wats_server import SimulatedWatsServer
from pywats_reliability.answers import RetryLater
from pywats_reliability.errors import IPCConnectionError, IPCServerRunningError
from pywats_reliability.health import HealthSnapshot
from pywats_reliability.health_server import HealthServer
from pywats_reliability.ipc.address import UnixAddress
from pywats_reliability.ipc.client import AsyncIPCClient
from pywats_reliability.wats_client import WatsClient
from tests.service.ipc_world import RawClient, make_server
from tests.sim.net.net_world import NetWorld

ID = "8362baa8-6f02-4d29-8e7f-8b7b2f30f03d"
BODY = json.dumps({"id": ID, "pn": "x" * 100_000}).encode()


def now() -> float:
    return round(asyncio.get_running_loop().time(), 9)


class Clock:
    """The wall clock of a client; no test here depends on it."""

    def now(self) -> datetime:
        """Return always the same date."""
        return datetime(2026, 1, 1, tzinfo=UTC)


def test_ipc_requests_are_answered(tmp_path: Path) -> None:
    async def main() -> object:
        async with make_server(tmp_path).serving() as server, AsyncIPCClient(server.address) as client:
            assert stat.S_IMODE(os.lstat(tmp_path / "s").st_mode) == 0o600
            return await client.request("echo", {"a": ["x" * 300_000]})

    with NetWorld(folder=tmp_path) as world:
        assert world.run(main) == {"a": ["x" * 300_000]}
        assert not (tmp_path / "s").exists()


def test_a_second_ipc_server_finds_the_first_one_alive(tmp_path: Path) -> None:
    async def first() -> None:
        async with make_server(tmp_path).serving():
            await asyncio.sleep(10)

    async def main() -> None:
        await asyncio.sleep(1)
        with pytest.raises(IPCServerRunningError):
            await make_server(tmp_path).start()

    with NetWorld(folder=tmp_path) as world:
        world.start("first", first, host="station")
        world.run(main, host="station")


def test_an_ipc_server_takes_the_place_of_one_that_was_killed(tmp_path: Path) -> None:
    async def serve() -> None:
        async with make_server(tmp_path).serving():
            await asyncio.sleep(1000)

    async def main() -> object:
        await asyncio.sleep(1)
        async with AsyncIPCClient(UnixAddress(tmp_path / "s")) as client:
            await client.request("echo", {})
            first.kill()
            with pytest.raises(IPCConnectionError):
                await client.request("echo", {})
        world.start("second", serve, host="station")
        await asyncio.sleep(1)
        async with AsyncIPCClient(UnixAddress(tmp_path / "s")) as client:
            return await client.request("echo", {"again": True})

    with NetWorld(folder=tmp_path) as world:
        first = world.start("first", serve, host="station")
        assert world.run(main, host="station") == {"again": True}


def test_a_silent_ipc_client_is_closed_after_thirty_seconds_exactly(tmp_path: Path) -> None:
    async def main() -> float:
        async with make_server(tmp_path).serving():
            client = RawClient(*await asyncio.open_unix_connection(tmp_path / "s"))
            assert await client.receive()
            began = now()
            assert await client.receive() is None
            client.frames.abort()
            return round(now() - began, 9)

    with NetWorld(folder=tmp_path) as world:
        assert world.run(main) == 30


def test_an_ipc_client_that_never_reads_is_closed_after_ten_seconds_exactly(tmp_path: Path) -> None:
    async def main() -> float:
        async with make_server(tmp_path).serving():
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s", limit=1)
            client = RawClient(reader, writer)
            await reader.read(1)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            request = {"command": "echo", "request_id": "1", "protocol_version": "2.0", "args": {"a": "x" * 900_000}}
            text = json.dumps(request).encode()
            client.write(len(text).to_bytes(4, "big") + text)
            await writer.drain()
            began = now()
            while not writer.transport.is_closing():
                await asyncio.sleep(0.25)
                client.write(b"\0" * 4)
                await asyncio.sleep(0)
            return now() - began

    with NetWorld(folder=tmp_path) as world:
        assert 10 <= world.run(main) <= 10.5


def test_health_is_told_over_http() -> None:
    def snapshot() -> HealthSnapshot:
        raise AssertionError("nobody asked for it")

    async def service() -> None:
        health = HealthServer("127.0.0.1", 8080, snapshot, lambda: b"up 1\n")
        await health.run(lambda: None)

    async def main() -> list[object]:
        await asyncio.sleep(1)
        async with httpx.AsyncClient(base_url="http://127.0.0.1:8080", trust_env=False) as http:
            answers = [await http.get("/health/live"), await http.get("/metrics")]
        return [(answer.status_code, answer.text) for answer in answers]

    with NetWorld() as world:
        world.start("service", service, host="station")
        assert world.run(main, host="station") == [(200, '{"status": "ok"}'), (200, "up 1\n")]


def upload(world: NetWorld, rules: list[Mapping[str, Any]], **settings: Any) -> tuple[Any, float, SimulatedWatsServer]:
    """Send a report to a server under these rules; return the decision, how long it took, and the server."""
    server = SimulatedWatsServer(world.kernel, world.network, History(lambda: world.kernel.now_ns))

    async def main() -> tuple[Any, float]:
        await server.ready()
        await server.misbehave(*rules)
        began = now()
        client = WatsClient(server.url, "token", clock=Clock(), **settings)
        try:
            decision = await client.send(ID, BODY)
        finally:
            await client.aclose()
        await server.write_faults()
        return decision, round(now() - began, 9)

    server.start()
    return (*world.run(main, name="service", host="station"), server)


def test_a_report_goes_to_the_server_and_is_stored_byte_for_byte() -> None:
    with NetWorld() as world:
        decision, took, server = upload(world, [])
        assert (type(decision).__name__, server.body(ID)) == ("Sent", BODY)
        assert took < 0.01


def test_a_server_that_says_nothing_is_given_thirty_seconds_exactly() -> None:
    with NetWorld() as world:
        decision, took, server = upload(world, [{"action": "hang_after_body"}])
        assert isinstance(decision, RetryLater)
        assert 30 < took < 30.01
        assert server.deliveries_now()[ID].stored == 0


def test_a_report_whose_answer_is_lost_is_stored_and_tried_again() -> None:
    with NetWorld() as world:
        decision, _, server = upload(world, [{"action": "drop_after_storing", "how": "rst"}])
        assert isinstance(decision, RetryLater)
        assert server.deliveries_now()[ID].stored == 1


def test_a_dead_network_is_told_after_the_limit_for_connecting() -> None:
    with NetWorld() as world:
        world.network.host("station"), world.network.host("wats")
        world.faults.partition("station", "wats").begin()
        decision, took, _ = upload(world, [])
        assert (type(decision), took) == (RetryLater, 30)
