"""Save before send, and a bounded queue, as promises of the whole service (H1, H5)."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pywats_reliability.disk import Aside, Disk
from pywats_reliability.errors import DiskError, IPCRemoteError, QueueFullError, StartError, StoreLockedError
from pywats_reliability.store.names import make_record, sequence_at
from tests.service.service_world import (
    ADDRESS,
    ServiceWorld,
    Upload,
    answering,
    hanging,
    make_world,
    running,
    storing,
)
from tests.service.store_world import FIELDS, contents, failing

pytestmark = pytest.mark.asyncio
IDS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(200)]
SEQUENCE = sequence_at(datetime(2026, 11, 1, tzinfo=UTC))
SOURCE = Path(__file__).parents[2]


def report(number: int, **more: Any) -> bytes:
    """Return the bytes of a report with the id ``IDS[number]``."""
    return json.dumps({"id": IDS[number], **FIELDS, **more}).encode()


async def submit_all(world: ServiceWorld, numbers: Sequence[int]) -> None:
    """Hand over reports at the same instant."""
    async with asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(world.service.queue.submit(report(number)))


class RecordingDisk(Disk):
    """Notes what has come to its end on the disk, each as (call, name)."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[str, str]] = []

    def write_aside(self, path: Path | str, data: bytes, *, mode: int = 0o600) -> Aside:
        aside = super().write_aside(path, data, mode=mode)
        self.done.append(("written", os.path.basename(path)))
        return aside

    def sync_aside(self, aside: Aside) -> None:
        super().sync_aside(aside)
        self.done.append(("synced", os.path.basename(aside.path)))

    def sync_filesystem(self, folder: Path | str) -> bool:
        was_synced = super().sync_filesystem(folder)
        if was_synced:
            self.done += [("synced", name) for call, name in tuple(self.done) if call == "written"]
        return was_synced

    def publish(self, aside: Aside, *, replace: bool = False) -> None:
        super().publish(aside, replace=replace)
        self.done.append(("named", os.path.basename(aside.path)))

    def sync_folder(self, path: Path | str) -> None:
        super().sync_folder(path)
        if os.path.basename(path) == "pending":
            self.done += [("name synced", name) for call, name in tuple(self.done) if call == "named"]


@pytest.mark.proves("H1.1", "H1.2")
@pytest.mark.parametrize("count", [1, 3, 12])
async def test_no_byte_goes_out_before_its_record_is_durable(tmp_path: Path, count: int) -> None:
    disk = RecordingDisk()
    world = make_world(tmp_path, disk=disk)
    world.server.began = lambda report_id: disk.done.append(("network", report_id))
    await world.service.start()
    try:
        await submit_all(world, range(count))
        await world.until(lambda: len(world.server.stored) == count)
    finally:
        await world.service.stop()
    steps = ["written", "synced", "named", "name synced", "network"]
    for report_id in IDS[:count]:
        calls = [call for call, name in disk.done if report_id in name]
        assert [calls.index(step) for step in steps] == sorted(calls.index(step) for step in steps)


@pytest.mark.proves("H1.4")
async def test_after_ten_attempts_a_report_is_in_failed_and_a_person_retries_it(tmp_path: Path) -> None:
    async with running(tmp_path, answering(503, "the database sleeps")) as world:
        await world.service.queue.submit(report(0))
        await world.until(lambda: world.service.queue.counts.failed == 1)
        (sidecar,) = (world.data / "failed").glob("*.history.json")
        story = json.loads(sidecar.read_bytes())
        assert (len(world.server.uploads), story["attempts"]) == (10, 10)
        assert "503" in sidecar.read_text()
        world.server.script = storing
        async with world.client() as client:
            shown = await client.request("get_queue", {"folder": "failed"})
            assert isinstance(shown, dict)
            assert [record["id"] for record in shown["records"]] == [IDS[0]]
            assert await client.request("retry_failed", {"id": IDS[0]}) == {"retried": 1}
        await world.until(lambda: ("sent", IDS[0]) in world.told)
        assert (world.kept("sent"), world.names("failed")) == ([report(0)], [])


@pytest.mark.proves("H1.4")
async def test_a_person_discards_a_failed_report_and_it_is_gone_for_good(tmp_path: Path) -> None:
    async with running(tmp_path, answering(503), max_retry_attempts=2) as world:
        await world.service.queue.submit(report(0))
        await world.until(lambda: world.service.queue.counts.failed == 1)
        async with world.client() as client:
            assert await client.request("discard_failed", {"id": IDS[0]}) == {"discarded": 1}
            with pytest.raises(IPCRemoteError, match=IDS[0]):
                await client.request("retry_failed", {"id": IDS[0]})
        assert (world.names("failed"), world.names("pending"), world.service.queue.counts.failed) == ([], [], 0)


@pytest.mark.proves("H1.7")
@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_pause_until_a_new_token_is_set(tmp_path: Path, status: int) -> None:
    async def guarded(upload: Upload) -> httpx.Response:
        return await storing(upload) if upload.authorization == "Basic bmV3" else httpx.Response(status)

    async with running(tmp_path, guarded) as world, world.client() as client:
        await submit_all(world, range(3))
        await world.paused()
        said = await client.request("get_status")
        assert isinstance(said, dict)
        assert (said["api_status"], said["pending_count"], said["failed_count"]) == ("Error", 3, 0)
        assert not list((world.data / "pending").glob("*.history.json")), "an attempt was counted"
        await client.request("set_config", {"settings": {"api_token": "bmV3"}})
        await world.until(lambda: sum(told[0] == "sent" for told in world.told) == 3)
        assert sorted(world.server.ids()) == IDS[:3]


@pytest.mark.proves("H1.7")
@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
async def test_what_the_server_refuses_for_good_is_in_failed_at_once_with_its_words(
    tmp_path: Path, status: int
) -> None:
    async with running(tmp_path, answering(status, "unknown operation type")) as world:
        await world.service.queue.submit(report(0))
        await world.until(lambda: world.service.queue.counts.failed == 1)
        assert (len(world.server.uploads), world.kept("failed")) == (1, [report(0)])
        (sidecar,) = (world.data / "failed").glob("*.history.json")
        assert "unknown operation type" in sidecar.read_text()


@pytest.mark.proves("H1.7")
async def test_a_duplicate_counts_as_sent(tmp_path: Path) -> None:
    async with running(tmp_path, answering(409, f"Report {IDS[0]} already exists")) as world:
        await world.service.queue.submit(report(0))
        await world.until(lambda: ("sent", IDS[0]) in world.told)
        assert (world.kept("sent"), world.names("failed")) == ([report(0)], [])


ERRNOS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES, errno.EDQUOT]
STORAGE_CALLS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "creating it aside": ("open", lambda path: path.endswith(".tmp")),
    "writing it": ("write", lambda _: True),
    "syncing it": ("fsync", lambda _: True),
    "naming it": ("rename", lambda path: path.endswith(".tmp")),
    "opening its folder": ("open", lambda path: path.endswith("/pending")),
}


@pytest.mark.proves("H1.8")
@pytest.mark.parametrize("place", STORAGE_CALLS)
async def test_a_disk_error_while_accepting_is_the_callers_and_leaves_nothing(tmp_path: Path, place: str) -> None:
    call, only = STORAGE_CALLS[place]
    async with running(tmp_path, service_address="") as world:
        for number in ERRNOS:
            with failing(call, number, only=only) as failed, pytest.raises(DiskError) as caught:
                await world.service.queue.submit(report(0))
            assert (caught.value.error_number, bool(failed)) == (number, True)
            assert (world.names("pending"), world.service.queue.counts.pending) == ([], 0)
        await world.service.queue.submit(report(1))
        assert world.kept("pending") == [report(1)]


@pytest.mark.proves("H1.8")
async def test_a_disk_error_arrives_over_ipc_and_accepting_works_again(tmp_path: Path) -> None:
    async with running(tmp_path) as world, world.client() as client:
        with failing("fsync", errno.ENOSPC), pytest.raises(IPCRemoteError) as caught:
            await client.request("submit", {"report": report(0).decode()})
        assert caught.value.remote_code == DiskError.code
        assert await client.request("submit", {"report": report(1).decode()}) == {"id": IDS[1]}
        await world.until(lambda: world.server.ids() == [IDS[1]])


@pytest.mark.proves("H1.9")
async def test_a_hundred_at_once_are_all_sent_and_no_report_is_in_flight_twice(tmp_path: Path) -> None:
    together: list[int] = []

    async def watched(upload: Upload) -> httpx.Response:
        await asyncio.sleep(0)  # Let the others come in: the server itself refuses a second one of the same id.
        together.append(len(world.server.under_way))
        return await storing(upload)

    async with running(tmp_path, watched) as world:
        await submit_all(world, [number % 80 for number in range(100)])
        await world.until(lambda: sum(told[0] == "sent" for told in world.told) == 100)
        assert Counter(world.server.ids()) == Counter(IDS[number % 80] for number in range(100))
        assert max(together) <= 5
        assert world.service.status == "Running"


@pytest.mark.proves("H1.9")
async def test_a_second_service_on_the_same_folder_hears_who_holds_it(tmp_path: Path) -> None:
    async with running(tmp_path, hanging) as world:
        second = make_world(tmp_path, ipc_socket=str(tmp_path / "other"))
        with pytest.raises(StartError, match=f"process {os.getpid()} on ") as caught:
            await second.service.start()
        assert isinstance(caught.value.__cause__, StoreLockedError)
        await second.service.stop()
        assert await world.service.queue.submit(report(0)) == IDS[0]


HOLDER = """
import asyncio, sys
from pathlib import Path
from tests.service.service_world import running

async def main():
    async with running(Path(sys.argv[1])):
        print("holds", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.proves("H1.9", "H6.9")
async def test_the_lock_and_the_socket_of_a_killed_service_are_no_obstacle(tmp_path: Path) -> None:
    path = os.pathsep.join([*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(SOURCE)]).strip(os.pathsep)
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(tmp_path),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert await asyncio.wait_for(holder.stdout.readline(), 20) == b"holds\n"
        refused = make_world(tmp_path, ipc_socket=str(tmp_path / "other"))
        with pytest.raises(StartError, match=f"process {holder.pid} on "):
            await refused.service.start()
        await refused.service.stop()
    finally:
        holder.kill()
        await holder.communicate()
    assert (tmp_path / "s").exists(), "the kill left no stale socket to be replaced"
    async with running(tmp_path) as world, world.client() as client:
        assert await client.request("submit", {"report": report(0).decode()}) == {"id": IDS[0]}
        await world.until(lambda: world.server.ids() == [IDS[0]])


@pytest.mark.proves("H1.10")
async def test_a_failing_report_holds_back_nobody_and_the_others_keep_their_order(tmp_path: Path) -> None:
    async def picky(upload: Upload) -> httpx.Response:
        return httpx.Response(503) if upload.report_id in (IDS[0], IDS[3]) else await storing(upload)

    settings = {"max_concurrent_uploads": 1, "max_retry_attempts": 5}
    async with running(tmp_path, picky, service_address="", **settings) as world:
        for number in range(8):
            await world.service.queue.submit(report(number))
        await world.paused()
        await world.service.change_settings({"service_address": ADDRESS})
        await world.until(lambda: len(world.server.stored) == 6 and world.service.queue.counts.failed == 2)
        assert world.server.ids() == [IDS[number] for number in (1, 2, 4, 5, 6, 7)]


@pytest.mark.proves("H1.3", "H1.10")
async def test_a_retry_that_is_due_at_the_same_instant_is_made_and_nothing_is_left_behind(tmp_path: Path) -> None:
    async def third_time(upload: Upload) -> httpx.Response:
        return httpx.Response(503) if upload.attempt < 3 else await storing(upload)

    async with running(tmp_path, third_time) as world:
        await submit_all(world, range(30))
        await world.until(lambda: sum(told[0] == "sent" for told in world.told) == 30)
        assert (world.service.status, world.service.condition.degraded) == ("Running", False)


class JumpingClock:
    """A wall clock that is far away from where it was each time somebody looks."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self) -> datetime:
        """Return an instant up to ten years before or after the last one."""
        self.looks += 1
        jump = timedelta(days=(0, 1, -1, 3650, -3650)[self.looks % 5], seconds=self.looks)
        return datetime(2026, 11, 23, tzinfo=UTC) + jump


@pytest.mark.proves("H1.12")
async def test_a_clock_that_jumps_all_the_time_changes_neither_order_nor_retries(tmp_path: Path) -> None:
    async def second_time(upload: Upload) -> httpx.Response:
        return httpx.Response(503) if upload.attempt == 1 else await storing(upload)

    settings = {"max_concurrent_uploads": 1, "sent_retention_days": 365}
    async with running(tmp_path, second_time, clock=JumpingClock(), **settings) as world:
        for number in range(12):
            await world.service.queue.submit(report(number))
        await world.until(lambda: sum(told[0] == "sent" for told in world.told) == 12)
        first = [upload.report_id for upload in world.server.uploads if upload.attempt == 1]
        assert first == IDS[:12]
        assert Counter(upload.report_id for upload in world.server.uploads) == dict.fromkeys(IDS[:12], 2)


@pytest.mark.proves("H1.11", "H1.12")
@pytest.mark.parametrize(
    ("jump", "is_kept"),
    [
        (timedelta(days=1), True), (timedelta(days=-1), True), (timedelta(days=-3650), True),
        (timedelta(days=7, seconds=-1), True), (timedelta(days=7, seconds=1), False), (timedelta(days=3650), False),
    ],
)  # fmt: skip
async def test_what_was_sent_is_kept_for_seven_days_and_pruning_touches_nothing_else(
    tmp_path: Path, jump: timedelta, is_kept: bool
) -> None:
    async def mixed(upload: Upload) -> httpx.Response:
        if upload.report_id == IDS[1]:
            return httpx.Response(422)
        return await (storing(upload) if upload.report_id == IDS[0] else hanging(upload))

    async with running(tmp_path, mixed) as world:
        (world.data / "pending" / "foreign.json").write_bytes(b"{torn")
        for number in range(3):
            await world.service.queue.submit(report(number))
        await world.until(lambda: len(world.told) == 2)
        await world.service._parts.store.scan()
        await world.service._parts.store.scan()  # What stays torn is put aside by the second look.
        before = {folder: world.names(folder) for folder in ("pending", "failed", "quarantine")}
        assert all(before.values())
        clock = world.service._around.clock
        clock.instant += jump  # type: ignore[attr-defined]
        await world.service._parts.rhythms.look_after_the_house()
        assert world.kept("sent") == ([report(0)] if is_kept else [])
        assert {folder: world.names(folder) for folder in before} == before


@pytest.mark.proves("H1.14")
@pytest.mark.parametrize("hung", [1, 4])
async def test_hung_uploads_cost_their_slots_and_nothing_else(tmp_path: Path, hung: int) -> None:
    async def partly(upload: Upload) -> httpx.Response:
        return await (hanging(upload) if upload.report_id in IDS[:hung] else storing(upload))

    async with running(tmp_path, partly) as world:
        await submit_all(world, range(hung))
        await world.until(lambda: len(world.server.under_way) == hung)
        for number in range(hung, hung + 10):
            await world.service.queue.submit(report(number))
            await world.until(lambda: len(world.server.stored) == number - hung + 1)  # noqa: B023 - awaited at once
        assert sorted(world.server.under_way) == IDS[:hung]


@pytest.mark.proves("H1.15")
async def test_reports_of_one_id_and_one_instant_are_all_kept_in_every_folder(tmp_path: Path) -> None:
    bodies = [report(0, comment=f"run {number}") for number in range(8)]
    async with running(tmp_path, service_address="") as world:
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(world.service.queue.submit(body))
        assert world.kept("pending") == bodies
        await world.paused()
        world.server.script = answering(422)
        await world.service.change_settings({"service_address": ADDRESS})
        await world.until(lambda: world.service.queue.counts.failed == 8)
        assert world.kept("failed") == bodies
        world.server.script = storing
        await world.service.queue.retry_failed(IDS[0])
        await world.until(lambda: sum(told[0] == "sent" for told in world.told) == 8)
        assert sorted(world.kept("sent")) == sorted(bodies)


async def filled(world: ServiceWorld, numbers: Sequence[int]) -> None:
    """Fill the queue of a service that cannot send."""
    for number in numbers:
        await world.service.queue.submit(report(number))
    await world.paused()


async def drain(world: ServiceWorld) -> None:
    """Let everything be sent, then let nothing be sent again."""
    await world.service.change_settings({"service_address": ADDRESS})
    await world.until(lambda: world.service.queue.counts.pending == 0)
    await world.service.change_settings({"service_address": ""})


@pytest.mark.proves("H5.2", "H5.3")
async def test_reject_refuses_while_it_is_full_each_time_anew(tmp_path: Path) -> None:
    async with running(tmp_path, service_address="", max_queue_size=2) as world:
        for begin in (0, 10):
            await filled(world, [begin, begin + 1])
            with pytest.raises(QueueFullError, match="2"):
                await world.service.queue.submit(report(begin + 2))
            assert world.kept("pending") == [report(begin), report(begin + 1)]
            await drain(world)
        assert (len(world.server.stored), world.names("failed")) == (4, [])


@pytest.mark.proves("H5.3")
async def test_oldest_first_moves_the_oldest_to_failed_with_the_reason_each_time_anew(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_queue_size": 2, "queue_full_action": "oldest_first"}
    async with running(tmp_path, service_address="", **settings) as world:
        for begin in (0, 10):
            await filled(world, [begin, begin + 1])
            await world.service.queue.submit(report(begin + 2))
            assert world.kept("pending") == [report(begin + 1), report(begin + 2)]
            await drain(world)
        assert world.kept("failed") == [report(0), report(10)]
        reasons = [path.read_text() for path in (world.data / "failed").glob("*.history.json")]
        assert all("evicted to make room for a newer report" in reason for reason in reasons)
        assert world.service.queue.counts.evicted == len(reasons) == 2


@pytest.mark.proves("H5.3")
async def test_pause_tells_the_intake_when_it_is_full_and_when_there_is_room_each_time_anew(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_queue_size": 2, "queue_full_action": "pause"}
    async with running(tmp_path, service_address="", **settings) as world:
        for begin in (0, 10):
            await filled(world, [begin, begin + 1])
            assert world.told[-1][0] == "intake paused"
            with pytest.raises(QueueFullError):
                await world.service.queue.submit(report(begin + 2))
            await drain(world)
        words = [told[0] for told in world.told if told[0].startswith("intake")]
        assert words == ["intake paused", "intake resumed"] * 2


@pytest.mark.proves("H5.3")
async def test_an_intake_that_was_paused_goes_on_when_the_action_is_changed(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_queue_size": 1, "queue_full_action": "pause"}
    async with running(tmp_path, service_address="", **settings) as world, world.client() as client:
        await filled(world, [0])
        await client.request("set_config", {"settings": {"queue_full_action": "reject"}})
        assert (world.told[-1], world.service.queue.is_intake_paused) == (("intake resumed",), False)


@pytest.mark.proves("H5.1")
async def test_a_limit_that_was_changed_is_in_force(tmp_path: Path) -> None:
    async with running(tmp_path, service_address="", max_queue_size=5) as world, world.client() as client:
        await filled(world, [0, 1])
        await client.request("set_config", {"settings": {"max_queue_size": 2}})
        with pytest.raises(QueueFullError):
            await world.service.queue.submit(report(2))
        await client.request("set_config", {"settings": {"max_queue_size": 3}})
        assert await world.service.queue.submit(report(2)) == IDS[2]


@pytest.mark.proves("H5.4")
async def test_a_place_is_free_at_the_instant_its_report_has_left(tmp_path: Path) -> None:
    go_on, seen = asyncio.Event(), list[bool]()

    async def gated(upload: Upload) -> httpx.Response:
        await go_on.wait()
        return await storing(upload)

    async with running(tmp_path, gated, max_queue_size=1) as world:
        queue = world.service.queue
        queue.operation_sent.subscribe(lambda _: seen.append(queue.is_full()))
        await queue.submit(report(0))
        await world.until(lambda: world.server.under_way == [IDS[0]])
        assert queue.is_full()
        go_on.set()
        await world.until(lambda: bool(seen))
        assert seen == [False]


@pytest.mark.proves("H5.4")
async def test_the_count_is_that_of_the_folder_whatever_people_do_to_it(tmp_path: Path) -> None:
    async with running(tmp_path, service_address="", max_queue_size=3) as world:
        await filled(world, [0, 1, 2])
        min((world.data / "pending").glob("*Z_*.json")).unlink()
        await world.service._parts.store.scan()
        assert world.service.queue.counts.pending == len(world.kept("pending")) == 2
        pending = world.data / "pending"
        await world.service.stop()
        (pending / "dropped.json").write_bytes(report(7))
    async with running(tmp_path, service_address="", max_queue_size=3) as again:
        assert again.service.queue.counts.pending == len(again.kept("pending")) == 3
        assert again.service.queue.is_full()


@pytest.mark.proves("H5.5")
async def test_a_limit_in_bytes_holds_and_ends_when_there_is_room(tmp_path: Path) -> None:
    size = len(report(0))
    async with running(tmp_path, service_address="", max_queue_bytes=2 * size + 10) as world:
        await filled(world, [0, 1])
        with pytest.raises(QueueFullError, match="bytes"):
            await world.service.queue.submit(report(2))
        assert len(world.kept("pending")) == 2
        await drain(world)
        assert await world.service.queue.submit(report(2)) == IDS[2]


class SmallDisk(Disk):
    """A disk with as much free space as a test says."""

    free = 10_000

    def free_bytes(self, path: Path | str) -> int:  # noqa: ARG002 - the disk's own name
        """Return what the test has set."""
        return self.free


@pytest.mark.proves("H5.5")
async def test_the_last_of_the_disk_is_kept_free_and_accepting_works_again_afterwards(tmp_path: Path) -> None:
    disk = SmallDisk()
    async with running(tmp_path, service_address="", disk=disk, min_free_disk_bytes=5000) as world:
        await world.service.queue.submit(report(0))
        disk.free = 5000 + len(report(1)) - 1
        with pytest.raises(QueueFullError, match="free disk"):
            await world.service.queue.submit(report(1))
        assert world.kept("pending") == [report(0)]
        disk.free += 1
        assert await world.service.queue.submit(report(1)) == IDS[1]


@pytest.mark.proves("H5.6")
async def test_size_highest_refusals_and_evictions_are_metrics(tmp_path: Path) -> None:
    async with running(tmp_path, service_address="", max_queue_size=3) as world:
        await filled(world, [0, 1, 2])
        for _ in range(2):
            with pytest.raises(QueueFullError):
                await world.service.queue.submit(report(3))
        await world.service.change_settings({"queue_full_action": "oldest_first"})
        await world.service.queue.submit(report(3))
        found = dict(re.findall(r"^pywats_queue_(\w+) (\S+)$", world.service.metrics_text().decode(), re.MULTILINE))
        assert {name: float(found[name]) for name in ("pending", "highest", "evicted_total")} == {
            "pending": 3, "highest": 3, "evicted_total": 1
        }  # fmt: skip
        assert float(found["refused_total"]) >= 2
        await drain(world)
        found = dict(re.findall(r"^pywats_queue_(\w+) (\S+)$", world.service.metrics_text().decode(), re.MULTILINE))
        assert (float(found["pending"]), float(found["highest"])) == (0, 3)


@contextmanager
def timed(costs: list[float]) -> Any:
    """Note the processor time of a block, threads included."""
    began = time.process_time()
    yield
    costs.append(time.process_time() - began)


@pytest.mark.proves("H5.6")
async def test_among_ten_thousand_accepting_costs_what_it_costs_among_ten(tmp_path: Path) -> None:
    medians, calls = [], []
    for waiting in (10, 10_000):
        disk, costs = RecordingDisk(), list[float]()
        (tmp_path / str(waiting)).mkdir()
        pending = tmp_path / str(waiting) / "data" / "pending"
        pending.mkdir(parents=True)
        for number in range(waiting):
            body = contents(id=str(uuid.UUID(int=number)))
            name = make_record(SEQUENCE + number, str(uuid.UUID(int=number)), 5, len(body)).name
            (pending / name).write_bytes(body)
        async with running(tmp_path / str(waiting), service_address="", max_queue_size=0, disk=disk) as world:
            assert world.service.queue.counts.pending == waiting
            await world.paused()
            disk.done.clear()
            for _ in range(41):
                with timed(costs):
                    await world.service.queue.submit(contents())
            calls.append(Counter(call for call, _ in disk.done if call != "name synced"))
        medians.append(sorted(costs)[20])
    assert calls[0] == calls[1]
    assert medians[1] < 2 * medians[0] + 0.001, f"seconds of processor time: {medians}"
