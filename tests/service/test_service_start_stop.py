"""Facts about the whole service's start and stop: what is refused, cut off, named, closed and told (C1)."""

from __future__ import annotations

import asyncio
import base64
import importlib
import inspect
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pywats_reliability.client_service import AsyncClientService, Surroundings
from pywats_reliability.config import ClientConfig
from pywats_reliability.errors import IPCServiceStoppingError, ServiceStoppingError, StartError
from pywats_reliability.health import Phase
from pywats_reliability.ipc import AsyncIPCClient, UnixAddress, load_secret, secret_path
from pywats_reliability.shutdown import EXIT_FORCED, Outcome, ShutdownPhase, ShutdownProgress
from pywats_reliability.wats_client import WatsClient
from tests.service.store_world import contents

pytestmark = pytest.mark.asyncio
TOKEN = base64.b64encode(b"station:correct horse").decode()
DEADLINE_S = 10.0
SHORT = {"graceful_shutdown_seconds": 0.2, "force_shutdown_seconds": 1.0, "shutdown_poll_seconds": 0.05}
"""The windows of a stop, so short that a test can see their ends."""


def answer(value: object, status: int = 200) -> httpx.Response:
    """Return an answer whose body is read from a stream, as from a socket."""
    body = json.dumps(value).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


class ScriptedServer:
    """A WATS server in this process that counts what it stores, and does first what ``misbehave`` says."""

    def __init__(self) -> None:
        self.stored: Counter[str] = Counter()
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.misbehave: Callable[[], Awaitable[httpx.Response | None]] | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.method == "GET":
            return answer("24.1")
        report_id = str(json.loads(await request.aread())["id"])
        self.arrived.put_nowait(report_id)
        if self.misbehave is not None and (scripted := await self.misbehave()) is not None:
            return scripted
        self.stored[report_id] += 1
        return answer([{"ID": report_id}])

    async def has_got(self) -> str:
        """Return the id of the next report whose upload has arrived."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.arrived.get()


async def hang() -> httpx.Response | None:
    await asyncio.Event().wait()
    return None


def make_service(
    folder: Path, server: ScriptedServer | None = None, *, around: dict[str, Any] | None = None, **settings: Any
) -> AsyncClientService:
    """Return a service whose every file is in ``folder`` and whose network is ``server``."""
    config = ClientConfig(**{
        "service_address": "http://wats.example", "api_token": TOKEN, "ipc_socket": str(folder / "s"),
        "min_free_disk_bytes": 0, "health_port": 0, **SHORT, **settings,
    })  # fmt: skip
    transport = httpx.MockTransport(server or ScriptedServer())
    surroundings = Surroundings(transport=transport, secrets_folder=folder / "secrets", **(around or {}))
    return AsyncClientService(folder / "data", config, surroundings)


@asynccontextmanager
async def running(
    folder: Path, server: ScriptedServer | None = None, **more: Any
) -> AsyncIterator[AsyncClientService]:
    """Start a service, stop it at the end, and let the test fail when the loop had to complain (C2.10)."""
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
    service = make_service(folder, server, **more)
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
        loop.set_exception_handler(None)
    assert not complaints, complaints


@asynccontextmanager
async def client_of(service: AsyncClientService) -> AsyncIterator[AsyncIPCClient]:
    """Connect to the service as the command line does."""
    folder = service._around.secrets_folder
    secret = load_secret(secret_path(service.config.instance_id, folder=folder))
    async with AsyncIPCClient(UnixAddress(Path(service.config.ipc_socket)), secret=secret) as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a fact of which no event tells, with a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - nothing tells of these facts
            await asyncio.sleep(0.002)


def report(number: int = 1) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(contents(id=f"00000000-0000-4000-8000-{number:012d}"))
    return fields


def names_in(folder: Path) -> list[str]:
    """Return the reports in a folder of the store."""
    return sorted(p.name for p in folder.glob("[!.]*.json") if not p.name.endswith((".history.json", ".reason.json")))



STATE_CHANGING: dict[str, dict[str, Any]] = {
    "submit": {"report": report(2)},
    "set_config": {"settings": {"station_name": "other"}},
    "restart": {},
    "retry_failed": {"id": report()["id"]},
    "discard_failed": {"id": report()["id"]},
    "sync_now": {},
}


@asynccontextmanager
async def stopping(service: AsyncClientService, server: ScriptedServer) -> AsyncIterator[asyncio.Future[Any]]:
    """Ask for the stop while an upload hangs, and hold on in the graceful phase."""
    await service.queue.submit(report())
    await server.has_got()
    stop = asyncio.gather(service.stop())
    await until(lambda: service.shutdown.progress.phase is ShutdownPhase.GRACEFUL)
    yield stop
    await stop


@pytest.mark.proves("C1.1")
async def test_from_the_request_on_nothing_is_accepted(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        service.request_shutdown()
        with pytest.raises(ServiceStoppingError):
            await service.queue.submit(report())
        assert names_in(tmp_path / "data" / "pending") == []


@pytest.mark.proves("C1.7")
async def test_whoever_asks_for_the_stop_takes_a_restart_back(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        service.request_restart()
        wanted = service.restart_requested
        service.request_shutdown()
        assert (wanted, service.restart_requested) == (True, False)


@pytest.mark.proves("C1.7")
async def test_a_restart_that_is_asked_for_during_a_stop_takes_nothing_back(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        service.request_shutdown()
        service.request_restart()
        assert not service.restart_requested


@pytest.mark.proves("C1.1")
async def test_a_producer_that_submits_in_a_loop_loses_nothing_it_was_promised(tmp_path: Path) -> None:
    """Each report is either refused or kept or delivered; none is acknowledged and gone."""
    server, accepted = ScriptedServer(), list[str]()
    async with running(tmp_path, server) as service:

        async def produce() -> None:
            for number in range(10**6):
                try:
                    accepted.append(await service.queue.submit(report(number)))
                except ServiceStoppingError:
                    return

        producing = asyncio.gather(produce())
        await server.has_got()
        await service.stop()
        await producing
    kept = names_in(tmp_path / "data" / "pending")
    assert [each for each in accepted if not server.stored[each] and not any(each in name for name in kept)] == []


@pytest.mark.proves("C1.1", "H3.3")
@pytest.mark.parametrize("command", STATE_CHANGING)
async def test_over_ipc_what_would_change_something_is_refused_while_it_stops(tmp_path: Path, command: str) -> None:
    server = ScriptedServer()
    server.misbehave = hang
    async with running(tmp_path, server) as service, client_of(service) as client, stopping(service, server):
        with pytest.raises(IPCServiceStoppingError):
            await client.request(command, STATE_CHANGING[command])
        assert (service.config.station_name, service.restart_requested) == ("", False)


@pytest.mark.proves("C1.1", "C1.12")
async def test_over_ipc_the_status_is_told_while_it_stops(tmp_path: Path) -> None:
    server = ScriptedServer()
    server.misbehave = hang
    async with running(tmp_path, server) as service, client_of(service) as client, stopping(service, server):
        told: Any = await client.request("get_status")
        assert told["status"] == "StopPending"
        assert (told["shutdown"]["phase"], told["shutdown"]["in_flight"]) == ("graceful", 1)
        assert 0 < told["shutdown"]["seconds_left"] <= SHORT["graceful_shutdown_seconds"]


@pytest.mark.proves("C1.2")
@pytest.mark.parametrize("in_flight", [1, 50])
async def test_uploads_in_flight_finish_and_the_stop_ends_with_the_last(tmp_path: Path, in_flight: int) -> None:
    server, release = ScriptedServer(), asyncio.Event()

    async def wait() -> httpx.Response | None:
        await release.wait()
        return None

    server.misbehave = wait
    windows = {"graceful_shutdown_seconds": 60.0, "force_shutdown_seconds": 120.0}
    async with running(tmp_path, server, max_concurrent_uploads=50, **windows) as service:
        await asyncio.gather(*(service.queue.submit(report(number)) for number in range(in_flight)))
        for _ in range(in_flight):
            await server.has_got()
        stop = asyncio.gather(service.stop())
        await until(lambda: service.shutdown.progress.phase is ShutdownPhase.GRACEFUL)
        release.set()
        async with asyncio.timeout(DEADLINE_S):
            (result,) = await stop
    assert (result.outcome, result.pending) == (Outcome.CLEAN, 0)
    assert list(server.stored.values()) == [1] * in_flight
    assert len(names_in(tmp_path / "data" / "sent")) == in_flight


@pytest.mark.proves("C1.3")
async def test_what_outlives_the_window_stays_with_its_attempt_and_is_delivered_by_the_next_start(
    tmp_path: Path,
) -> None:
    server = ScriptedServer()
    server.misbehave = hang
    async with running(tmp_path, server) as service:
        await service.queue.submit(report())
        await server.has_got()
        result = await service.stop()
    (name,) = names_in(tmp_path / "data" / "pending")
    history = json.loads((tmp_path / "data" / "pending" / name).with_suffix(".history.json").read_text())
    assert (result.outcome, result.pending, history["attempts"]) == (Outcome.FORCED, 1, 1)
    server.misbehave = None
    async with running(tmp_path, server, retry_interval_seconds=1, retry_cap_seconds=0.01):
        await until(lambda: server.stored[report()["id"]] == 1)


async def send_deaf(_: WatsClient, __: str, ___: bytes) -> None:
    """Ignore every cancellation, a hundred times over."""
    for _round in range(100):
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue


async def send_shielded(_: WatsClient, __: str, ___: bytes) -> None:
    """Wait, whatever comes, for a task of its own that nobody cancels."""
    inner = asyncio.gather(asyncio.sleep(5))
    while not inner.done():
        try:
            await asyncio.shield(inner)
        except asyncio.CancelledError:
            continue


@pytest.mark.proves("C1.4")
@pytest.mark.parametrize("send", [send_deaf, send_shielded])
async def test_work_that_ignores_its_cancellation_is_named_and_does_not_hold_the_stop(
    tmp_path: Path, send: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began, loop = asyncio.Event(), asyncio.get_running_loop()

    async def sends(*args: Any) -> None:
        began.set()
        await send(*args)

    monkeypatch.setattr(WatsClient, "send", sends)
    service = make_service(tmp_path)
    await service.start()
    await service.queue.submit(report())
    await began.wait()
    asked_at = loop.time()
    result = await service.stop()
    assert loop.time() - asked_at < SHORT["force_shutdown_seconds"] + 0.5
    assert (result.outcome is not Outcome.CLEAN, result.forced, service.status) == (True, True, "Stopped")
    assert f"upload {report()['id']}" in result.left_behind
    assert f"upload {report()['id']}" in caplog.text
    await end_everything()


async def end_everything() -> None:
    """Wear out what a test made deaf, so that it does not hold up the tests."""
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in left:
            task.cancel()
        await asyncio.sleep(0)


CHILD = """
import asyncio, os, signal, sys, threading
from pathlib import Path
from pywats_reliability.cli import process
from pywats_reliability.wats_client import WatsClient

def block_for_ever():
    threading.Event().wait()

async def send_deaf(*_):
    ask()
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue

async def send_from_a_thread(*_):
    ask()
    await asyncio.to_thread(block_for_ever)

async def send_blocking(*_):
    ask()
    block_for_ever()

def ask():
    os.kill(os.getpid(), signal.SIGTERM)

process.GUARD_MARGIN_S = 0.3
WatsClient.send = globals()[sys.argv[2]]
folder = Path(sys.argv[1])
sys.exit(process.run_service(folder / "data", folder / "config.json", lambda service: None))
"""


def ends_of_a_child(folder: Path, send: str) -> tuple[int, str]:
    """Run the service as a process with a report in ``pending/``; it stops itself when the upload has begun."""
    settings = {
        "service_address": "http://127.0.0.1:9", "api_token": TOKEN, "ipc_socket": str(folder / "s"),
        "min_free_disk_bytes": 0, "health_port": 0, **SHORT,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "data" / "pending").mkdir(parents=True)
    (folder / "data" / "pending" / "by-hand.json").write_text(json.dumps(report()))
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": ""}
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(folder), send]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stderr


@pytest.mark.proves("C1.4", "C1.7")
@pytest.mark.parametrize("send", ["send_deaf", "send_from_a_thread", "send_blocking"])
async def test_a_process_whose_work_cannot_be_ended_still_exits_and_says_forced(tmp_path: Path, send: str) -> None:
    code, log = await asyncio.to_thread(ends_of_a_child, tmp_path, send)
    assert code == EXIT_FORCED, log
    assert "pending/" in log or "still there" in log or "still pending" in log
    assert len(names_in(tmp_path / "data" / "pending")) == 1


def left_of_a_service() -> dict[str, Any]:
    """Return what a service may leave behind in this process."""
    return {
        "tasks": sorted(task.get_name() for task in asyncio.all_tasks()),
        "threads": sorted(t.name for t in threading.enumerate() if not t.name.startswith("asyncio_")),
        "descriptors": psutil.Process().num_fds(),
        "children": psutil.Process().children(),
    }


CLOSERS = {
    "the report store": "pywats_reliability.store:ReportStore.close",
    "the connection to the server": "pywats_reliability.wats_client:WatsClient.aclose",
    "the queue": "pywats_reliability.queue_manager:QueueManager.close",
    "the converters": "pywats_reliability.converter_pool:AsyncConverterPool.close",
    "IPC": "pywats_reliability.ipc:AsyncIPCServer.close",
    "the health server": "pywats_reliability.health_server:HealthServer.close",
}


def break_closer(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Let a component's close do its work, and raise then."""
    module, _, dotted = place.partition(":")
    owner, _, name = dotted.partition(".")
    kind = getattr(importlib.import_module(module), owner)
    original = getattr(kind, name)

    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if not inspect.isawaitable(result):
            raise OSError(5, "planted")
        return raising_after(result)

    monkeypatch.setattr(kind, name, broken)


async def raising_after(work: Awaitable[object]) -> None:
    await work
    raise OSError(5, "planted")


@pytest.mark.proves("C1.5", "C2.10")
@pytest.mark.parametrize("broken", [*([name] for name in CLOSERS), list(CLOSERS), []], ids=", ".join)
async def test_whatever_closes_badly_the_rest_is_closed_and_nothing_is_left(
    tmp_path: Path, broken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = left_of_a_service()
    for name in broken:
        break_closer(monkeypatch, CLOSERS[name])
    async with running(tmp_path, health_port=free_port()) as service:
        await until(lambda: all(state.heartbeats for state in service._supervisor.states()))
        result = await service.stop()
    await until(lambda: left_of_a_service() == before)
    assert sorted(line.partition(":")[0] for line in result.errors) == sorted(broken)
    assert (result.outcome is Outcome.FAILED, service.status) == (bool(broken), "Stopped")
    assert not (tmp_path / "s").exists()
    monkeypatch.undo()
    async with running(tmp_path) as again:  # The lock is free.
        assert again.condition.status == "Running"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.proves("C1.5")
async def test_the_stop_says_how_many_reports_are_still_pending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = ScriptedServer()
    server.misbehave = hang
    async with running(tmp_path, server) as service:
        for number in range(3):
            await service.queue.submit(report(number))
        await server.has_got()
        await service.stop()
    assert "3 reports still pending, will be retried at the next start" in caplog.text


async def stops_before_start(service: AsyncClientService) -> None:
    await service.stop()
    with pytest.raises(ServiceStoppingError):
        await service.start()


async def stops_during_start(service: AsyncClientService) -> None:
    starting = asyncio.gather(service.start(), return_exceptions=True)
    await until(lambda: service._phase is Phase.STARTING)
    await service.stop()
    assert isinstance((await starting)[0], ServiceStoppingError)


async def stops_after_a_failed_start(service: AsyncClientService) -> None:
    Path(service.config.ipc_socket).mkdir()  # noqa: ASYNC240 - a test may block
    with pytest.raises(StartError):
        await service.start()
    assert service.status == "Stopped"
    await service.stop()
    Path(service.config.ipc_socket).rmdir()  # noqa: ASYNC240


async def stops_twice(service: AsyncClientService) -> None:
    await service.start()
    assert await service.stop() is await service.stop()


async def stops_from_five_callers(service: AsyncClientService) -> None:
    await service.start()
    results = await asyncio.gather(*(service.stop() for _ in range(5)))
    assert len(set(map(id, results))) == 1


async def is_cancelled_while_it_runs(service: AsyncClientService) -> None:
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(service.run())
        await until(lambda: service.status == "Running")
        run.cancel()
    assert run.cancelled()


async def is_cancelled_while_it_starts(service: AsyncClientService) -> None:
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(service.run())
        await until(lambda: service._phase is Phase.STARTING)
        run.cancel()
    assert run.cancelled()


async def starts_twice_at_once(service: AsyncClientService) -> None:
    await asyncio.gather(service.start(), service.start())
    await service.start()
    assert len(service._supervisor.states()) == len({state.name for state in service._supervisor.states()})
    await service.stop()


@pytest.mark.proves("C1.8", "C2.10")
@pytest.mark.parametrize(
    "life",
    [
        stops_before_start, stops_during_start, stops_after_a_failed_start, stops_twice, stops_from_five_callers,
        starts_twice_at_once, is_cancelled_while_it_runs, is_cancelled_while_it_starts,
    ],
)  # fmt: skip
async def test_however_it_is_stopped_it_ends_stopped_with_everything_released(
    tmp_path: Path, life: Callable[[AsyncClientService], Awaitable[None]]
) -> None:
    before = left_of_a_service()
    service = make_service(tmp_path)
    await life(service)
    await until(lambda: left_of_a_service() == before)
    assert (service.status, (tmp_path / "s").exists()) == ("Stopped", False)
    async with running(tmp_path) as again:
        assert again.status == "Running"


@pytest.mark.proves("C1.8", "H2.4")
async def test_a_start_that_fails_and_cannot_close_either_is_told_and_ends_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_closer(monkeypatch, CLOSERS["the connection to the server"])
    (tmp_path / "s").mkdir()
    service = make_service(tmp_path)
    with pytest.raises(StartError, match="IPC"):
        await service.start()
    assert service.status == "Stopped"
    await service.stop()


async def cut() -> httpx.Response | None:
    raise httpx.ReadError("connection reset by peer")


@pytest.mark.proves("C1.11")
@pytest.mark.parametrize("is_restored", [True, False])
async def test_a_network_lost_during_the_stop_loses_nothing_and_lengthens_nothing(
    tmp_path: Path, is_restored: bool
) -> None:
    server, lost = ScriptedServer(), asyncio.Event()

    async def cut_when_told() -> httpx.Response | None:
        await lost.wait()
        return await cut()

    server.misbehave = cut_when_told
    windows = {"graceful_shutdown_seconds": 60.0, "force_shutdown_seconds": 120.0}
    async with running(tmp_path, server, **windows) as service:
        await service.queue.submit(report())
        await server.has_got()
        stop = asyncio.gather(service.stop())
        await until(lambda: service.shutdown.progress.phase is ShutdownPhase.GRACEFUL)
        server.misbehave = None if is_restored else cut
        lost.set()
        async with asyncio.timeout(DEADLINE_S):
            (result,) = await stop
    assert (result.outcome, result.pending, server.stored.total()) == (Outcome.CLEAN, 1, 0)
    server.misbehave = None
    async with running(tmp_path, server, retry_interval_seconds=1, retry_cap_seconds=0.01):
        await until(lambda: len(names_in(tmp_path / "data" / "sent")) == 1)
    assert server.stored == {report()["id"]: 1}


@pytest.mark.proves("C1.12")
async def test_a_stop_can_be_followed_and_its_duration_and_outcome_are_metrics(tmp_path: Path) -> None:
    server, seen = ScriptedServer(), list[ShutdownProgress]()
    server.misbehave = hang
    async with running(tmp_path, server) as service:
        service.shutdown.on_progress.subscribe(seen.append)
        await service.queue.submit(report())
        await server.has_got()
        result = await service.stop()
    phases = list(dict.fromkeys(str(each.phase) for each in seen))
    assert phases == ["graceful", "forced", "verify", "done"]
    assert [each.in_flight for each in seen if each.phase is ShutdownPhase.GRACEFUL].count(1) >= 3
    text = service.metrics_text().decode()
    assert 'pywats_shutdowns_total{outcome="forced"} 1.0' in text
    assert f"pywats_shutdown_duration_seconds {result.duration_s}" in text


@pytest.mark.proves("C1.12")
async def test_after_three_forced_shutdowns_in_a_row_the_next_start_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = ScriptedServer()
    server.misbehave = hang
    told = []
    for _ in range(4):
        async with running(tmp_path, server, graceful_shutdown_seconds=0.01, retry_interval_seconds=1) as service:
            told.append(any("the last 3 forced" in reason for reason in service.condition.reasons))
            await service.queue.submit(report(len(told)))
            await server.has_got()
    assert told == [False, False, False, True]
    assert "the last 3 forced" in caplog.text
