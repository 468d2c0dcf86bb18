"""Converters come and go: what cannot be loaded is shown; they are started, stopped and changed by hand (C2.9)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.converter_pool import PoolSettings
from pywats_reliability.converters import StationInfo
from pywats_reliability.errors import ConverterLoadError, ConverterNotFoundError
from tests.service.converter_world import STATION, World, make_config, succeed, taking
from tests.service.virtual_clock import in_virtual_time

BROKEN = ConverterLoadError("c", "a Python file at x.py", "none")


def states(world: World) -> dict[str, str]:
    return {each["name"]: each["state"] for each in world.pool.describe()}


@in_virtual_time
async def test_one_that_cannot_be_loaded_is_shown_and_the_others_work(tmp_path: Path) -> None:
    world = World(tmp_path, {"name": "c"}, {"name": "d"})
    world.runners["c"].load_error = BROKEN
    (tmp_path / "in2").mkdir()
    async with world.running():
        await world.later(5)
        assert world.pool.failed_converters() == (
            "c: expected a Python file at x.py, found none; mend its configuration or its module",
        )
        assert states(world) == {"c": "failed", "d": "running"}


@in_virtual_time
async def test_one_that_cannot_be_loaded_is_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.converter.load_error = BROKEN
    async with world.running():
        world.drop("a.csv")
        await world.later(100)
        assert 3 <= world.converter.loads <= 5
        world.converter.load_error = None
        await world.until_converted()
        assert world.pool.failed_converters() == ()


@in_virtual_time
async def test_a_bug_in_loading_is_shown_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.converter.load_error = ZeroDivisionError("x")
    async with world.running():
        await world.later(5)
        assert world.pool.failed_converters() == ("c: ZeroDivisionError: x",)


@in_virtual_time
async def test_a_missing_folder_is_shown_not_made_and_found_when_it_comes(tmp_path: Path) -> None:
    world = World(tmp_path, {"watch_folder": "drive/in"})
    async with world.running():
        await world.later(5)
        assert "found none" in world.pool.failed_converters()[0]
        assert not (tmp_path / "drive").exists()
        (tmp_path / "drive/in").mkdir(parents=True)
        world.drop("a.csv", folder="drive/in")
        await world.until_converted()


@pytest.mark.parametrize(
    "config",
    [
        {"done_folder": "in"},
        {"error_folder": "link"},
        {"done_folder": "in/../in"},
        {"archive_folder": "other"},
        {"pending_folder": "in"},
        {"converter_type": "scheduled", "schedule_interval_seconds": 5},
    ],
)
@in_virtual_time
async def test_one_that_would_find_its_own_files_again_or_has_none_is_refused(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("in")
    world = World(tmp_path, config, {"name": "other", "watch_folder": "other"})
    async with world.running():
        world.drop("a.csv")
        await world.later(100)
        assert (world.runners["c"].begun, len(world.pool.failed_converters())) == ([], 1)


@in_virtual_time
async def test_a_disabled_one_does_nothing_until_it_is_started_by_hand(tmp_path: Path) -> None:
    world = World(tmp_path, {"enabled": False})
    async with world.running():
        world.drop("a.csv")
        await world.later(20)
        assert (states(world), world.pool.failed_converters(), world.converter.begun) == ({"c": "stopped"}, (), [])
        world.pool.start_converter("c")
        await world.until_converted()


@in_virtual_time
async def test_one_that_is_stopped_by_hand_ends_after_what_it_is_converting(tmp_path: Path) -> None:
    world = World(tmp_path, script=taking(30))
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.pool.get_active_count() == 1)
        world.pool.stop_converter("c")
        world.drop("b.csv")
        await world.later(10)
        assert world.converter.closes == 0, "it is still at work"
        await world.until_converted()
        await world.later(20)
        assert (world.names(), world.converter.closes, states(world)) == (["b.csv"], 1, {"c": "stopped"})
        world.pool.start_converter("c")
        await world.until_converted(2)


@in_virtual_time
async def test_starting_by_hand_tries_at_once_what_could_not_be_loaded(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.converter.load_error = BROKEN
    async with world.running():
        await world.later(5)
        world.converter.load_error = None
        world.pool.start_converter("c")
        await world.later(0.1)
        assert states(world) == {"c": "running"}


@in_virtual_time
async def test_an_unknown_name_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    world = World(tmp_path)
    for action in (world.pool.start_converter, world.pool.stop_converter):
        with pytest.raises(ConverterNotFoundError, match="found 'x'; the configuration has: c"):
            action("x")


@in_virtual_time
async def test_a_new_configuration_takes_effect_and_leaves_the_unchanged_alone(tmp_path: Path) -> None:
    (tmp_path / "in2").mkdir()
    stays, goes, comes = (
        make_config(name="stays"), make_config(name="goes", watch_folder="in2"),
        make_config(name="comes", watch_folder="in2", priority=1),
    )  # fmt: skip
    world = World(tmp_path, dict(stays.to_dict()), dict(goes.to_dict()))
    async with world.running():
        await world.later(5)
        world.pool.adopt([stays, comes])
        world.drop("a.csv", folder="in2")
        await world.until_converted()
        assert states(world) == {"comes": "running", "stays": "running"}
        assert (world.runners["comes"].names(), world.runners["goes"].closes) == (["a.csv"], 1)
        assert world.runners["stays"].loads == 1


@in_virtual_time
async def test_a_conversion_goes_on_when_its_converter_is_taken_out_of_the_configuration(tmp_path: Path) -> None:
    world = World(tmp_path, script=taking(30))
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.pool.get_active_count() == 1)
        world.pool.adopt([])
        await world.until_converted()
        await world.until(lambda: world.converter.closes == 1)
        assert (world.names("in/done"), world.pool.describe()) == (["a.csv"], [])


@in_virtual_time
async def test_another_station_reaches_the_converters(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.pool._roster.get("c").context.station == STATION
    world.pool.adopt([make_config()], PoolSettings(station=StationInfo("Station 2")))
    assert world.pool._roster.get("c").context.station.name == "Station 2"


@in_virtual_time
async def test_arguments_reach_the_converter_as_plain_objects(tmp_path: Path) -> None:
    world = World(tmp_path, {"arguments": {"columns": ["a", {"b": 1}]}})
    assert world.pool._roster.get("c").context.get_argument("columns") == ["a", {"b": 1}]


@in_virtual_time
async def test_what_is_told_of_a_converter_is_plain_json(tmp_path: Path) -> None:
    world = World(tmp_path, script=succeed)
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        (told,) = json.loads(json.dumps(world.pool.describe()))
        assert told | {"name": "c", "state": "running", "processed": 1, "successful": 1, "errors": 0} == told


@in_virtual_time
async def test_the_pool_says_of_itself_what_it_does(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        assert repr(world.pool) == (
            "AsyncConverterPool(at work, 0 active, 0 waiting, 1 successful, 0 errors,"
            " Roster(0 stopped, 0 loading, 1 running, 0 failed))"
        )


@in_virtual_time
async def test_folders_are_sources_when_their_marker_and_their_files_are_there(tmp_path: Path) -> None:
    config = {"converter_type": "folder", "min_file_count": 2, "folder_patterns": ["run*"]}
    world = World(tmp_path, config)
    async with world.running():
        run = tmp_path / "in/run1/deep"
        run.mkdir(parents=True)
        (run / "1.csv").write_text("1")
        await world.later(20)
        (run.parent / "COMPLETE.marker").touch()
        await world.later(20)
        assert world.converter.begun == [], "one of its two files is missing"
        (run / "2.csv").write_text("2")
        await world.until_converted()
        assert (tmp_path / "in/done/run1/deep/2.csv").read_text() == "2"


@pytest.mark.parametrize("action", ["delete", "archive"])
@in_virtual_time
async def test_folders_may_be_deleted_and_archived(tmp_path: Path, action: str) -> None:
    world = World(tmp_path, {"converter_type": "folder", "readiness_marker": "", "post_action": action})
    async with world.running():
        run = tmp_path / "in/run1"
        run.mkdir()
        (run / "1.csv").write_text("1")
        await world.until_converted()
        left = sorted(path.name for path in (tmp_path / "in").rglob("*"))
        assert left == (["archive", "run1.zip"] if action == "archive" else [])


@in_virtual_time
async def test_a_folder_that_still_changes_deep_inside_is_not_whole(tmp_path: Path) -> None:
    world = World(tmp_path, {"converter_type": "folder", "readiness_marker": ""}, settle_s=5.0)
    async with world.running():
        run = tmp_path / "in/run1/deep"
        run.mkdir(parents=True)
        for number in range(10):
            (run / str(number)).write_text("x")
            await world.later(4)
        assert world.converter.begun == []
        await world.until_converted()
