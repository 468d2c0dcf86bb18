"""The configuration of a running service cannot be made invalid, by whatever way it is changed (H4)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import ConfigWatcher, load_config
from pywats_reliability.errors import ConfigError, IPCRemoteError
from pywats_reliability.ipc import AsyncIPCClient
from tests.service.service_world import ADDRESS, SETTINGS, ServiceWorld, hanging, running
from tests.service.store_world import contents

pytestmark = pytest.mark.asyncio
BAD: list[dict[str, Any]] = [
    {"max_retry_attempts": -1},
    {"max_retry_attempts": True},
    {"max_retry_attempts": "5"},
    {"max_queue_size": -1},
    {"max_queue_size": 10**400},
    {"retry_cap_seconds": "soon"},
    {"retry_cap_seconds": None},
    {"queue_full_action": "delete"},
    {"service_address": "ftp://wats.test"},
    {"converters": "none"},
    {"converters": [{"name": 3}]},
    {"proxy": []},
    {"no_such_setting": 1},
    {"graceful_shutdown_seconds": 9, "force_shutdown_seconds": 8},
    {"proxy_mode": "manual", "proxy_host": ""},
    {"max_retry_attempts": 3, "max_queue_size": -1},
]


@dataclass
class Configured:
    """A service with a configuration file, a client of it, and its watcher, which looks when it is told to."""

    world: ServiceWorld
    client: AsyncIPCClient
    path: Path
    watcher: ConfigWatcher

    @property
    def config(self) -> ClientConfig:
        """What is in force."""
        return self.world.service.config

    def write(self, values: dict[str, Any]) -> None:
        """Write into the file by hand."""
        self.path.write_text(json.dumps({**json.loads(self.path.read_bytes()), **values}))


@asynccontextmanager
async def configured(folder: Path) -> AsyncIterator[Configured]:
    path = folder / "config.json"
    path.write_text(json.dumps({**SETTINGS, "ipc_socket": str(folder / "s")}))
    async with running(folder, hanging, config_path=path) as world, world.client() as client:
        watcher = world.service._parts.watcher
        assert watcher is not None
        await watcher.look()
        yield Configured(world, client, path, watcher)


def refusal(changes: dict[str, Any]) -> str:
    """Return the words with which a configuration itself refuses."""
    with pytest.raises(ConfigError) as caught:
        ClientConfig().update(changes)
    return str(caught.value)


@pytest.mark.proves("H4.1", "H4.2", "H4.3", "H4.4")
async def test_over_ipc_the_same_values_are_refused_with_the_same_words(tmp_path: Path) -> None:
    async with configured(tmp_path) as it:
        before, saved = it.config.to_dict(), it.path.read_bytes()
        for number, changes in enumerate(BAD):
            if number % 10 == 9:
                await it.client.aclose()  # A connection may ask for 20 things at once.
            with pytest.raises(IPCRemoteError) as caught:
                await it.client.request("set_config", {"settings": changes})
            assert refusal(changes) in str(caught.value)
            assert caught.value.remote_code == ConfigError.code
        assert (it.config.to_dict(), it.path.read_bytes()) == (before, saved)


@pytest.mark.proves("H4.2", "H4.3", "H4.4", "H4.6")
@pytest.mark.parametrize("changes", BAD, ids=map("-".join, BAD))
async def test_a_hot_reload_refuses_the_same_values_and_keeps_the_last_good_ones(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    async with configured(tmp_path) as it:
        before = it.config.to_dict()
        it.write(changes)
        bad = it.path.read_bytes()
        await it.watcher.look()
        assert (it.config.to_dict(), it.path.read_bytes()) == (before, bad)
        (reason,) = [note for note in it.world.service.condition.reasons if "configuration refused" in note]
        assert str(it.path) in reason
        assert any(key in reason for key in changes)


@pytest.mark.proves("H4.3")
async def test_a_good_value_comes_into_force_by_the_file_and_over_ipc(tmp_path: Path) -> None:
    async with configured(tmp_path) as it:
        it.write({"max_retry_attempts": 7})
        await it.watcher.look()
        assert it.world.service._parts.pending_queue.settings.max_attempts == 7
        shown = await it.client.request("set_config", {"settings": {"max_retry_attempts": 8}})
        assert isinstance(shown, dict)
        assert shown["max_retry_attempts"] == it.world.service._parts.pending_queue.settings.max_attempts == 8
        assert load_config(it.path)["max_retry_attempts"] == 8


@pytest.mark.proves("H4.6")
@pytest.mark.parametrize(
    "bad", [b"", b"{", b"\x00\xff\xfe", b"[]", b'{"max_queue_size": "x"}', b" " * 20_000_000],
    ids=["empty", "torn", "binary", "no object", "wrongly typed", "huge"],
)  # fmt: skip
async def test_a_file_that_goes_bad_while_running_changes_nothing_and_is_left_alone(
    tmp_path: Path, bad: bytes
) -> None:
    async with configured(tmp_path) as it:
        before, good = it.config.to_dict(), it.path.read_bytes()
        it.path.write_bytes(bad)
        await it.watcher.look()
        with pytest.raises(IPCRemoteError, match=r"config\.json"):
            await it.client.request("set_config", {"settings": {"max_retry_attempts": 3}})
        assert (it.config.to_dict(), it.path.read_bytes()) == (before, bad)
        assert it.world.service.condition.degraded
        await it.world.service.queue.submit(contents())
        await it.world.until(lambda: len(it.world.server.under_way) == 1)
        it.path.write_bytes(good)
        await it.watcher.look()
        assert not [note for note in it.world.service.condition.reasons if "configuration" in note]


@pytest.mark.proves("H4.3")
async def test_a_file_changed_by_hand_comes_into_force_without_being_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**SETTINGS, "ipc_socket": str(tmp_path / "s"), "service_address": ""}))
    async with running(tmp_path, config_path=path, service_address="") as world:
        report_id = await world.service.queue.submit(contents())
        await world.paused()
        path.write_text(json.dumps({**SETTINGS, "ipc_socket": str(tmp_path / "s"), "service_address": ADDRESS}))
        await world.until(lambda: world.server.ids() == [report_id])


async def test_what_was_saved_over_ipc_is_no_news_when_the_file_is_looked_at(tmp_path: Path) -> None:
    async with configured(tmp_path) as it:
        await it.client.request("set_config", {"settings": {"max_retry_attempts": 8}})
        await it.watcher.look()
        assert it.watcher.changes == 0
