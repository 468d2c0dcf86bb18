"""Threads that block for ever while the service stops: it ends in time and names each, with what it is at (C1.4)."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability import config_file
from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError
from pywats_reliability.shutdown import EXIT_FORCED
from pywats_reliability.store.lock import HOLDER_NAME
from pywats_reliability.workers import Workers
from tests.service.service_world import make_world
from tests.service.store_world import contents, failing, make_report, opened

pytestmark = [pytest.mark.proves("C1.4"), pytest.mark.asyncio]


class StuckDisk(Disk):
    """A disk that does not come back from one kind of call until it is let go."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self.met, self._gate = threading.Event(), threading.Event()
        real = getattr(self, call)

        def stuck(*args: Any, **kwargs: Any) -> Any:
            self.met.set()
            self._gate.wait(20)
            return real(*args, **kwargs)

        setattr(self, call, stuck)

    def let_go(self) -> None:
        """End every call that is stuck."""
        self._gate.set()


@pytest.fixture
def gates() -> Iterator[list[StuckDisk]]:
    """Let go of every disk of the test in the end."""
    made: list[StuckDisk] = []
    yield made
    for disk in made:
        disk.let_go()


async def met(event: threading.Event) -> None:
    """Return once a thread has set ``event``."""
    assert await asyncio.to_thread(event.wait, 10)


async def test_a_thread_that_moves_a_report_is_named_with_the_report(tmp_path: Path, gates: list[StuckDisk]) -> None:
    disk = StuckDisk("move")
    gates.append(disk)
    world = make_world(tmp_path, disk=disk, force_shutdown_seconds=3.0)
    await world.service.start()
    report_id = await world.service.queue.submit(contents())
    await met(disk.met)
    began = asyncio.get_running_loop().time()
    report = await world.service.stop()
    assert (report.exit_code, asyncio.get_running_loop().time() - began < 3.5) == (EXIT_FORCED, True)
    [left] = report.left_behind
    assert left.startswith(f"thread of pywats-store: moving report {report_id} from pending/ to sent/, for ")


async def test_a_start_that_the_disk_holds_up_is_named_by_the_stop(tmp_path: Path, gates: list[StuckDisk]) -> None:
    disk = StuckDisk("list_kinds")
    gates.append(disk)
    world = make_world(tmp_path, disk=disk, force_shutdown_seconds=3.0)
    running = asyncio.ensure_future(world.service.run())  # noqa: TID251 - what a process does
    await met(disk.met)
    world.service.request_shutdown()
    report = await running
    assert [line.rpartition(",")[0] for line in report.left_behind] == [
        "thread of pywats-store: recovering what the folders hold"
    ]


async def test_a_thread_that_reads_the_configuration_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, began = threading.Event(), threading.Event()

    def read(_: Path) -> bytes:
        began.set()
        gate.wait(20)
        return b"{}"

    monkeypatch.setattr(config_file, "_contents", read)
    world = make_world(tmp_path, config_path=tmp_path / "config.json", force_shutdown_seconds=3.0)
    await world.service.start()
    await met(began)
    report = await world.service.stop()
    gate.set()
    assert [line.partition(",")[0] for line in report.left_behind] == [
        f"thread of pywats-service: reading {tmp_path}/config.json"
    ]


async def test_only_what_has_begun_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    gate, workers = threading.Event(), Workers("few", 1)
    workers.start(lambda: gate.wait(20), "the first")
    waiting = workers.start(lambda: None, "the second")
    assert not await workers.close(0.01)
    gate.set()
    assert waiting.cancelled()
    assert "closed, and left behind: thread of few: the first, for 0.0 s" in caplog.text


async def test_a_lock_that_cannot_be_released_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="remove"), failing("unlink", errno.EIO, only=lambda path: HOLDER_NAME in path):
        async with opened(tmp_path) as store:
            await store.accept(make_report())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pywats-store")]
    async with opened(tmp_path) as store:
        assert store.counts.pending == 1


async def test_what_failed_an_opening_is_told_also_when_the_lock_stays(tmp_path: Path) -> None:
    def never(path: str) -> bool:
        return HOLDER_NAME in path

    disk = Disk()

    def refuse(_: object) -> list[tuple[str, bool]]:
        raise DiskError("list", tmp_path, OSError(errno.EIO, "no"))

    disk.list_kinds = refuse  # type: ignore[assignment,method-assign] # the disk's trouble
    with failing("unlink", errno.EROFS, only=never), pytest.raises(DiskError, match="list") as failed:
        async with opened(tmp_path, disk=disk):
            raise AssertionError("it was opened")
    assert "remove" in str(failed.value.__notes__)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pywats-store")]
