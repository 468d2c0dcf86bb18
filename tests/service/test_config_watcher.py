"""The watcher of the configuration's file: changes come into force, bad files never do (H4.6)."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import ConfigWatcher, save_config
from pywats_reliability.disk import Disk
from pywats_reliability.errors import ConfigFileError, SettingValueError

pytestmark = pytest.mark.asyncio

BAD_FILES = [b"", b"{", b"\x00\xff", b"[]", b'{"sn_start": "5"}', b'{"bogus": 1}', b" " * 2_000_000]


class Watched:
    """A file, its watcher, and what it handed on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = ClientConfig(sn_start=1)
        save_config(path, self.start, disk=Disk())
        self.handed: list[ClientConfig] = []
        self.watcher = ConfigWatcher(path, self.start, self.handed.append, interval_s=0.001)

    async def look_after(self, contents: bytes) -> None:
        self.path.write_bytes(contents)
        await self.watcher.look()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "config.json")


async def test_a_file_that_holds_what_is_in_force_is_no_change(watched: Watched) -> None:
    await watched.watcher.look()
    await watched.watcher.look()
    assert watched.handed == []


async def test_a_changed_file_comes_into_force_once(watched: Watched) -> None:
    await watched.look_after(b'{"sn_start": 2}')
    await watched.watcher.look()
    assert watched.handed == [ClientConfig(sn_start=2)]
    assert watched.watcher.current == ClientConfig(sn_start=2)


async def test_a_change_of_equal_size_and_time_is_seen(watched: Watched) -> None:
    await watched.look_after(b'{"sn_start": 2}')
    before = watched.path.stat()
    watched.path.write_bytes(b'{"sn_start": 3}')
    os.utime(watched.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    await watched.watcher.look()
    assert watched.handed[-1].sn_start == 3


@pytest.mark.proves("H4.6")
@pytest.mark.parametrize("contents", BAD_FILES)
async def test_h4_6_a_bad_file_is_refused_and_left_alone(watched: Watched, contents: bytes) -> None:
    await watched.look_after(contents)
    assert watched.handed == []
    assert watched.watcher.current == watched.start
    assert isinstance(watched.watcher.last_error, ConfigFileError)
    assert watched.path.read_bytes() == contents


@pytest.mark.proves("H4.6")
async def test_h4_6_each_bad_version_is_logged_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    for contents in (b"{", b"{", b'{"sn_start": -1}', b'{"sn_start": -1}'):
        await watched.look_after(contents)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [("line 1" in line, "sn_start" in line) for line in errors] == [(True, False), (False, True)]


async def test_a_missing_file_is_logged_once_and_changes_nothing(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.path.unlink()
    for _ in range(3):
        await watched.watcher.look()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert (watched.watcher.current, watched.handed) == (watched.start, [])


async def test_a_mended_file_clears_the_error_without_a_change(watched: Watched) -> None:
    good = watched.path.read_bytes()
    await watched.look_after(b"{")
    await watched.look_after(good)
    assert (watched.watcher.last_error, watched.handed) == (None, [])


async def test_a_change_made_and_saved_by_the_service_itself_is_no_change(watched: Watched) -> None:
    watched.start.sn_start = 8
    save_config(watched.path, watched.start, disk=Disk())
    await watched.watcher.look()
    assert watched.handed == []


async def test_a_change_that_the_service_refuses_is_refused(tmp_path: Path) -> None:
    def refuse(new: ClientConfig) -> None:
        raise SettingValueError("instance_id", "the id the service was started with", new.instance_id)

    path = tmp_path / "config.json"
    save_config(path, ClientConfig(instance_id="other"), disk=Disk())
    watcher = ConfigWatcher(path, ClientConfig(), refuse)
    await watcher.look()
    assert watcher.current == ClientConfig()
    assert isinstance(watcher.last_error, SettingValueError)


async def test_a_bug_in_the_observer_reaches_the_supervisor_and_the_change_is_tried_again(watched: Watched) -> None:
    def stumble(_: ClientConfig) -> None:
        raise RuntimeError("a bug")

    watcher = ConfigWatcher(watched.path, ClientConfig(sn_start=5), stumble)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="a bug"):
            await watcher.look()


async def test_the_environment_is_laid_over_what_is_loaded(watched: Watched) -> None:
    environment = {"PYWATS_API_TOKEN": "envtoken"}
    start = watched.start.with_environment(environment)
    watcher = ConfigWatcher(watched.path, start, watched.handed.append, environment=environment)
    await watcher.look()
    watched.path.write_bytes(b'{"sn_start": 2}')
    await watcher.look()
    assert [(config.sn_start, config.api_token) for config in watched.handed] == [(2, "envtoken")]


async def test_running_it_looks_again_and_again_and_beats(watched: Watched) -> None:
    beats = asyncio.Semaphore(0)
    changed = asyncio.Event()
    watcher = ConfigWatcher(watched.path, watched.start, lambda _: changed.set(), interval_s=0.001)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        run = tasks.create_task(watcher.run(beats.release))
        await beats.acquire()
        Disk().write_atomically(watched.path, b'{"sn_start": 2}')  # Whole at once: the watcher may look at any instant.
        await changed.wait()
        await beats.acquire()
        run.cancel()
    assert repr(watcher).endswith("in force, 1 changes, 0 refusals)")


@pytest.mark.proves("H4.6")
@pytest.mark.parametrize("contents", BAD_FILES)
async def test_h4_6_a_bad_file_does_not_end_the_watching(watched: Watched, contents: bytes) -> None:
    changed = asyncio.Event()
    watcher = ConfigWatcher(watched.path, watched.start, lambda _: changed.set(), interval_s=0.001)
    watched.path.write_bytes(contents)
    beats = asyncio.Semaphore(0)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        run = tasks.create_task(watcher.run(beats.release))
        await beats.acquire()
        await beats.acquire()
        assert watcher.refusals == 1
        watched.path.write_bytes(b'{"sn_start": 2}')
        await changed.wait()
        run.cancel()
