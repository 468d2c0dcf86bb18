"""The service as a process under signals: what each asks for, and the exit code that says how it ended (C1.7)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.service.loopback_server import Behaviour, Exchange, serving
from tests.service.test_service_start_stop import TOKEN, names_in, report

pytestmark = [pytest.mark.asyncio, pytest.mark.proves("C1.7")]
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
LIMIT_S = 25.0


async def receipt(exchange: Exchange) -> None:
    body = await exchange.read_all()
    await exchange.answer(200, json.dumps({"ID": json.loads(body)["id"]} if body else "1.0").encode())


async def hang(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.hang()


@asynccontextmanager
async def service(folder: Path, url: str, **settings: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the service as an operator does; it is killed at the end of the block unless it has ended."""
    (folder / "config.json").write_text(json.dumps({
        "service_address": url, "api_token": TOKEN, "ipc_socket": str(folder / "s"), "health_port": 0,
        "min_free_disk_bytes": 0, "graceful_shutdown_seconds": 60.0, "force_shutdown_seconds": 120.0, **settings,
    }))  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYWATS_", "XDG_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pywats_reliability", "run",
        "--data", str(folder / "data"), "--config", str(folder / "config.json"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**environment, "HOME": str(folder)},
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        assert json.loads(await process.stdout.readline())["status"] == "Running"


async def end_of(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    """Return the exit code and what was said on stderr."""
    async with asyncio.timeout(LIMIT_S):
        _, said = await process.communicate()
    assert b"Traceback" not in said, said.decode()
    return process.returncode, said.decode()


@asynccontextmanager
async def with_an_upload_that_hangs(
    folder: Path, behaviour: Behaviour = hang
) -> AsyncIterator[asyncio.subprocess.Process]:
    (folder / "data" / "pending").mkdir(parents=True)
    (folder / "data" / "pending" / "by-hand.json").write_text(json.dumps(report()))
    async with serving(behaviour) as server, service(folder, server.url) as process:
        await ready(process)
        async with asyncio.timeout(LIMIT_S):
            await server.arrived.wait()
            while not any(b"POST" in exchange.head for exchange in server.exchanges):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield process


@BOTH
async def test_one_signal_stops_it_clean(tmp_path: Path, number: signal.Signals) -> None:
    async with serving(receipt) as server, service(tmp_path, server.url) as process:
        await ready(process)
        process.send_signal(number)
        code, _ = await end_of(process)
    assert (code, (tmp_path / "s").exists()) == (0, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
async def test_a_log_without_room_does_not_change_how_the_stop_ends(tmp_path: Path) -> None:
    async with serving(receipt) as server, service(tmp_path, server.url, log_file="/dev/full") as process:
        await ready(process)
        process.send_signal(signal.SIGTERM)
        code, said = await end_of(process)
    assert (code, "the log's last lines could not be written" in said) == (0, True)


@pytest.mark.parametrize(("number", "times"), [(signal.SIGTERM, 5), (signal.SIGINT, 2)])
async def test_a_second_signal_cancels_what_is_in_flight_and_the_report_stays(
    tmp_path: Path, number: signal.Signals, times: int
) -> None:
    """The window is a minute; the end comes at once, and further signals change nothing."""
    async with with_an_upload_that_hangs(tmp_path) as process:
        for _ in range(times):
            with contextlib.suppress(ProcessLookupError):  # It may have ended by now.
                process.send_signal(number)
            await asyncio.sleep(0.02)  # Two of a kind at once are one signal.
        code, said = await end_of(process)
    assert (code, "1 reports still pending" in said) == (3, True)
    assert len(names_in(tmp_path / "data" / "pending")) == 1


async def test_different_signals_count_together(tmp_path: Path) -> None:
    async with with_an_upload_that_hangs(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        code, _ = await end_of(process)
    assert code == 3


@BOTH
async def test_a_signal_during_the_start_stops_it_with_everything_released(
    tmp_path: Path, number: signal.Signals
) -> None:
    """From the instant its handlers are there; a start with many files takes long enough to be met."""
    pending = tmp_path / "data" / "pending"
    pending.mkdir(parents=True)
    for each in range(300):
        (pending / f"{each}.json").write_text(json.dumps(report(each)))
    async with serving(receipt) as server, service(tmp_path, server.url) as process:
        async with asyncio.timeout(LIMIT_S):
            while not (tmp_path / "data" / ".lock.holder").exists():  # noqa: ASYNC110 - of files, which tell nobody
                await asyncio.sleep(0.001)
        process.send_signal(number)
        code, _ = await end_of(process)
    assert (code, (tmp_path / "s").exists()) == (0, False)
    kept = len(names_in(tmp_path / "data" / "sent")) + sum(not n.name.startswith(".") for n in pending.glob("*.json"))
    assert kept == 300
