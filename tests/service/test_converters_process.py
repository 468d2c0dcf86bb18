"""Converting in a real process that is killed at the worst instants, and started again (C1.9)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.service.loopback_server import Exchange, LoopbackServer, serving
from tests.service.store_world import FIELDS
from tests.service.test_service_start_stop import TOKEN, names_in, until

pytestmark = pytest.mark.asyncio
CHILD = """
import os, signal, sys
from pathlib import Path
from pywats_reliability.cli import process
from pywats_reliability.client_service import settings
from pywats_reliability.converter_pool import PoolSettings
from pywats_reliability.converter_pool.filing import Filing
from pywats_reliability.queue_manager import QueueManager

def end(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def end_before(*_, **__):
    end()

def end_after(whole):
    async def submit(*args, **more):
        await whole(*args, **more)
        end()
    return submit

def end_after_moving(whole):
    def move(*args):
        whole(*args)
        end()
    return move

PLACES = {
    "before it is accepted": lambda: setattr(QueueManager, "submit_converted", end_before),
    "after it is accepted": lambda: setattr(QueueManager, "submit_converted", end_after(QueueManager.submit_converted)),
    "before it is moved": lambda: setattr(Filing, "move", end),
    "after it is moved": lambda: setattr(Filing, "move", end_after_moving(Filing.move)),
    "nowhere": lambda: None,
}
settings.pool_settings = lambda config: PoolSettings(look_interval_s=0.02, settle_s=0.05)
PLACES[sys.argv[2]]()
folder = Path(sys.argv[1])
sys.exit(process.run_service(folder / "data", folder / "config.json", lambda service: print("ready", flush=True)))
"""
THEIRS = """
import os, time
from pathlib import Path
class Theirs:
    def convert(self, source, context):
        from pywats_reliability.converters import ConverterResult
        Path(context.get_argument("began")).write_text(str(os.getpid()))
        while not Path(context.get_argument("gate")).exists():
            time.sleep(0.01)
        return ConverterResult.success_result({**context.get_argument("fields"), "sn": source.read_text()})
"""


class Station:
    """A service as a process, a server that takes everything, and a converter that waits at a gate."""

    def __init__(self, folder: Path, server: LoopbackServer) -> None:
        self.folder, self.server = folder, server
        (folder / "in" / "done").mkdir(parents=True)
        (folder / "theirs.py").write_text(THEIRS)
        arguments = {"gate": str(folder / "gate"), "began": str(folder / "began"), "fields": FIELDS}
        mine = {
            "name": "c", "module_path": str(folder / "theirs.py"), "watch_folder": str(folder / "in"),
            "arguments": arguments,
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps({
            "service_address": server.url, "api_token": TOKEN, "ipc_socket": str(folder / "s"), "health_port": 0,
            "min_free_disk_bytes": 0, "graceful_shutdown_seconds": 1, "force_shutdown_seconds": 6,
            "retry_interval_seconds": 1, "converters": [mine],
        }))  # fmt: skip

    @asynccontextmanager
    async def service(self, ends: str = "nowhere") -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the service; it is killed at the end of the block unless it has ended."""
        environment = {**os.environ, "HOME": str(self.folder), "XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": ""}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", textwrap.dedent(CHILD), str(self.folder), ends,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
        )  # fmt: skip
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            _, words = await process.communicate()
            assert b"Traceback" not in words, words.decode()

    def reports(self) -> list[dict[str, Any]]:
        """Return what the server has got, in order."""
        return [json.loads(body) for body in self.server.bodies if body]

    async def worker(self) -> int:
        """Return the number of the process that converts, once it does."""
        began = self.folder / "began"
        await until(lambda: began.exists() and began.read_text() != "")
        return int(began.read_text())

    def sources(self) -> list[str]:
        """Return the contents of the source wherever it is."""
        return [path.read_text() for path in (self.folder / "in").rglob("*") if path.is_file()]


async def receipt(exchange: Exchange) -> None:
    body = await exchange.read_all()
    await exchange.answer(200, json.dumps({"ID": json.loads(body)["id"]} if body else "1.0").encode())


@asynccontextmanager
async def station(folder: Path) -> AsyncIterator[Station]:
    async with serving(receipt) as server:
        yield Station(folder, server)


async def ended_by_itself(process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(20):
        assert await process.wait() == -signal.SIGKILL


@pytest.mark.proves("C1.9")
@pytest.mark.parametrize(
    "place", ["before it is accepted", "after it is accepted", "before it is moved", "after it is moved"]
)
async def test_killed_at_a_step_the_source_gives_one_report_and_is_moved_without_overwriting(
    tmp_path: Path, place: str
) -> None:
    async with station(tmp_path) as at:
        (tmp_path / "gate").touch()
        (tmp_path / "in" / "done" / "a.txt").write_text("an earlier one")
        (tmp_path / "in" / "a.txt").write_text("SN-1")
        async with at.service(place) as process:
            await ended_by_itself(process)
        assert sorted(at.sources()) == ["SN-1", "an earlier one"]
        async with at.service():
            await until(lambda: names_in(tmp_path / "data" / "sent") != [] and not (tmp_path / "in/a.txt").exists())
            await until(lambda: names_in(tmp_path / "data" / "pending") == [])
        assert {made["id"] for made in at.reports()} == {at.reports()[0]["id"]}
        assert [made for made in at.reports() if made != at.reports()[0]] == []
        assert sorted(at.sources()) == ["SN-1", "an earlier one"]
        assert (tmp_path / "in" / "done" / "a.txt").read_text() == "an earlier one"


@pytest.mark.proves("C1.9", "C1.4")
async def test_killed_in_the_midst_of_a_conversion_the_worker_goes_too_and_the_next_start_makes_up_for_it(
    tmp_path: Path,
) -> None:
    async with station(tmp_path) as at:
        (tmp_path / "in" / "a.txt").write_text("SN-1")
        async with at.service() as process:
            worker = await at.worker()
            process.kill()
            await ended_by_itself(process)
        await until(lambda: not psutil.pid_exists(worker))
        assert (at.sources(), at.reports()) == (["SN-1"], [])
        (tmp_path / "gate").touch()
        async with at.service():
            await until(lambda: len(names_in(tmp_path / "data" / "sent")) == 1)
        assert [made["sn"] for made in at.reports()] == ["SN-1"]


@pytest.mark.proves("C1.4", "C1.7")
async def test_asked_to_stop_in_an_endless_conversion_it_exits_forced_in_time(tmp_path: Path) -> None:
    async with station(tmp_path) as at, at.service() as process:
        (tmp_path / "in" / "a.txt").write_text("SN-1")
        worker = await at.worker()
        process.terminate()
        async with asyncio.timeout(15):
            assert await process.wait() == 3
        assert not psutil.pid_exists(worker)
        assert at.sources() == ["SN-1"]
