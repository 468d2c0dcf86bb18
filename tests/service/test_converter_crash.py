"""Cut off at any instant, a conversion leaves its source or an accepted report: never neither, never two (C1.9).

Every disk call of a conversion, and the submitting of every report, is tried in turn: the process ends there, or the
pool is cancelled there, or the call fails. Whatever was cut off, the next start (or the same run) brings it to its end.
"""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pywats_reliability.converters import ConverterResult, ConverterSource
from pywats_reliability.errors import DiskError
from tests.service.converter_world import Crash, InterruptedDisk, MemoryQueue, QuickDisk, World
from tests.service.store_world import FIELDS
from tests.service.virtual_clock import in_virtual_time

pytestmark = pytest.mark.proves("C1.9")
CONTENTS = b"whole contents"
ACTIONS = ["move", "delete", "archive", "keep"]


def two_reports(source: ConverterSource, _attempt: int) -> ConverterResult:
    """Make two reports that show whether the source was whole."""
    fields = {**FIELDS, "contents": source.read_bytes().decode()}
    return ConverterResult.success_result(reports=[{**fields, "sn": "1"}, {**fields, "sn": "2"}])


def make_world(folder: Path, action: str, **more: Any) -> World:
    config = {"post_action": action, "retry_delay_seconds": 1, "pending_folder": "waiting"}
    return World(folder, config, script=two_reports, **more)


def is_at_its_end(world: World, action: str) -> bool:
    """Return whether the source is where it should be in the end."""
    if action == "keep":
        return any((world.data / "converters").glob("[!.]*")) and not world.pool.get_active_count()
    filed = {"move": world.names("in/done"), "archive": world.names("in/archive"), "delete": ["gone"]}[action]
    return not world.names() and any(not name.startswith(".") for name in filed)


def check_that_nothing_is_lost(world: World) -> None:
    """The source is in place, or put away whole with its reports accepted; no report has two faces."""
    bodies = {(report_id, body) for report_id, body, _ in world.queue.kept}
    assert len(bodies) == len(set(world.queue.ids)) <= 2, "a report of the source has two faces"
    in_place = [path.read_bytes() for path in (world.data / "in").glob("a*.csv")]
    assert in_place in ([], [CONTENTS])
    assert in_place or len(bodies) == 2, "the source is gone and its reports are not accepted"
    for path in (world.data / "in/done").glob("[!.]*"):
        assert path.read_bytes() == CONTENTS
    for path in (world.data / "in/archive").glob("[!.]*"):
        with zipfile.ZipFile(path) as archive:
            assert archive.read("a.csv") == CONTENTS


async def run_until_cut_off(world: World, action: str) -> None:
    """Run until the pool ends, or the source is where it should be."""
    try:
        async with world.running():
            assert world.run is not None
            run = world.run
            await world.until(lambda: run.done() or is_at_its_end(world, action))
    except* Crash:
        await world.pool.close()


async def bring_to_its_end(folder: Path, action: str, queue: MemoryQueue) -> World:
    """Start anew, until the source is where it should be."""
    queue.before = queue.after = lambda _: None
    world = make_world(folder, action, queue=queue, disk=QuickDisk())
    async with world.running():
        await world.until(lambda: is_at_its_end(world, action))
    return world


def crash(_: object) -> None:
    raise Crash


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("action", ACTIONS)
def test_the_process_ends_at_every_call(tmp_path: Path, action: str, after: bool) -> None:
    for at in range(count_calls(tmp_path, action)):
        run_interrupted(tmp_path / str(at), action, InterruptedDisk(at, crash, after=after))


def test_the_process_ends_at_every_call_while_it_moves_to_another_filesystem(tmp_path: Path) -> None:
    with other_filesystems():
        for at in range(count_calls(tmp_path, "move")):
            run_interrupted(tmp_path / str(at), "move", InterruptedDisk(at, crash))


@contextmanager
def other_filesystems() -> Iterator[None]:
    """Let every folder be on a filesystem of its own."""
    real = os.rename  # noqa: TID251 - the test puts something in its place

    def rename(source: str | Path, target: str | Path) -> None:
        if os.path.dirname(source) != os.path.dirname(target):
            raise OSError(errno.EXDEV, "planted")
        real(source, target)

    with mock.patch.object(os, "rename", rename):
        yield


@pytest.mark.parametrize("action", ACTIONS)
def test_the_pool_is_cancelled_at_every_call(tmp_path: Path, action: str) -> None:
    for at in range(count_calls(tmp_path, action)):
        run_interrupted(tmp_path / str(at), action, InterruptedDisk(at, crash), is_cancelled=True)


@pytest.mark.parametrize("number", [errno.EIO, errno.EXDEV])
@pytest.mark.parametrize("action", ACTIONS)
def test_every_call_fails_once(tmp_path: Path, action: str, number: int) -> None:
    def fail(call: str) -> None:
        raise DiskError(call, Path("x"), OSError(number, "planted"))

    for at in range(count_calls(tmp_path, action)):
        run_interrupted(tmp_path / str(at), action, InterruptedDisk(at, fail))


def count_calls(folder: Path, action: str) -> int:
    """Return how many calls an undisturbed run needs."""
    disk = InterruptedDisk(-1, crash)
    run_interrupted(folder / "undisturbed", action, disk)
    assert disk.calls > 12
    return disk.calls


def run_interrupted(folder: Path, action: str, disk: InterruptedDisk, *, is_cancelled: bool = False) -> None:
    """Run on a disk that interrupts, then anew on one that does not; check after both."""
    folder.mkdir()

    @in_virtual_time
    async def attempt() -> None:
        queue = MemoryQueue()
        world = make_world(folder, action, queue=queue, disk=disk, settle_s=0.0)
        if is_cancelled:
            disk.interrupt = lambda _: world.run.cancel() if world.run else None
        world.drop("a.csv", CONTENTS)
        await run_until_cut_off(world, action)
        check_that_nothing_is_lost(world)
        check_that_nothing_is_lost(await bring_to_its_end(folder, action, queue))

    attempt()


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("number", [0, 1])
@in_virtual_time
async def test_the_process_ends_while_a_report_is_accepted(tmp_path: Path, place: str, number: int) -> None:
    def end(_: object) -> None:
        if len(queue.kept) == number + (place == "after"):
            raise Crash

    queue = MemoryQueue()
    setattr(queue, place, end)
    world = make_world(tmp_path, "move", queue=queue)
    world.drop("a.csv", CONTENTS)
    await run_until_cut_off(world, "move")
    check_that_nothing_is_lost(world)
    check_that_nothing_is_lost(await bring_to_its_end(tmp_path, "move", queue))


@in_virtual_time
async def test_after_a_crash_the_same_converter_takes_the_file_though_it_loads_later_than_another(
    tmp_path: Path,
) -> None:
    queue = MemoryQueue()
    queue.after = crash
    configs = ({"name": "first"}, {"name": "second"})
    world = World(tmp_path, *configs, queue=queue)
    world.drop("a.csv", CONTENTS)
    await run_until_cut_off(world, "move")
    queue.after = lambda _: None
    again = World(tmp_path, *configs, queue=queue)
    again.runners["first"].load_error = DiskError("read", Path("first.py"), OSError(errno.EIO, "planted"))
    async with again.running():
        await again.later(100)
        again.runners["first"].load_error = None
        await again.until_converted()
    assert len(set(queue.ids)) == 1


@in_virtual_time
async def test_what_a_deletion_left_of_a_folder_is_no_source(tmp_path: Path) -> None:
    left = tmp_path / "in" / ".run1.deleted"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"1")
    world = World(tmp_path, {"converter_type": "folder", "readiness_marker": ""})
    async with world.running():
        await world.later(20)
        assert (left.exists(), world.converter.begun) == (False, [])
