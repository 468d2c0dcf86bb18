"""The pool with the real queue, the real store, real threads and processes: whole, in real time (C1.9, C1.3, H5.3)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.converter_pool import AsyncConverterPool, PoolSettings
from pywats_reliability.disk import Disk
from pywats_reliability.queue_manager import FullAction, QueueManager
from pywats_reliability.store import ReportStore, StoreLimits
from tests.service.converter_world import REPORT, STATION, make_config
from tests.service.store_world import SetClock, opened, records

pytestmark = [pytest.mark.asyncio, pytest.mark.proves("C1.9")]
SAMPLES = Path(__file__).parents[2] / "examples" / "converters"
DEADLINE_S = 20.0
QUICK = PoolSettings(look_interval_s=0.01, settle_s=0.02, station=STATION, conversion_timeout_s=DEADLINE_S)
HANGING = "class Theirs:\n    def convert(self, source, context):\n        while True: pass\n"


@asynccontextmanager
async def converting(
    folder: Path, store: ReportStore, *configs: dict[str, Any], full_action: FullAction = FullAction.REJECT
) -> AsyncIterator[AsyncConverterPool]:
    """Run a pool that is made as the service makes it, beside its store."""
    queue = QueueManager(store, full_action=full_action)
    pool = AsyncConverterPool(
        [make_config(**config) for config in configs], queue, data=folder, disk=Disk(), clock=SetClock(),
        settings=QUICK, converters_folder=SAMPLES,
    )  # fmt: skip
    queue.intake_paused.subscribe(pool.pause)
    queue.intake_resumed.subscribe(pool.resume)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        run = tasks.create_task(pool.run(lambda: None))
        yield pool
        run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await run
    await pool.close()
    queue.close()
    assert pool.left_behind() == ()


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - of files, which tell nobody
        await asyncio.sleep(0.005)


def folder_in(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


async def test_every_sample_becomes_reports_in_pending(tmp_path: Path) -> None:
    configs: list[dict[str, Any]] = [
        {"name": "wsjf", "module_path": "wsjf", "file_patterns": ["*.json"]},
        {
            "name": "csv", "module_path": "csv", "file_patterns": ["*.csv"],
            "arguments": {"rev": "A", "process_code": 10},
        },
        {"name": "theirs", "module_path": "one_line.py", "file_patterns": ["*.txt"]},
    ]  # fmt: skip
    inbox = folder_in(tmp_path / "in")
    async with opened(tmp_path) as store, converting(tmp_path, store, *configs) as pool:
        for sample in ("report.json", "log.csv", "units.csv"):
            (inbox / sample).write_bytes((SAMPLES / sample).read_bytes())
        (inbox / "line.txt").write_text("SN-0005 PASS")
        await until(lambda: pool.stats.successful == 4)
        found = sorted(json.loads(body)["sn"] for body in records(tmp_path / "pending"))
        assert found == [f"SN-000{number}" for number in (1, 2, 3, 4, 5)]
        assert (SAMPLES / "report.json").read_bytes() in records(tmp_path / "pending")


async def test_what_hangs_in_its_process_is_cut_off_and_its_file_stays(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(HANGING)
    inbox = folder_in(tmp_path / "in")
    (inbox / "a.csv").touch()
    config = {"module_path": str(tmp_path / "theirs.py")}
    async with opened(tmp_path) as store, converting(tmp_path, store, config) as pool:
        await until(lambda: pool.get_active_count() == 1)
        pool.stop_accepting()
    assert [path.name for path in inbox.iterdir()] == ["a.csv"]
    assert records(tmp_path / "pending") == []


async def test_a_full_queue_pauses_converting_until_there_is_room(tmp_path: Path) -> None:
    inbox = folder_in(tmp_path / "in")
    limits = StoreLimits(max_reports=1)
    pausing = FullAction.PAUSE
    async with (
        opened(tmp_path, limits) as store,
        converting(tmp_path, store, {"module_path": "wsjf"}, full_action=pausing) as pool,
    ):
        for number in range(3):
            (inbox / f"{number}.json").write_bytes(REPORT)
        for count in (1, 2, 3):
            await until(lambda count=count: pool.stats.successful == count and pool.paused_reason is not None)  # type: ignore[misc]
            record = store.take()
            assert record is not None
            await store.mark_sent(record)
        assert (len(list((tmp_path / "sent").iterdir())), pool.stats.errors) == (3, 0)


async def test_a_hundred_files_are_a_hundred_reports(tmp_path: Path) -> None:
    inbox = folder_in(tmp_path / "in")
    for number in range(100):
        (inbox / f"{number}.json").write_bytes(REPORT)
    async with opened(tmp_path) as store, converting(tmp_path, store, {"module_path": "wsjf"}) as pool:
        await until(lambda: pool.stats.successful == 100)
        assert len(records(tmp_path / "pending")) == len(list((inbox / "done").iterdir())) == 100
