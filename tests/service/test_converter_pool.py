"""From a dropped file to accepted reports: found, whole, converted once, filed away, never overwritten (C1.9)."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from pywats_reliability.converter_pool.looking import UNFINISHED
from pywats_reliability.converters import ConverterResult, ConverterSource, PostAction
from tests.service.converter_world import REPORT, World, succeed, taking
from tests.service.store_world import FIELDS
from tests.service.virtual_clock import in_virtual_time, now


@in_virtual_time
async def test_a_dropped_file_becomes_an_accepted_report_and_is_filed_away(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        assert (len(world.queue.kept), world.names(), world.names("in/done")) == (1, [], ["a.csv"])


@pytest.mark.proves("C1.9")
@in_virtual_time
async def test_a_file_dropped_while_the_service_was_down_is_found_at_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.drop("a.csv")
    async with world.running():
        await world.until_converted()
        assert world.converter.names() == ["a.csv"]


@pytest.mark.proves("C1.9")
@in_virtual_time
async def test_a_file_is_converted_when_it_has_not_changed_for_the_settling_time(tmp_path: Path) -> None:
    world = World(tmp_path, settle_s=5.0)
    async with world.running():
        path = world.drop("a.csv", b"1")
        grown_at = 0.0
        for turn in range(20):  # It grows every 3 s, for a minute.
            await world.later(3.0)
            path.write_bytes(b"1" * (turn + 2))
            grown_at = now()
        assert world.converter.names() == []
        await world.until_converted()
        assert 5.0 <= world.converter.begun[0][0] - grown_at <= 7.5


@in_virtual_time
async def test_a_change_of_time_alone_counts_as_a_change(tmp_path: Path) -> None:
    world = World(tmp_path, settle_s=2.0)
    async with world.running():
        path = world.drop("a.csv")
        for turn in range(10):
            await world.later(1.5)
            os.utime(path, ns=(0, turn))
        assert world.converter.names() == []


@pytest.mark.proves("C1.9")
@in_virtual_time
async def test_a_writer_that_pauses_with_its_file_open_is_waited_for(tmp_path: Path) -> None:
    writing = {"a.csv"}
    world = World(tmp_path, is_being_written=lambda path: path.name in writing)
    async with world.running():
        world.drop("a.csv")
        world.drop("b.csv")
        await world.until_converted()
        await world.later(600)
        assert world.converter.names() == ["b.csv"]
        writing.clear()
        await world.until_converted(2)


@pytest.mark.proves("C1.9")
@in_virtual_time
async def test_what_changes_while_it_is_converted_was_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "in" / "a.csv"

    def convert(source: ConverterSource, attempt: int) -> ConverterResult:
        if attempt == 1:
            path.write_bytes(b"contents, and more")
        return succeed(source, attempt)

    world = World(tmp_path, script=convert)
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        assert (len(world.queue.kept), world.converter.names()) == (1, ["a.csv", "a.csv"])


@pytest.mark.proves("C1.9")
@in_virtual_time
async def test_what_is_written_to_after_its_acceptance_is_not_moved_away_unread(tmp_path: Path) -> None:
    world = World(tmp_path)
    path = tmp_path / "in" / "a.csv"
    async with world.running():
        world.queue.after = lambda _: path.write_bytes(b"longer contents") if len(world.queue.kept) == 1 else None
        world.drop("a.csv")
        await world.until_converted()
        assert len(set(world.queue.ids)) == 2
        assert (tmp_path / "in/done/a.csv").read_bytes() == b"longer contents"


@pytest.mark.proves("C1.9")
@pytest.mark.parametrize("name", [".hidden.csv", *(f"a.csv{ending}" for ending in UNFINISHED)])
@in_virtual_time
async def test_names_of_what_is_not_whole_are_not_taken(tmp_path: Path, name: str) -> None:
    world = World(tmp_path)
    async with world.running():
        world.drop(name)
        world.drop("b.csv")
        await world.until_converted()
        assert world.names() == [name]


@in_virtual_time
async def test_only_what_fits_a_pattern_is_taken(tmp_path: Path) -> None:
    world = World(tmp_path, {"file_patterns": ["*.CSV", "log?.txt"]})
    async with world.running():
        for name in ("a.csv", "log1.txt", "log.txt", "b.xml"):
            world.drop(name)
        await world.until_converted(2)
        assert world.names() == ["b.xml", "log.txt"]


@in_virtual_time
async def test_the_default_pattern_takes_names_without_a_dot_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        world.drop("LOG")
        await world.until_converted()


@in_virtual_time
async def test_links_and_pipes_are_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    os.mkfifo(tmp_path / "in" / "pipe.csv")
    (tmp_path / "in" / "link.csv").symlink_to("/etc/hostname")
    async with world.running():
        world.drop("b.csv")
        await world.until_converted()
        assert world.converter.names() == ["b.csv"]


@pytest.mark.proves("C1.9")
@in_virtual_time
async def test_filing_away_never_overwrites(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        for count in range(3):
            world.drop("a.csv", b"run %d" % count)
            await world.until_converted(count + 1)
        found = [(tmp_path / "in/done" / name).read_bytes() for name in world.names("in/done")]
        assert (world.names("in/done"), found) == (["a.2.csv", "a.3.csv", "a.csv"], [b"run 1", b"run 2", b"run 0"])


@pytest.mark.proves("C1.9")
@in_virtual_time
async def test_files_of_the_same_name_filed_at_the_same_time_are_both_there(tmp_path: Path) -> None:
    (tmp_path / "in2").mkdir()
    one = {"name": "one", "done_folder": "done"}
    world = World(tmp_path, one, {**one, "name": "two", "watch_folder": "in2"})
    async with world.running():
        world.drop("a.csv", b"1")
        world.drop("a.csv", b"2", "in2")
        await world.until_converted(2)
        assert sorted((tmp_path / "done" / name).read_bytes() for name in world.names("done")) == [b"1", b"2"]


@in_virtual_time
async def test_several_reports_of_one_file_are_accepted_in_order(tmp_path: Path) -> None:
    reports = [{**FIELDS, "sn": f"sn{number}"} for number in range(3)]
    world = World(tmp_path, script=lambda *_: ConverterResult.success_result(reports=reports))
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        assert [json.loads(body)["sn"] for _, body, _ in world.queue.kept] == ["sn0", "sn1", "sn2"]
        assert len(set(world.queue.ids)) == 3


@in_virtual_time
async def test_the_priority_of_the_converter_is_that_of_its_reports(tmp_path: Path) -> None:
    world = World(tmp_path, {"priority": 2})
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        assert [priority for _, _, priority in world.queue.kept] == [2]


@in_virtual_time
async def test_the_more_urgent_converter_goes_first(tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    calm = {"name": "calm", "watch_folder": "calm", "priority": 9}
    world = World(tmp_path, calm, {"name": "urgent", "priority": 1}, max_concurrent=1)
    for number in range(3):
        world.drop(f"calm{number}.csv", folder="calm")
        world.drop(f"urgent{number}.csv")
    async with world.running():
        await world.until_converted(6)
        assert [priority for _, _, priority in world.queue.kept] == [1, 1, 1, 9, 9, 9]


@in_virtual_time
async def test_converters_of_the_same_priority_take_turns(tmp_path: Path) -> None:
    (tmp_path / "in2").mkdir()
    script = taking(1.0)
    world = World(tmp_path, {"name": "a"}, {"name": "b", "watch_folder": "in2"}, max_concurrent=2, script=script)
    for number in range(5):
        world.drop(f"a{number}.csv")
        world.drop(f"b{number}.csv", folder="in2")
    async with world.running():
        await world.until_converted(4)
        assert [len(runner.begun) - runner.under_way for runner in world.runners.values()] == [2, 2]


@in_virtual_time
async def test_no_more_conversions_than_slots(tmp_path: Path) -> None:
    world = World(tmp_path, max_concurrent=3, script=taking(2.0))
    for number in range(10):
        world.drop(f"{number}.csv")
    async with world.running():
        await world.until_converted(10)
        assert world.converter.most == 3


@pytest.mark.parametrize("action", ["delete", "archive", "keep", "move"])
@in_virtual_time
async def test_the_post_action_is_as_configured(tmp_path: Path, action: str) -> None:
    world = World(tmp_path, {"post_action": action})
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        places = [name for folder in ("in", "in/done", "in/archive") for name in world.names(folder)]
    assert places == {"delete": [], "archive": ["a.csv.zip"]}.get(action, ["a.csv"])
    assert (tmp_path / "in/done/a.csv").exists() == (action == "move")


@in_virtual_time
async def test_the_converter_may_choose_another_post_action(tmp_path: Path) -> None:
    script = lambda *_: ConverterResult.success_result(REPORT, post_action=PostAction.ZIP)  # noqa: E731
    world = World(tmp_path, script=script)
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        with zipfile.ZipFile(tmp_path / "in/archive/a.csv.zip") as archive:
            assert archive.read("a.csv") == b"contents"


@in_virtual_time
async def test_a_kept_file_is_converted_once_until_it_changes(tmp_path: Path) -> None:
    world = World(tmp_path, {"post_action": "keep"})
    async with world.running():
        path = world.drop("a.csv")
        await world.until_converted()
        await world.later(100)
        assert len(world.queue.kept) == 1
        path.write_bytes(b"other contents")
        await world.until_converted(2)


@in_virtual_time
async def test_a_kept_file_is_not_converted_again_by_the_next_start(tmp_path: Path) -> None:
    world = World(tmp_path, {"post_action": "keep"})
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
    again = World(tmp_path, {"post_action": "keep"})
    async with again.running():
        again.drop("b.csv")
        await again.until_converted()
        assert again.converter.names() == ["b.csv"]


@in_virtual_time
async def test_a_file_that_two_converters_want_is_the_first_ones(tmp_path: Path) -> None:
    world = World(tmp_path, {"name": "second", "priority": 6}, {"name": "first", "priority": 3})
    async with world.running():
        for number in range(3):
            world.drop(f"{number}.csv")
        await world.until_converted(3)
        assert (len(world.runners["first"].begun), len(world.runners["second"].begun)) == (3, 0)


@in_virtual_time
async def test_a_file_that_the_first_one_skips_is_the_next_ones(tmp_path: Path) -> None:
    world = World(tmp_path, {"name": "first"}, {"name": "second"})
    world.runners["first"].script = lambda *_: ConverterResult.skipped_result("not mine")
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        await world.later(100)
        assert [len(runner.begun) for runner in world.runners.values()] == [1, 1]


@in_virtual_time
async def test_a_kept_file_is_not_the_next_ones(tmp_path: Path) -> None:
    world = World(tmp_path, {"name": "first", "post_action": "keep"}, {"name": "second"})
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        await world.later(100)
        assert world.runners["second"].begun == []


@in_virtual_time
async def test_the_pool_beats_while_it_has_nothing_to_do_and_while_it_stops(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        await world.later(50)
        world.pool.stop_accepting()
        await world.later(100)
        gaps = [later - earlier for earlier, later in zip(world.beats, world.beats[1:], strict=False)]
        assert max(gaps) <= 10.0
