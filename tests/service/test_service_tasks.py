"""Facts about the background tasks of the whole service: each failure is seen, named, counted and survived (C2)."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pywats_reliability import health_server
from pywats_reliability.client_service import AsyncClientService, rhythms
from pywats_reliability.config_file import ConfigWatcher
from pywats_reliability.health import TaskCondition, TaskState
from pywats_reliability.ipc import AsyncIPCServer
from pywats_reliability.ports import Heartbeat
from pywats_reliability.supervisor import SupervisionLimits
from tests.service.supervised import FAILURES
from tests.service.test_service_start_stop import (
    ScriptedServer,
    client_of,
    free_port,
    make_service,
    names_in,
    report,
    running,
    until,
)

pytestmark = pytest.mark.asyncio
TASKS = {
    "pending_queue": "pywats_reliability.pending_queue:AsyncPendingQueue.run",
    "converter_pool": "pywats_reliability.converter_pool:AsyncConverterPool.run",
    "watchdog": "pywats_reliability.client_service.rhythms:Rhythms.watchdog",
    "ping": "pywats_reliability.client_service.rhythms:Rhythms.ping",
    "register": "pywats_reliability.client_service.rhythms:Rhythms.register",
    "ipc_server": "pywats_reliability.ipc:AsyncIPCServer.run",
    "config_watcher": "pywats_reliability.config_file:ConfigWatcher.run",
    "health_server": "pywats_reliability.health_server:HealthServer.run",
    "task_monitor": "pywats_reliability.supervisor:Supervisor._monitor",
}
BEATS_S = {
    "pending_queue": 30.0, "converter_pool": 10.0, "watchdog": 60.0, "ping": 300.0, "register": 3600.0,
    "ipc_server": AsyncIPCServer.HEARTBEAT_S, "config_watcher": 5.0, "health_server": 10.0, "task_monitor": 0.01,
}  # fmt: skip
CRITICAL = ("pending_queue", "converter_pool")
OTHERS = [name for name in TASKS if name not in CRITICAL]
KINDS = [kind for kind in FAILURES if kind not in ("KeyboardInterrupt", "StrangeError")]
QUICK = SupervisionLimits(backoff_base_s=0.01, restart_hold_s=0.02)
Run = Callable[[Any, Heartbeat], Any]


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each task's rounds follow each other in hundredths of a second."""
    for name in ("WATCHDOG_S", "PING_S", "REGISTER_S", "REGISTER_FIRST_S"):
        monkeypatch.setattr(rhythms, name, 0.01)
    monkeypatch.setattr(AsyncIPCServer, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr("pywats_reliability.pending_queue.queue.SCAN_INTERVAL_S", 0.01)
    monkeypatch.setattr("pywats_reliability.converter_pool.pool.BEAT_S", 0.01)
    look = ConfigWatcher.run

    async def look_often(self: ConfigWatcher, beat: Heartbeat) -> None:
        self.interval_s = 0.01
        await look(self, beat)

    monkeypatch.setattr(ConfigWatcher, "run", look_often)
    serve = health_server.HealthServer.run
    monkeypatch.setattr(health_server.HealthServer, "run", lambda self, beat: serve(self, beat, interval_s=0.01))


def replace(monkeypatch: pytest.MonkeyPatch, name: str, new: Callable[[Run], Run]) -> None:
    """Put another ``run`` in the place of a task's own."""
    module, _, dotted = TASKS[name].partition(":")
    owner, _, method = dotted.partition(".")
    kind = getattr(importlib.import_module(module), owner)
    monkeypatch.setattr(kind, method, new(getattr(kind, method)))


def failing_at_tick(tick: int, fail: Callable[[], object]) -> Callable[[Run], Run]:
    """Let the task meet ``fail`` in the midst of its own work, at the given heartbeat of its first run."""
    ticks: list[None] = []

    def flawed(original: Run) -> Run:
        async def run(self: Any, beat: Heartbeat) -> None:
            def flawed_beat() -> None:
                ticks.append(None)
                if len(ticks) == tick:
                    fail()
                beat()

            await original(self, flawed_beat)

        return run

    return flawed


@asynccontextmanager
async def with_all_tasks(folder: Path, server: ScriptedServer | None = None) -> AsyncIterator[AsyncClientService]:
    """Run a service that has every background task."""
    config = folder / "config.json"
    settings: dict[str, Any] = {"health_port": free_port(), "monitor_interval_seconds": 0.05}
    config.write_text(json.dumps(make_service(folder, **settings).config.to_dict()))
    async with running(folder, server, around={"config_path": config}, **settings) as service:
        yield service


def state_of(service: AsyncClientService, name: str) -> TaskState:
    return next(state for state in service._supervisor.states() if state.name == name)


def failures_logged(caplog: pytest.LogCaptureFixture, name: str) -> list[logging.LogRecord]:
    return [r for r in caplog.records if r.levelno == logging.ERROR and f"task {name} failed" in r.getMessage()]


@pytest.mark.proves("C2.1", "C2.10")
async def test_these_are_all_the_tasks_there_are(tmp_path: Path) -> None:
    async with with_all_tasks(tmp_path) as service:
        found = {state.name: state.critical for state in service._supervisor.states()}
    assert set(found) == set(TASKS)
    assert {name for name, critical in found.items() if critical} == set(CRITICAL)


@pytest.mark.proves("C2.1")
@pytest.mark.parametrize("tick", [1, 3], ids=["first tick", "third tick"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TASKS)
async def test_an_exception_in_any_task_is_logged_once_with_name_and_traceback_and_counted(
    tmp_path: Path, name: str, kind: str, tick: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shorten(monkeypatch)
    replace(monkeypatch, name, failing_at_tick(tick, FAILURES[kind]))
    async with with_all_tasks(tmp_path) as service:
        await until(lambda: state_of(service, name).failures == 1)
        (record,) = failures_logged(caplog, name)
        assert record.exc_info is not None
        shown = logging.Formatter().formatException(record.exc_info)
        assert kind in shown
        assert "flawed_beat" in shown
        others = [state for state in service._supervisor.states() if state.name != name]
        assert [state.failures for state in others] == [0] * len(others)


@pytest.mark.proves("C2.2")
@pytest.mark.parametrize("name", CRITICAL)
async def test_a_critical_failure_is_an_error_at_once_and_all_else_goes_on(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    replace(monkeypatch, name, failing_at_tick(1, FAILURES["ValueError"]))
    async with with_all_tasks(tmp_path) as service:
        await until(lambda: state_of(service, name).failures == 1 and state_of(service, "health_server").heartbeats > 0)
        assert service.status == "Error"
        async with client_of(service) as client, httpx.AsyncClient(trust_env=False) as http:
            told: Any = await client.request("get_status")
            page = await http.get(f"http://127.0.0.1:{service.config.health_port}/health/details")
        for answer in (told, page.json()):
            assert answer["status"] == "Error"
            assert f"critical task {name} is backoff: " in answer["reasons"][0]
        await service.queue.submit(report())
        assert len(names_in(tmp_path / "data" / "pending")) == 1
        before = {state.name: state.heartbeats for state in service._supervisor.states() if state.name != name}
        await until(lambda: all(state_of(service, other).heartbeats > beats for other, beats in before.items()))


@pytest.mark.proves("C2.3", "C2.6")
@pytest.mark.parametrize("name", OTHERS)
async def test_any_other_failure_leaves_it_running_degraded_with_the_task_named(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch, name, failing_at_tick(1, FAILURES["OSError"]))
    async with with_all_tasks(tmp_path) as service:
        await until(lambda: state_of(service, name).failures == 1)
        assert (service.status, service.condition.degraded) == ("Running", True)
        assert any(reason.startswith(f"task {name} is backoff: ") for reason in service.condition.reasons)


@pytest.mark.proves("C2.4")
async def test_the_cancellations_of_a_stop_are_no_errors_and_not_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with with_all_tasks(tmp_path) as service:
        await until(lambda: all(state.heartbeats for state in service._supervisor.states()))
        await service.stop()
    assert [state.failures for state in service._supervisor.states() if state.failures] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.proves("C2.5")
@pytest.mark.parametrize("name", TASKS)
async def test_an_early_return_of_any_task_is_noticed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def returns(_: Any, beat: Heartbeat) -> None:
        beat()

    replace(monkeypatch, name, lambda _: returns)
    async with with_all_tasks(tmp_path) as service:
        await until(lambda: state_of(service, name).failures == 1)
        assert f"task {name} is backoff: TaskEndedError" in "; ".join(service.condition.reasons)


@pytest.mark.proves("C2.7")
async def test_the_service_is_well_again_when_a_restart_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    replace(monkeypatch, "pending_queue", failing_at_tick(1, FAILURES["ValueError"]))
    server = ScriptedServer()
    monkeypatch.setattr("pywats_reliability.client_service.settings.supervision_limits", lambda _: QUICK)
    async with with_all_tasks(tmp_path, server) as service:
        seen: list[str] = []
        service._supervisor.on_change.subscribe(lambda _: seen.append(service.status))
        await until(lambda: state_of(service, "pending_queue").restarts == 1 and service.status == "Running")
        assert "Error" in seen
        await service.queue.submit(report())
        await until(lambda: server.stored.total() == 1)


@pytest.mark.proves("C2.7")
async def test_the_fourth_failure_opens_the_circuit_and_the_status_stays_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always(_: Run) -> Run:
        async def run(*_: object) -> None:
            raise ValueError("planted")

        return run

    replace(monkeypatch, "pending_queue", always)
    monkeypatch.setattr("pywats_reliability.client_service.settings.supervision_limits", lambda _: QUICK)
    async with with_all_tasks(tmp_path) as service:
        await until(lambda: state_of(service, "pending_queue").condition is TaskCondition.DOWN)
        async with client_of(service) as client:
            told: Any = await client.request("get_status")
        (queue,) = (task for task in told["tasks"] if task["name"] == "pending_queue")
        assert (told["status"], queue["restarts"], queue["failures"]) == ("Error", 3, 4)


@pytest.mark.proves("C2.8")
@pytest.mark.parametrize("name", TASKS)
async def test_a_task_that_is_stuck_is_told_as_stalled(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(_: Any, beat: Heartbeat) -> None:
        beat()
        await asyncio.Event().wait()

    limits = SupervisionLimits(monitor_interval_s=0.01, stalled_after_intervals=0.05 / BEATS_S[name], loop_check_s=0.01)
    monkeypatch.setattr("pywats_reliability.client_service.settings.supervision_limits", lambda _: limits)
    replace(monkeypatch, name, lambda _: hangs)
    async with with_all_tasks(tmp_path) as service:
        await until(lambda: f"task {name} is stalled" in "; ".join(service.condition.reasons))
        assert service.status == "Error" or name not in CRITICAL


@pytest.mark.proves("C2.9")
async def test_a_health_port_that_is_taken_is_shown(tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with taken, running(tmp_path, health_port=taken.sockets[0].getsockname()[1]) as service:
        await until(lambda: state_of(service, "health_server").failures == 1)
        assert service.condition.degraded
        assert any(str(service.config.health_port) in reason for reason in service.condition.reasons)


@pytest.mark.proves("C2.9")
async def test_a_server_that_never_answered_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(ScriptedServer, "__call__", refuse)
    async with running(tmp_path) as service:
        await until(lambda: any(r.startswith("server ") and "yet" not in r for r in service.condition.reasons))
        told = service.status_data()
        assert (told["status"], told["degraded"], told["api_status"] != "Online") == ("Running", True, True)


@pytest.mark.proves("C2.9")
async def test_a_task_that_fails_while_it_starts_is_not_painted_over_by_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch, "pending_queue", failing_at_tick(1, FAILURES["ValueError"]))
    async with running(tmp_path) as service:
        seen = []
        for _ in range(20):
            seen.append(service.status)
            await asyncio.sleep(0)
        assert seen[-1] == "Error"
        assert "Running" not in seen[seen.index("Error"):]
