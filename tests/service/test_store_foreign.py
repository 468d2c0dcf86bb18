"""What is no record: adopted when it is a report, else quarantined with its reason, and in nobody's way (H1.6)."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pywats_reliability.errors import DiskError, QueueCriticalError, RecordUnreadableError
from pywats_reliability.store import StoreLimits
from tests.service.store_world import contents, failing, make_report, names, opened, records, take_all

pytestmark = pytest.mark.asyncio
RECORD_NAME = "20261123T120000.000000Z_05_7f3a0c1e-0000-4000-8000-000000000001_300.json"
SMALL = StoreLimits(record_bytes_max=1000)


def data(raw: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(raw)


def a_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def a_full_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("kept")


BROKEN: dict[str, Callable[[Path], object]] = {
    "empty": data(b""),
    "torn": data(contents()[:-5]),
    "random bytes": data(bytes(range(256))),
    "zeros": data(b"\0" * 4096),
    "Latin-1": data(contents(pad="X").replace(b"X", b"\xe6")),
    "no report": data(b'{"hello": "world"}'),
    "no object": data(b"[1, 2]"),
    "nested without end": data(b"[" * 100_000),
    "oversized": data(contents(pad="x" * 2000)),
}
NO_FILES: dict[str, Callable[[Path], object]] = {
    "link to a report": lambda path: path.symlink_to(path.parents[1] / "outside.json"),
    "dangling link": lambda path: path.symlink_to("/nowhere/at/all"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "folder": a_full_folder,
    "FIFO": os.mkfifo,
    "socket": a_socket,
}


CASES = [
    *((name, make) for make in (BROKEN | NO_FILES).values() for name in ("dropped.json", ".hidden")),
    *((RECORD_NAME, make) for make in NO_FILES.values()),
]
CASE_IDS = [f"{kind} {place}" for kind in BROKEN | NO_FILES for place in "ab"] + [f"{kind} c" for kind in NO_FILES]


@pytest.mark.proves("H1.6")
@pytest.mark.parametrize(("name", "make"), CASES, ids=CASE_IDS)
async def test_a_start_puts_it_into_quarantine_as_it_is_with_the_reason(
    tmp_path: Path, make: Callable[[Path], object], name: str
) -> None:
    async with opened(tmp_path) as store:
        good = await store.accept(make_report())
    (tmp_path / "outside.json").write_bytes(contents())
    make(tmp_path / "pending" / name)
    before = os.lstat(tmp_path / "pending" / name)
    async with opened(tmp_path, SMALL) as store:
        assert (store.counts.quarantined, take_all(store)) == (1, [good.report_id])
    after = os.lstat(tmp_path / "quarantine" / name)
    assert (stat.S_IFMT(before.st_mode), before.st_ino) == (stat.S_IFMT(after.st_mode), after.st_ino)
    reason = json.loads((tmp_path / "quarantine" / f"{name}.reason.json").read_text())
    assert (reason["original_name"], bool(reason["why"]), reason["when"]) == (name, True, "2026-11-23T14:30:00+00:00")
    assert (tmp_path / "outside.json").exists()


@pytest.mark.proves("H1.6")
@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
async def test_a_broken_record_is_found_when_it_is_taken(tmp_path: Path, make: Callable[[Path], object]) -> None:
    async with opened(tmp_path, SMALL) as store:
        record = await store.accept(make_report())
        good = await store.accept(make_report())
        make(tmp_path / "pending" / record.name)
        assert store.take() == record
        with pytest.raises(RecordUnreadableError, match="quarantine"):
            await store.read(record)
        assert (store.counts.pending, store.counts.quarantined, take_all(store)) == (1, 1, [good.report_id])
        assert names(tmp_path / "quarantine") == [record.name, f"{record.name}.reason.json"]


@pytest.mark.proves("H1.6")
async def test_a_record_is_never_read_torn_whatever_its_length(tmp_path: Path) -> None:
    report = make_report()
    async with opened(tmp_path) as store:
        for length in range(len(report.body)):
            record = await store.accept(make_report(id=report.id))
            (tmp_path / "pending" / record.name).write_bytes(report.body[:length])
            assert store.take() == record
            with pytest.raises(RecordUnreadableError):
                await store.read(record)
        assert store.counts.quarantined == len(report.body)


@pytest.mark.proves("H1.6")
@pytest.mark.parametrize("swap", [os.mkfifo, lambda path: path.symlink_to("/etc/hostname"), os.mkdir])
async def test_a_record_exchanged_for_something_else_is_found_when_it_is_taken(
    tmp_path: Path, swap: Callable[[Path], object]
) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        (tmp_path / "pending" / record.name).unlink()
        swap(tmp_path / "pending" / record.name)
        await store.scan()
        assert store.take() == record
        with pytest.raises(RecordUnreadableError):
            await store.read(record)
        assert (store.counts.pending, store.counts.quarantined) == (0, 1)


async def test_a_record_with_anothers_contents_is_not_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        (tmp_path / "pending" / record.name).write_bytes(contents())
        with pytest.raises(RecordUnreadableError, match="another id than its name"):
            await store.read(record)


async def test_a_record_removed_by_hand_is_told_as_such(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        (tmp_path / "pending" / record.name).unlink()
        with pytest.raises(RecordUnreadableError, match="removed by hand"):
            await store.read(record)
        assert (store.counts.pending, store.counts.quarantined) == (0, 0)


async def test_a_fault_that_passes_quarantines_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        report = make_report()
        await store.accept(report)
        record = store.take()
        assert record is not None
        with failing("open"), pytest.raises(DiskError):
            await store.read(record)
        assert (store.counts.in_flight, await store.read(record)) == (1, report.body)


async def test_a_report_dropped_in_by_hand_is_adopted_byte_for_byte(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        dropped = contents(note="æøå", value=1e300)
        (tmp_path / "pending" / "my report.txt").write_bytes(dropped)
        recovery = await store.scan()
        assert (recovery.adopted, records(tmp_path / "pending"), store.counts.pending) == (1, [dropped], 1)
        assert take_all(store) == [json.loads(dropped)["id"]]


async def test_a_report_without_id_gets_one_durably(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        dropped = contents(with_id=False)
        (tmp_path / "pending" / "report.json").write_bytes(b"\xef\xbb\xbf" + dropped)
        await store.scan()
        (kept,) = records(tmp_path / "pending")
        (report_id,) = take_all(store)
        assert json.loads(kept) == {"id": report_id, **json.loads(dropped)}
        assert len(names(tmp_path / "pending")) == 1


async def test_a_crash_while_adopting_makes_no_second_report(tmp_path: Path) -> None:
    """The new record is there, the original not yet gone: adopted again it is the same report (H1.5)."""
    dropped = tmp_path / "pending" / "report.json"
    async with opened(tmp_path) as store:
        dropped.write_bytes(contents(with_id=False))
        with failing("unlink", only=lambda path: path == str(dropped)):
            await store.scan()
        assert dropped.exists()
    async with opened(tmp_path) as store:
        first, second = (json.loads(kept)["id"] for kept in records(tmp_path / "pending"))
        assert (first == second, dropped.exists()) == (True, False)


@pytest.mark.proves("H1.15")
async def test_the_same_contents_under_two_names_are_two_reports(tmp_path: Path) -> None:
    dropped = contents(with_id=False)
    async with opened(tmp_path) as store:
        for name in ("a.json", "b.json"):
            (tmp_path / "pending" / name).write_bytes(dropped)
        await store.scan()
        assert len(set(take_all(store))) == 2


async def test_a_file_still_being_written_is_left_until_it_is_whole(tmp_path: Path) -> None:
    whole = contents()
    async with opened(tmp_path) as store:
        for length in (20, 40):
            (tmp_path / "pending" / "slow.json").write_bytes(whole[:length])
            await store.scan()
            assert (names(tmp_path / "quarantine"), store.counts.pending) == ([], 0)
        (tmp_path / "pending" / "slow.json").write_bytes(whole)
        await store.scan()
        assert records(tmp_path / "pending") == [whole]


@pytest.mark.proves("H1.6")
async def test_a_file_that_stays_torn_goes_to_quarantine_at_the_second_scan(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        (tmp_path / "pending" / "torn.json").write_bytes(b"{")
        assert (await store.scan()).quarantined == 0
        assert (await store.scan()).quarantined == 1


@pytest.mark.proves("H1.6", "H1.15")
async def test_names_in_quarantine_are_never_overwritten(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "pending").mkdir(exist_ok=True)
        (tmp_path / "pending" / "torn.json").write_bytes(b"{" * (number + 1))
        async with opened(tmp_path) as store:
            assert store.counts.quarantined == number + 1
    kept = sorted(path.read_bytes() for path in (tmp_path / "quarantine").iterdir() if "reason" not in path.name)
    assert kept == [b"{", b"{{", b"{{{"]


async def test_a_file_that_looks_like_a_reason_is_overwritten_by_none(tmp_path: Path) -> None:
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / "torn.reason.json").write_bytes(b"{1")
    async with opened(tmp_path):
        (tmp_path / "pending" / "torn").write_bytes(b"{2")
    async with opened(tmp_path):
        assert (tmp_path / "quarantine" / "torn.reason.json").read_bytes() == b"{1"
        assert (tmp_path / "quarantine" / "torn.2").read_bytes() == b"{2"


@pytest.mark.parametrize("name", [b"\xff\xfe.json", b"line\nbreak", b"x" * 255, "æøå".encode(), b"..."])
async def test_any_name_can_be_quarantined(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / os.fsdecode(name)).write_bytes(b"{")
    async with opened(tmp_path) as store:
        assert (names(tmp_path / "pending"), store.counts.quarantined) == ([], 1)
        (reason,) = (tmp_path / "quarantine").glob("*.reason.json")
        assert os.fsencode(json.loads(reason.read_text())["original_name"]) == name


async def test_a_file_that_cannot_be_moved_is_skipped_named_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        good = await store.accept(make_report())
        (tmp_path / "pending" / "torn.json").write_bytes(b"{")
        await store.scan()
        with failing("rename"):
            for _ in range(3):
                await store.scan()
        assert (store.counts.skipped, caplog.text.count("torn.json' stays in pending/")) == (1, 1)
        assert take_all(store) == [good.report_id]
        await store.scan()
        assert (store.counts.skipped, store.counts.quarantined) == (0, 1)


async def test_a_broken_record_that_cannot_be_moved_is_not_taken_again_and_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        (tmp_path / "pending" / record.name).write_bytes(b"{")
        assert store.take() == record
        with failing("rename"), pytest.raises(RecordUnreadableError, match="pending"):
            await store.read(record)
        with failing("rename"):
            await store.scan()
            await store.scan()
            assert (store.take(), store.counts.pending, store.counts.skipped) == (None, 0, 1)
        await store.scan()
        assert (store.counts.quarantined, store.counts.skipped) == (1, 0)


@pytest.mark.proves("H1.6")
async def test_a_file_nobody_may_read_goes_to_quarantine(tmp_path: Path) -> None:
    def refused(path: str) -> bool:
        return path.endswith("secret.json")

    async with opened(tmp_path) as store:
        (tmp_path / "pending" / "secret.json").write_bytes(contents())
        (tmp_path / "pending" / "secret.json").chmod(0)
        with failing("open", errno.EACCES, only=refused):
            await store.scan()
            await store.scan()
        assert (store.counts.quarantined, names(tmp_path / "pending")) == (1, [])


PASSING = [errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE]


@pytest.mark.proves("H1.6")
@pytest.mark.parametrize("number", PASSING)
async def test_a_record_that_the_disk_refuses_for_a_while_is_read_later(tmp_path: Path, number: int) -> None:
    """A drive that must be logged on to again, or a scanner that has the file open, is no reason to give it up."""
    report = make_report()
    async with opened(tmp_path) as store:
        record = await store.accept(report)
        assert store.take() == record
        with failing("open", number, only=lambda path: record.name in path), pytest.raises(DiskError):
            await store.read(record)
        store.release(record)
        assert store.take() == record
        assert (await store.read(record), store.counts.quarantined) == (report.body, 0)


@pytest.mark.parametrize("number", PASSING)
async def test_a_file_dropped_in_that_is_refused_for_a_while_is_adopted_later(tmp_path: Path, number: int) -> None:
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / "by-hand.json").write_bytes(contents())
    with failing("open", number, only=lambda path: path.endswith("by-hand.json")):
        async with opened(tmp_path) as store:
            await store.scan()
            await store.scan()
            assert (store.counts.quarantined, store.counts.skipped, store.counts.pending) == (0, 1, 0)
    async with opened(tmp_path) as store:
        assert (store.counts.quarantined, store.counts.pending) == (0, 1)


async def test_a_record_that_its_mode_denies_to_us_goes_to_quarantine(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        (tmp_path / "pending" / record.name).chmod(0)
        assert store.take() == record
        refused = failing("open", errno.EACCES, only=lambda path: path.endswith(f"pending/{record.name}"))
        with refused, pytest.raises(RecordUnreadableError):
            await store.read(record)
        assert (store.counts.quarantined, store.counts.pending) == (1, 0)


@pytest.mark.proves("H1.3")
async def test_attempts_are_not_forgotten_because_their_history_is_refused_for_a_while(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        assert store.take() == record
        assert await store.record_attempt(record, "no") == 1
        refused = failing("open", errno.EACCES, only=lambda path: path.endswith(".history.json"))
        with refused, pytest.raises(QueueCriticalError):
            await store.record_attempt(record, "no")
        assert await store.record_attempt(record, "no") == 2


async def test_a_report_that_cannot_be_read_just_now_is_adopted_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        (tmp_path / "pending" / "report.json").write_bytes(contents())
        with failing("open", only=lambda path: path.endswith("report.json")):
            await store.scan()
            assert (store.counts.skipped, store.counts.quarantined) == (1, 0)
        await store.scan()
        assert (store.counts.pending, store.counts.skipped) == (1, 0)


async def test_a_name_from_far_in_the_future_does_not_end_the_sequence(tmp_path: Path) -> None:
    (tmp_path / "pending").mkdir()
    report = make_report()
    far = f"99991231T235959.999999Z_05_{report.id}.json"
    (tmp_path / "pending" / far).write_bytes(report.body)
    async with opened(tmp_path) as store:
        record = await store.accept(make_report())
        assert (record.accepted_at.year, take_all(store)) == (2026, [report.id, record.report_id])


async def test_a_copy_out_of_sent_is_adopted_under_a_name_of_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        report = make_report()
        await store.accept(report)
        record = store.take()
        assert record is not None
        await store.mark_sent(record)
        (name,) = names(tmp_path / "sent")
        os.link(tmp_path / "sent" / name, tmp_path / "pending" / name)
        await store.scan()
        assert (take_all(store), names(tmp_path / "sent")) == ([report.id], [name])
