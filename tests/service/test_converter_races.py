"""A file that is written, or dropped, in the very moment in which another of its name is filed away (C1.9)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pywats_reliability.converters import ConverterResult, ConverterSource
from tests.service.converter_world import MemoryQueue, QuickDisk, World
from tests.service.store_world import FIELDS
from tests.service.virtual_clock import in_virtual_time

FIRST, SECOND = b"the first contents", b"the second contents, which are longer"
pytestmark = pytest.mark.proves("C1.9")


def its_contents(source: ConverterSource, _attempt: int) -> ConverterResult:
    """Make a report that shows what the source held; contents that are bad cannot be converted."""
    text = source.read_bytes().decode()
    return (
        ConverterResult.failed_result("bad") if text == "bad" else ConverterResult.success_result({**FIELDS, "c": text})
    )


class RacingDisk(QuickDisk):
    """A disk on which something happens just before, or just after, the source loses its name."""

    def __init__(self, source: Path, happens: Callable[[Path], object], *, after: bool) -> None:
        super().__init__()
        self.source, self.happens, self.after, self.fired = source, happens, after, 0

    def move(self, source: Path | str, target: Path | str) -> None:
        """Rename, with what happens beside it."""
        is_it = Path(source) == self.source and not self.fired
        if is_it and not self.after:
            self.fired += 1
            self.happens(self.source)
        super().move(source, target)
        if is_it and self.after:
            self.fired += 1
            self.happens(self.source)


def overwritten(path: Path) -> None:
    path.write_bytes(SECOND)


def replaced(path: Path) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(SECOND)
    fresh.replace(path)


def contents_of(queue: MemoryQueue) -> list[str]:
    return sorted(json.loads(body)["c"] for _, body, _ in queue.kept)


@pytest.mark.parametrize("after", [False, True], ids=["just before", "just after"])
@pytest.mark.parametrize("happens", [overwritten, replaced])
@pytest.mark.parametrize("action", ["move", "delete", "archive"])
@in_virtual_time
async def test_what_is_dropped_in_the_moment_of_filing_is_converted_too(
    tmp_path: Path, action: str, happens: Callable[[Path], None], after: bool
) -> None:
    disk = RacingDisk(tmp_path / "in" / "a.csv", happens, after=after)
    world = World(tmp_path, {"post_action": action}, script=its_contents, disk=disk)
    async with world.running():
        world.drop("a.csv", FIRST)
        await world.until(lambda: len(world.queue.kept) == 2 and not world.names())
    assert (disk.fired, contents_of(world.queue)) == (1, [FIRST.decode(), SECOND.decode()])
    assert len(set(world.queue.ids)) == 2


@in_virtual_time
async def test_what_is_mended_in_the_moment_of_putting_aside_is_converted(tmp_path: Path) -> None:
    disk = RacingDisk(tmp_path / "in" / "a.csv", overwritten, after=False)
    world = World(tmp_path, {"max_retries": 0}, script=its_contents, disk=disk)
    async with world.running():
        world.drop("a.csv", b"bad")
        await world.until_converted()
    assert (disk.fired, contents_of(world.queue), world.names("in/error")) == (1, [SECOND.decode()], [])


@in_virtual_time
async def test_a_file_whose_deletion_was_cut_off_gets_its_name_back_unless_another_has_it(tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    for name in ("a.csv", "b.csv"):
        (inbox / f".{name}.deleted").write_bytes(FIRST)
    (inbox / "b.csv").write_bytes(SECOND)
    world = World(tmp_path, {"post_action": "keep"}, script=its_contents)
    async with world.running():
        await world.until_converted(2)
    assert sorted(path.name for path in inbox.iterdir()) == [".b.csv.deleted", "a.csv", "b.csv"]
