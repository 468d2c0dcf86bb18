"""The WATS server in the simulation: told what to do without a control port, seen and judged as the live one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from chaos.errors import OverdueError, UsageError
from chaos.history import History
from chaos.sim.wats_server import SimulatedWatsServer
from tests.sim.net.net_world import NetWorld

ID = "8362baa8-6f02-4d29-8e7f-8b7b2f30f03d"
REPORT = json.dumps({"id": ID, "pn": "x"}).encode()
JSON = {"Content-Type": "application/json"}
PATH = "/api/Report/WSJF"
Play = Callable[[SimulatedWatsServer, httpx.AsyncClient], Awaitable[Any]]


def now() -> float:
    return round(asyncio.get_running_loop().time(), 9)


def play(body: Play, *, seed: int = 0, policy: str = "fifo") -> tuple[Any, SimulatedWatsServer, History]:
    """Run ``body`` on a host of its own with a server and a client of it; return its result, the server, the story."""
    with NetWorld(seed, policy=policy) as world:
        history = History(lambda: world.kernel.now_ns)
        server = SimulatedWatsServer(world.kernel, world.network, history)

        async def main() -> Any:
            await server.ready()
            async with httpx.AsyncClient(base_url=server.url, headers=JSON, trust_env=False, timeout=60) as http:
                return await body(server, http)

        process = server.start()
        result = world.run(main, name="director")
        assert process.is_alive, process.traceback()
        return result, server, history


def test_reports_are_taken_and_counted() -> None:
    async def body(server: SimulatedWatsServer, http: httpx.AsyncClient) -> list[int]:
        codes = [(await http.post(PATH, content=REPORT)).status_code for _ in range(2)]
        await server.observe()
        return codes

    codes, server, history = play(body)
    assert (codes, server.body(ID)) == ([200, 200], REPORT)
    told = history.last("deliveries").value["reports"][ID]
    assert (told["deliveries"], told["effects"]) == (2, 1)


def test_a_hanging_request_goes_on_when_it_is_released() -> None:
    async def body(server: SimulatedWatsServer, http: httpx.AsyncClient) -> tuple[int, int]:
        await server.misbehave({"action": "hang_after_storing"})
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(http.post(PATH, content=REPORT))
            await server.saw("rule_fired", report_id=ID)
            released = await server.release()
        return released, asked.result().status_code

    result, _, history = play(body)
    assert result == (1, 200)
    assert [event.name for event in history.faults()] == ["server.hang_after_storing"]


def test_a_peer_that_leaves_a_hanging_request_is_noticed_at_once() -> None:
    async def body(server: SimulatedWatsServer, http: httpx.AsyncClient) -> float:
        await server.misbehave({"action": "hang_after_body"})
        with pytest.raises(httpx.ReadTimeout):
            await http.post(PATH, content=REPORT, timeout=5)
        left = now()
        await server.saw("connection_lost", report_id=ID)
        return round(now() - left, 9)

    assert play(body)[0] == 0.0005


def test_a_server_that_is_down_refuses_and_comes_back_at_the_same_port() -> None:
    async def body(server: SimulatedWatsServer, http: httpx.AsyncClient) -> int:
        await server.go_down()
        with pytest.raises(httpx.ConnectError):
            await http.post(PATH, content=REPORT)
        await server.come_up()
        return (await http.post(PATH, content=REPORT)).status_code

    code, _, history = play(body)
    assert code == 200
    assert [event.name for event in history.faults()] == ["server.down"]


def test_what_the_server_never_saw_is_overdue_after_its_limit() -> None:
    async def body(server: SimulatedWatsServer, _http: httpx.AsyncClient) -> float:
        began = now()
        with pytest.raises(OverdueError, match="stored"):
            await server.saw("stored", limit_s=20)
        return round(now() - began, 9)

    assert play(body)[0] == 20


def test_a_rule_that_is_none_is_refused() -> None:
    async def body(server: SimulatedWatsServer, _http: httpx.AsyncClient) -> None:
        with pytest.raises(UsageError, match="action"):
            await server.misbehave({"action": "dance"})

    play(body)


@pytest.mark.parametrize("policy", ["fifo", "shuffle", "pct"])
def test_the_same_seed_tells_the_same_story(policy: str) -> None:
    async def body(server: SimulatedWatsServer, http: httpx.AsyncClient) -> None:
        await server.misbehave({"action": "status", "status": 503, "probability": 0.5, "seed": 1})
        reports = [json.dumps({"id": f"{ID[:-2]}{number:02}"}).encode() for number in range(10)]
        await asyncio.gather(*(http.post(PATH, content=report) for report in reports))
        await server.observe()

    one, other = (play(body, seed=7, policy=policy)[2].to_lines() for _ in range(2))
    assert one == other
