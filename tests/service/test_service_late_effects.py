"""A command that is over its time has no later effect, or says that it may have one: never the wrong one (H6.3)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.client_service.late_effects import may_be_late
from pywats_reliability.disk import Aside, Disk
from pywats_reliability.errors import IPCCommandTimeoutError, IPCOutcomeUnknownError
from pywats_reliability.ipc.session import Session
from tests.service.service_world import SETTINGS, answering, hanging, running
from tests.service.store_world import contents

pytestmark = [pytest.mark.asyncio, pytest.mark.proves("H6.3")]
REPORT_ID = "00000000-0000-4000-8000-000000000001"
BRIEF = {"ipc_request_timeout": 0.3}


class StuckDisk(Disk):
    """A disk that is stuck in one of its calls until a test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck_in, self.go_on = "", threading.Event()

    def _maybe_stuck(self, call: str) -> None:
        if call == self.stuck_in:
            assert self.go_on.wait(20)

    def write_aside(self, path: Path | str, data: bytes, *, mode: int = 0o600) -> Aside:
        """Write, perhaps late."""
        self._maybe_stuck("write_aside")
        return super().write_aside(path, data, mode=mode)

    def sync_aside(self, aside: Aside) -> None:
        """Sync, perhaps late."""
        self._maybe_stuck("sync_aside")
        super().sync_aside(aside)

    def publish(self, aside: Aside, *, replace: bool = False) -> None:
        """Name, perhaps late."""
        self._maybe_stuck("publish")
        super().publish(aside, replace=replace)

    def sync_folder(self, path: Path | str) -> None:
        """Sync, perhaps late."""
        self._maybe_stuck("sync_folder")
        super().sync_folder(path)

    def move(self, source: Path | str, target: Path | str) -> None:
        """Rename, perhaps late."""
        self._maybe_stuck("move")
        super().move(source, target)

    def remove(self, path: Path | str) -> bool:
        """Remove, perhaps late."""
        self._maybe_stuck("remove")
        return super().remove(path)

    def release(self) -> None:
        """Let it go on."""
        self.stuck_in = ""
        self.go_on.set()


@pytest.mark.parametrize("call", ["write_aside", "sync_aside"])
async def test_a_submit_that_times_out_before_the_record_has_its_name_is_never_kept(tmp_path: Path, call: str) -> None:
    disk = StuckDisk()
    async with running(tmp_path, hanging, disk=disk, **BRIEF) as world, world.client() as client:
        disk.stuck_in = call
        with pytest.raises(IPCCommandTimeoutError):
            await client.request("submit", {"report": contents(id=REPORT_ID).decode()})
        disk.release()
        await client.request("submit", {"report": contents().decode()})
        told: Any = await client.request("get_queue")
        assert [record["id"] for record in told["records"] if record["id"] == REPORT_ID] == []
        assert (told["count"], len(world.kept("pending"))) == (1, 1)


@pytest.mark.parametrize("call", ["publish", "sync_folder"])
async def test_a_submit_that_times_out_later_says_that_it_may_be_kept_and_what_to_ask(
    tmp_path: Path, call: str
) -> None:
    disk = StuckDisk()
    async with running(tmp_path, hanging, disk=disk, **BRIEF) as world, world.client() as client:
        disk.stuck_in = call
        with pytest.raises(IPCOutcomeUnknownError, match=rf"^Request processing timeout after 0\.3s.*{REPORT_ID}"):
            await client.request("submit", {"report": contents(id=REPORT_ID).decode()})
        disk.release()
        await world.until(lambda: world.service.queue.counts.pending == 1)
        told: Any = await client.request("show_report", {"id": REPORT_ID})
        assert [place["folder"] for place in told["places"]] == ["pending"]


async def in_failed(world: Any) -> str:
    report_id: str = await world.service.queue.submit(contents())
    await world.until(lambda: world.service.queue.counts.failed == 1)
    return report_id


@pytest.mark.parametrize(("command", "call"), [("retry_failed", "move"), ("discard_failed", "remove")])
async def test_a_change_by_hand_that_the_disk_is_at_says_that_it_may_come(
    tmp_path: Path, command: str, call: str
) -> None:
    disk = StuckDisk()
    settings = {**BRIEF, "max_retry_attempts": 1}
    async with running(tmp_path, answering(503), disk=disk, **settings) as world, world.client() as client:
        report_id = await in_failed(world)
        disk.stuck_in = call
        with pytest.raises(IPCOutcomeUnknownError, match="may take effect later; ask show_report"):
            await client.request(command, {"id": report_id})
        assert await client.request("ping") == {"pong": True, "authenticated": True}
        disk.release()


async def test_a_change_by_hand_that_the_disk_is_not_at_yet_never_comes(tmp_path: Path) -> None:
    """The new story beside the record is written first; it is stuck in that."""
    disk = StuckDisk()
    settings = {**BRIEF, "max_retry_attempts": 1}
    async with running(tmp_path, answering(503), disk=disk, **settings) as world, world.client() as client:
        report_id = await in_failed(world)
        disk.stuck_in = "write_aside"
        with pytest.raises(IPCCommandTimeoutError):
            await client.request("retry_failed", {"id": report_id})
        disk.release()
        await world.service.queue.submit(contents())
        await world.until(lambda: world.service.queue.counts.failed == 2)


async def test_settings_that_may_yet_be_saved_are_told_of_so(tmp_path: Path) -> None:
    disk, path = StuckDisk(), tmp_path / "config.json"
    path.write_text(json.dumps({**SETTINGS, "ipc_socket": str(tmp_path / "s"), **BRIEF}))
    async with running(tmp_path, hanging, disk=disk, config_path=path, **BRIEF) as world, world.client() as client:
        disk.stuck_in = "sync_aside"
        with pytest.raises(IPCOutcomeUnknownError, match="ask get_config"):
            await client.request("set_config", {"settings": {"station_name": "x"}})
        disk.release()


async def test_when_the_connection_is_being_ended_there_is_nobody_to_tell() -> None:
    began = asyncio.Event()

    async def is_at_it(_: Mapping[str, Any]) -> None:
        began.set()
        await asyncio.Event().wait()

    handler = may_be_late("x", is_at_it, "look", is_at_it=lambda _: True)
    session = Session({"x": handler}, secret=None, request_s=10)
    body = json.dumps({"command": "x", "protocol_version": "2.0"}).encode()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(session.reply(body))
        await began.wait()
        serving.cancel()
    assert serving.cancelled()
