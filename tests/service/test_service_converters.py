"""Facts about converting within the whole service: from the dropped file to the server, through stop and start."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from pywats_reliability.client_service import AsyncClientService
from pywats_reliability.converter_pool import PoolSettings
from pywats_reliability.converters.wsjf import WsjfConverter
from pywats_reliability.errors import ConverterNotFoundError, IPCRemoteError, IPCServiceStoppingError
from pywats_reliability.health import Condition
from pywats_reliability.shutdown import Outcome, ShutdownPhase
from tests.service.store_world import contents
from tests.service.test_service_start_stop import (
    ScriptedServer,
    client_of,
    free_port,
    hang,
    names_in,
    report,
    running,
    until,
)

pytestmark = pytest.mark.asyncio
QUICK = PoolSettings(look_interval_s=0.01, settle_s=0.02)
ENDLESS = "class Theirs:\n    def convert(self, source, context):\n        while True: pass\n"
WIDE: dict[str, Any] = {"graceful_shutdown_seconds": 60.0, "force_shutdown_seconds": 120.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a dropped file be whole after hundredths of a second."""
    monkeypatch.setattr("pywats_reliability.client_service.settings.pool_settings", lambda _: QUICK)


def converter(folder: Path, **more: Any) -> dict[str, Any]:
    """Return the configuration of a converter that watches ``folder/in``, which is made."""
    (folder / "in").mkdir(exist_ok=True)
    return {"name": "c", "module_path": "wsjf", "watch_folder": str(folder / "in"), "file_patterns": ["*"], **more}


def drop(folder: Path, name: str = "a.json", number: int = 1) -> Path:
    path = folder / "in" / name
    path.write_bytes(contents(id=report(number)["id"]))
    return path


def files(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


class Gate:
    """Holds conversions up, in their threads, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began, self.opened = threading.Event(), threading.Event()
        convert = WsjfConverter.convert

        def waits(*args: Any) -> Any:
            self.began.set()
            self.opened.wait(20)
            return convert(*args)

        monkeypatch.setattr(WsjfConverter, "convert", waits)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hold conversions up; whatever a test leaves in a thread ends with it."""
    held = Gate(monkeypatch)
    yield held
    held.opened.set()


@pytest.mark.proves("C1.9")
async def test_a_dropped_file_is_on_the_server_and_filed_away(tmp_path: Path) -> None:
    server = ScriptedServer()
    async with running(tmp_path, server, converters=[converter(tmp_path)]) as service:
        source = drop(tmp_path)
        body = source.read_bytes()
        await until(lambda: server.stored[report()["id"]] == 1 and service.converters.stats.successful == 1)
        assert (tmp_path / "in" / "done" / "a.json").read_bytes() == body
        told = service.status_data()
        assert (told["conversions_completed"], told["converter_pool"]["successful"], told["errors"]) == (1, 1, 0)
        text = service.metrics_text().decode()
        assert "pywats_converter_successful_total 1.0" in text


@pytest.mark.proves("C1.9")
async def test_a_file_dropped_while_the_service_was_down_is_found_and_nothing_done_is_overwritten(
    tmp_path: Path,
) -> None:
    server, mine = ScriptedServer(), converter(tmp_path)
    done = tmp_path / "in" / "done"
    done.mkdir()
    (done / "a.json").write_text("somebody's")
    drop(tmp_path)
    async with running(tmp_path, server, converters=[mine]):
        await until(lambda: server.stored.total() == 1 and not files(tmp_path / "in"))
    assert files(done) == ["a.2.json", "a.json"]
    assert (done / "a.json").read_text() == "somebody's"


@pytest.mark.proves("C1.1")
async def test_from_the_request_on_no_conversion_begins_and_the_watchers_are_off(tmp_path: Path) -> None:
    server = ScriptedServer()
    server.misbehave = hang
    async with running(tmp_path, server, converters=[converter(tmp_path)], graceful_shutdown_seconds=0.3) as service:
        await until(lambda: service.converters.describe()[0]["state"] == "running")
        await service.queue.submit(report())
        await server.has_got()
        stop = asyncio.gather(service.stop())
        await until(lambda: service.shutdown.progress.phase is ShutdownPhase.GRACEFUL)
        drop(tmp_path, number=2)
        await stop
    assert (files(tmp_path / "in"), len(names_in(tmp_path / "data" / "pending"))) == (["a.json"], 1)


@pytest.mark.proves("C1.2")
async def test_a_conversion_in_flight_ends_its_report_is_kept_and_the_stop_ends_with_it(
    tmp_path: Path, gate: Gate
) -> None:
    async with running(tmp_path, converters=[converter(tmp_path)], **WIDE) as service:
        drop(tmp_path)
        await until(gate.began.is_set)
        stop = asyncio.gather(service.stop())
        await until(lambda: service.shutdown.progress.phase is ShutdownPhase.GRACEFUL)
        assert service.shutdown.progress.in_flight == 1
        gate.opened.set()
        async with asyncio.timeout(10):
            (result,) = await stop
    assert (result.outcome, result.pending, result.left_behind) == (Outcome.CLEAN, 1, ())
    assert (files(tmp_path / "in"), files(tmp_path / "in" / "done")) == ([], ["a.json"])


@pytest.mark.proves("C1.3", "C1.9")
async def test_a_conversion_that_outlives_the_window_is_cut_off_and_made_up_for_at_the_next_start(
    tmp_path: Path,
) -> None:
    server, theirs = ScriptedServer(), tmp_path / "theirs.py"
    theirs.write_text(ENDLESS)
    async with running(tmp_path, server, converters=[converter(tmp_path, module_path=str(theirs))]) as service:
        await until(lambda: service.converters.describe()[0]["state"] == "running")
        drop(tmp_path)
        await until(lambda: service.converters.get_active_count() == 1)
        seen: list[tuple[str, int]] = []
        service.shutdown.on_progress.subscribe(lambda at: seen.append((str(at.phase), at.in_flight)))
        result = await service.stop()
    assert [in_flight for phase, in_flight in seen if phase == "verify"][:1] == [0], "it ended in the forced phase"
    assert (result.outcome, result.left_behind, files(tmp_path / "in")) == (Outcome.FORCED, (), ["a.json"])
    async with running(tmp_path, server, converters=[converter(tmp_path)]):
        await until(lambda: server.stored[report()["id"]] == 1)


@pytest.mark.proves("C1.4")
async def test_a_conversion_that_blocks_a_thread_is_named_and_does_not_hold_the_stop(
    tmp_path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    async with running(tmp_path, converters=[converter(tmp_path)]) as service:
        drop(tmp_path)
        await until(gate.began.is_set)
        asked_at = loop.time()
        result = await service.stop()
        assert loop.time() - asked_at < service.config.force_shutdown_seconds + 0.5
    assert (result.forced, result.left_behind) == (True, ("converting a.json",))
    assert "conversion of a.json by c" in caplog.text
    assert files(tmp_path / "in") == ["a.json"]


@pytest.mark.proves("C2.9")
async def test_a_converter_that_cannot_be_loaded_is_shown_everywhere_and_the_others_work(tmp_path: Path) -> None:
    server = ScriptedServer()
    bad = converter(tmp_path, name="bad", module_path=str(tmp_path / "none.py"), file_patterns=["*.txt"])
    settings: dict[str, Any] = {"converters": [bad, converter(tmp_path)], "health_port": free_port()}
    async with running(tmp_path, server, **settings) as service:
        await until(lambda: any("converter: bad" in reason for reason in service.condition.reasons))
        drop(tmp_path)
        await until(lambda: server.stored.total() == 1)
        async with client_of(service) as client, httpx.AsyncClient(trust_env=False) as http:
            told: Any = await client.request("get_status")
            described: Any = await client.request("get_converters")
            page = await http.get(f"http://127.0.0.1:{service.config.health_port}/health/details")
        for answer in (told, page.json()):
            assert (answer["status"], answer["degraded"]) == ("Running", True)
            assert any("converter: bad" in reason for reason in answer["reasons"])
        assert {each["name"]: each["state"] for each in described} == {"bad": "failed", "c": "running"}


@pytest.mark.proves("H5.3")
async def test_a_full_queue_pauses_converting_and_room_lets_it_go_on(tmp_path: Path) -> None:
    server, may_answer = ScriptedServer(), asyncio.Event()

    async def wait() -> None:
        await may_answer.wait()

    server.misbehave = wait
    settings: dict[str, Any] = {"queue_full_action": "pause", "max_queue_size": 1, "converters": [converter(tmp_path)]}
    async with running(tmp_path, server, **settings) as service:
        seen: list[Condition] = []
        service.queue.intake_paused.subscribe(lambda _: seen.append(service.condition))
        for number in range(3):
            drop(tmp_path, f"{number}.json", number)
        await until(lambda: service.status == "Paused")
        assert any(reason.startswith("paused: ") for reason in seen[0].reasons)
        assert service.queue.counts.pending == 1
        may_answer.set()
        await until(lambda: server.stored.total() == 3)
        await until(lambda: service.status == "Running")
        assert service.converters.stats.errors == 0


async def states(service: AsyncClientService) -> dict[str, str]:
    async with client_of(service) as client:
        told: Any = await client.request("get_converters")
    return {each["name"]: each["state"] for each in told}


async def test_over_ipc_a_converter_is_stopped_and_started(tmp_path: Path) -> None:
    server = ScriptedServer()
    async with running(tmp_path, server, converters=[converter(tmp_path)]) as service, client_of(service) as client:
        assert await client.request("stop_converter", {"name": "c"}) == {"name": "c", "wanted": False}
        drop(tmp_path)
        assert await states(service) == {"c": "stopped"}
        assert await client.request("start_converter", {"name": "c"}) == {"name": "c", "wanted": True}
        await until(lambda: server.stored.total() == 1)
        assert await states(service) == {"c": "running"}


@pytest.mark.proves("H3.3")
@pytest.mark.parametrize("command", ["start_converter", "stop_converter"])
async def test_over_ipc_an_unknown_converter_is_an_error_that_names_those_there_are(
    tmp_path: Path, command: str
) -> None:
    async with running(tmp_path, converters=[converter(tmp_path)]) as service, client_of(service) as client:
        with pytest.raises(IPCRemoteError, match="the configuration has: c") as caught:
            await client.request(command, {"name": "other"})
        assert caught.value.remote_code == ConverterNotFoundError.code
        with pytest.raises(IPCRemoteError, match=r"args\.name"):
            await client.request(command, {})


@pytest.mark.proves("C1.1")
@pytest.mark.parametrize("command", ["start_converter", "stop_converter"])
async def test_over_ipc_no_converter_is_started_or_stopped_while_the_service_stops(
    tmp_path: Path, command: str, gate: Gate
) -> None:
    async with running(tmp_path, converters=[converter(tmp_path)], **WIDE) as service, client_of(service) as client:
        drop(tmp_path)
        await until(gate.began.is_set)
        stop = asyncio.gather(service.stop())
        await until(lambda: service.shutdown.progress.phase is ShutdownPhase.GRACEFUL)
        with pytest.raises(IPCServiceStoppingError):
            await client.request(command, {"name": "c"})
        gate.opened.set()
        await stop


async def test_the_list_of_converters_may_change_while_the_service_runs(tmp_path: Path) -> None:
    server = ScriptedServer()
    async with running(tmp_path, server) as service:
        drop_later = converter(tmp_path)
        await service.change_settings({"converters": [drop_later]})
        drop(tmp_path)
        await until(lambda: server.stored.total() == 1)
        await service.change_settings({"converters_enabled": False})
        assert service.converters.describe() == []
        await service.change_settings({"converters_enabled": True})
        drop(tmp_path, number=2)
        await until(lambda: server.stored.total() == 2)
