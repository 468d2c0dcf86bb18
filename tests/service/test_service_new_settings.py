"""A changed configuration reaches every part of the running service, or is named as waiting for a restart (H4.3)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from pywats_reliability.errors import IPCError
from pywats_reliability.shutdown import Outcome
from tests.service.test_service_start_stop import ScriptedServer, client_of, hang, report, running, until

pytestmark = [pytest.mark.asyncio, pytest.mark.proves("H4.3")]


class HostsSeen(ScriptedServer):
    """A server that notes under which name it was asked to take a report."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: list[str] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.method == "POST":
            self.hosts.append(request.url.host)
        return await super().__call__(request)


async def test_a_new_upload_timeout_ends_the_next_upload_sooner(tmp_path: Path) -> None:
    """The limit of a whole upload is three times the timeout; the default one would be 90 s."""
    server = ScriptedServer()
    server.misbehave = hang
    async with running(tmp_path, server) as service:
        await service.change_settings({"upload_timeout_seconds": 0.02})
        failed: list[str] = []
        service.queue.operation_failed.subscribe(lambda _, error: failed.append(error))
        await service.queue.submit(report())
        await until(lambda: failed != [])
        assert "no complete answer within the limit of an upload" in failed[0]


async def test_an_upload_under_way_ends_where_it_began_and_the_next_one_goes_to_the_new_address(
    tmp_path: Path,
) -> None:
    server, may_answer = HostsSeen(), asyncio.Event()

    async def wait() -> httpx.Response | None:
        await may_answer.wait()
        return None

    server.misbehave = wait
    async with running(tmp_path, server) as service:
        await service.queue.submit(report(1))
        await server.has_got()
        await service.change_settings({"service_address": "http://new.example"})
        may_answer.set()
        await until(lambda: server.stored.total() == 1)
        await service.queue.submit(report(2))
        await until(lambda: server.stored.total() == 2)
    assert server.hosts == ["wats.example", "new.example"]


async def test_new_windows_hold_for_the_next_stop(tmp_path: Path) -> None:
    server, loop = ScriptedServer(), asyncio.get_running_loop()
    server.misbehave = hang
    async with running(tmp_path, server, graceful_shutdown_seconds=60.0, force_shutdown_seconds=120.0) as service:
        await service.change_settings({"graceful_shutdown_seconds": 0.05, "force_shutdown_seconds": 2.0})
        await service.queue.submit(report())
        await server.has_got()
        asked_at = loop.time()
        result = await service.stop()
    assert (result.outcome, loop.time() - asked_at < 5.0) == (Outcome.FORCED, True)


async def test_a_new_request_limit_holds_for_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("pywats_reliability.client_service.commands.Commands.get_status", never)
    async with running(tmp_path) as service:
        await service.change_settings({"ipc_request_timeout": 0.02})
        async with client_of(service) as client:
            with pytest.raises(IPCError, match=r"timeout after 0\.02s"):
                await client.request("get_status")


async def test_a_shorter_monitor_interval_counts_at_once_and_accuses_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, monitor_interval_seconds=300.0) as service:
        (monitor,) = (state for state in service._supervisor.states() if state.name == "task_monitor")
        before = monitor.heartbeats
        await service.change_settings({"monitor_interval_seconds": 0.02})
        await until(lambda: service._supervisor.states()[0].heartbeats >= before + 3)
        assert not [state for state in service._supervisor.states() if "stalled" in str(state.reason)]


async def test_a_new_restart_limit_counts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> None:
        await may_fail.wait()
        raise ValueError("planted")

    may_fail = asyncio.Event()
    monkeypatch.setattr("pywats_reliability.client_service.rhythms.Rhythms.watchdog", fails)
    async with running(tmp_path) as service:
        await service.change_settings({"restart_limit": 0})
        may_fail.set()
        await until(lambda: any("watchdog is down" in reason for reason in service.condition.reasons))


@pytest.mark.proves("C2.9")
async def test_what_waits_for_a_restart_is_named_until_it_is_taken_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as service:
        before = service.config.health_port
        await service.change_settings({"health_port": 12345, "station_name": "x"})
        assert service.status_data()["needs_restart"] == ["health_port"]
        assert "in force with the next start only: health_port" in caplog.text
        await service.change_settings({"health_port": before})
        assert service.status_data()["needs_restart"] == []
