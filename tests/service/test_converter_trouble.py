"""What goes wrong with a source: tried again, waited for, or put aside with its reason; never lost or in the way."""

from __future__ import annotations

import errno
import json
import logging
from pathlib import Path

import pytest

from pywats_reliability.converters import ConverterResult, ConverterSource
from pywats_reliability.errors import ConversionError, ConversionTimeoutError, DiskError, QueueFullError
from pywats_reliability.report import Report
from tests.service.converter_world import REPORT, InterruptedDisk, MemoryQueue, World, succeed, taking
from tests.service.store_world import FIELDS
from tests.service.virtual_clock import in_virtual_time

RETRIES = {"max_retries": 2, "retry_delay_seconds": 60}
DISK_FULL = DiskError("write", Path("pending/x"), OSError(errno.ENOSPC, "No space left on device"))


def fail(_source: ConverterSource, _attempt: int) -> ConverterResult:
    return ConverterResult.failed_result("line 3 is no line")


def suspend(_source: ConverterSource, _attempt: int) -> ConverterResult:
    return ConverterResult.suspended_result("not yet")


def fail_first(source: ConverterSource, attempt: int) -> ConverterResult:
    return succeed(source, attempt) if attempt == 2 else fail(source, attempt)


@in_virtual_time
async def test_a_failure_is_tried_again_after_the_delay(tmp_path: Path) -> None:
    world = World(tmp_path, RETRIES, script=fail_first)
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        (first, _), (second, _) = world.converter.begun
        assert (60 <= second - first < 62, world.pool.stats.errors) == (True, 1)


@in_virtual_time
async def test_what_fails_for_good_is_put_aside_with_its_reason(tmp_path: Path) -> None:
    world = World(tmp_path, RETRIES, script=fail)
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.names("in/error") != [])
        reason = json.loads((tmp_path / "in/error/a.csv.reason.json").read_text())
    assert (tmp_path / "in/error/a.csv").read_bytes() == b"contents"
    assert (reason["why"], reason["converter"], reason["attempts"]) == ("line 3 is no line", "c", 3)
    assert len(world.converter.begun) == 3


@in_virtual_time
async def test_what_is_rejected_is_put_aside_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, script=lambda *_: ConverterResult.rejected_result("of another station"))
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.names("in/error") == ["a.csv", "a.csv.reason.json"])
        assert len(world.converter.begun) == 1


@in_virtual_time
async def test_putting_aside_never_overwrites_nor_mixes_up_reasons(tmp_path: Path) -> None:
    world = World(tmp_path, script=lambda source, _: ConverterResult.rejected_result(source.path.read_text()))
    async with world.running():
        for count in (1, 2):
            world.drop("a.csv", f"run {count}".encode())
            await world.until(lambda count=count: len(world.names("in/error")) == 2 * count)  # type: ignore[misc]
        second = json.loads((tmp_path / "in/error/a.2.csv.reason.json").read_text())
        assert ((tmp_path / "in/error/a.2.csv").read_text(), second["why"]) == ("run 2", "run 2")


@in_virtual_time
async def test_a_failing_file_holds_up_no_other(tmp_path: Path) -> None:
    script = lambda source, n: fail(source, n) if source.name == "bad.csv" else succeed(source, n)  # noqa: E731
    world = World(tmp_path, RETRIES, script=script, max_concurrent=1)
    async with world.running():
        world.drop("bad.csv")
        await world.until(lambda: world.pool.stats.errors == 1)
        world.drop("good.csv")
        await world.until_converted()
        assert world.converter.names() == ["bad.csv", "good.csv"]


@in_virtual_time
async def test_a_failed_file_that_changes_is_another_file(tmp_path: Path) -> None:
    world = World(tmp_path, {**RETRIES, "max_retries": 1}, script=fail)
    async with world.running():
        path = world.drop("a.csv", b"half")
        await world.until(lambda: world.pool.stats.errors == 1)
        path.write_bytes(b"half, and the other half")
        await world.until(lambda: world.pool.stats.errors == 2)
        assert world.names() == ["a.csv"], "its first failure does not count any more"


@in_virtual_time
async def test_a_file_that_is_still_written_to_is_not_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "in" / "a.csv"

    def reject(source: ConverterSource, attempt: int) -> ConverterResult:
        if attempt == 1:
            path.write_bytes(b"whole now")
            return ConverterResult.rejected_result("cut short")
        return succeed(source, attempt)

    world = World(tmp_path, script=reject)
    async with world.running():
        world.drop("a.csv", b"half")
        await world.until_converted()
        assert world.names("in/error") == []


@in_virtual_time
async def test_a_suspended_file_comes_up_again_and_is_no_error(tmp_path: Path) -> None:
    def convert(source: ConverterSource, attempt: int) -> ConverterResult:
        return succeed(source, attempt) if attempt == 20 else ConverterResult.suspended_result("not yet", 90)

    world = World(tmp_path, {"max_retries": 1}, script=convert)
    async with world.running():
        world.drop("a.csv")
        await world.until_converted()
        gaps = {round(later - earlier) for (earlier, _), (later, _) in zip(
            world.converter.begun, world.converter.begun[1:], strict=False,
        )}  # fmt: skip
        assert (gaps, world.pool.stats.errors, world.pool.failed_converters()) == ({90}, 0, ())


@in_virtual_time
async def test_a_suspended_file_waits_in_its_folder_and_is_found_there_at_start(tmp_path: Path) -> None:
    config = {"pending_folder": "waiting"}
    world = World(tmp_path, config, script=suspend)
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.names("waiting") == ["a.csv"])
        await world.later(130)
        assert (world.names(), len(world.converter.begun)) == ([], 3)
    again = World(tmp_path, config)
    async with again.running():
        await again.until_converted()
        assert (again.names("waiting"), again.names("in/done")) == ([], ["a.csv"])


@in_virtual_time
async def test_a_suspended_file_whose_name_is_taken_waits_where_it_is(tmp_path: Path) -> None:
    world = World(tmp_path, {"pending_folder": "waiting"}, script=suspend)
    async with world.running():
        world.drop("a.csv", b"1")
        await world.until(lambda: world.names("waiting") == ["a.csv"])
        world.drop("a.csv", b"2")
        await world.later(20)
        assert ((tmp_path / "waiting/a.csv").read_bytes(), world.names()) == (b"1", ["a.csv"])


@in_virtual_time
async def test_a_full_queue_is_waited_for_and_no_error(tmp_path: Path) -> None:
    world = World(tmp_path, {"max_retries": 0})
    refuse_when_full(world.queue)
    world.queue.limit = 1
    async with world.running():
        world.drop("a.csv")
        world.drop("b.csv")
        await world.until_converted()
        await world.later(600)
        assert (len(world.converter.begun), world.pool.stats.errors, len(world.names())) == (2, 0, 1)
        world.queue.make_room(2)
        await world.until_converted(2)


@in_virtual_time
async def test_of_several_reports_only_those_not_accepted_are_handed_over_again(tmp_path: Path) -> None:
    reports = [{**FIELDS, "sn": f"sn{number}"} for number in range(3)]
    world = World(tmp_path, script=lambda *_: ConverterResult.success_result(reports=reports))
    refuse_when_full(world.queue)
    world.queue.limit = 1
    async with world.running():
        world.drop("a.csv")
        for limit in (2, 3):
            await world.later(50)
            assert world.names() == ["a.csv"], "it is filed away when all its reports are accepted, not before"
            world.queue.make_room(limit)
        await world.until_converted()
        assert len(world.queue.ids) == len(set(world.queue.ids)) == 3


@in_virtual_time
async def test_a_report_too_large_for_the_queue_holds_up_no_other(tmp_path: Path) -> None:
    def refuse(report: Report) -> None:
        if b"large" in report.body:
            raise QueueFullError(0, 10, "bytes")

    world = World(tmp_path, max_concurrent=1)
    world.queue.before = refuse
    async with world.running():
        world.drop("large.csv")
        await world.until(lambda: len(world.converter.begun) == 1)
        world.drop("small.csv")
        await world.until_converted()
        assert (world.names(), world.pool.stats.errors) == (["large.csv"], 0)


def refuse_when_full(queue: MemoryQueue) -> None:
    def refuse(_: Report) -> None:
        if queue.is_full():
            raise QueueFullError(len(queue.kept), queue.limit or 0)

    queue.before = refuse


@in_virtual_time
async def test_a_disk_error_while_accepting_is_no_fault_of_the_file(tmp_path: Path) -> None:
    world = World(tmp_path, {"max_retries": 0})

    def refuse(_: Report) -> None:
        raise DISK_FULL

    world.queue.before = refuse
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.pool.stats.errors >= 3)
        world.queue.before = lambda _: None
        await world.until_converted()
        assert world.names("in/error") == []


@in_virtual_time
async def test_a_move_that_fails_is_repeated_without_a_second_report(tmp_path: Path) -> None:
    def fail_always(call: str) -> None:
        if call == "move":
            disk.at = disk.calls
            raise DISK_FULL
        disk.at = disk.calls

    disk = InterruptedDisk(0, fail_always)
    world = World(tmp_path, disk=disk)
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.pool.stats.errors == 3)
        assert "could not be filed away" in world.pool.failed_converters()[0]
        disk.at = -1
        await world.until_converted()
        assert (len(world.queue.kept), len(world.converter.begun), world.pool.failed_converters()) == (1, 1, ())


@in_virtual_time
async def test_what_cannot_be_put_aside_stays_and_is_shown(tmp_path: Path) -> None:
    (tmp_path / "errors").write_text("a file where the folder should be")
    world = World(tmp_path, {"error_folder": "errors"}, script=lambda *_: ConverterResult.rejected_result("no"))
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.pool.failed_converters() != ())
        assert ("could not be put aside" in world.pool.failed_converters()[0], world.names()) == (True, ["a.csv"])
        (tmp_path / "errors").unlink()
        await world.until(lambda: world.pool.failed_converters() == ())


@in_virtual_time
async def test_what_is_too_large_is_put_aside_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, source_bytes_max=100)
    async with world.running():
        world.drop("a.csv", b"x" * 101)
        await world.until(lambda: "a.csv" in world.names("in/error"))
        assert world.converter.begun == []


@pytest.mark.parametrize(
    "result",
    [
        ConverterResult.success_result(),
        ConverterResult.success_result(b"{}"),
        ConverterResult.success_result(b"no JSON"),
        ConverterResult.success_result({**FIELDS, "id": "no UUID"}),
        ConverterResult.success_result(reports=[REPORT, {**FIELDS, "sn": ""}]),
        ConverterResult.success_result({**FIELDS, "sn": "\ud800"}),
        ConverterResult.success_result(REPORT, confidence=0.1),
    ],
)
@in_virtual_time
async def test_a_success_that_is_none_is_a_failure_and_nothing_of_it_is_accepted(
    tmp_path: Path, result: ConverterResult
) -> None:
    world = World(tmp_path, {"max_retries": 0}, script=lambda *_: result)
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: "a.csv" in world.names("in/error"))
        assert world.queue.kept == []


@in_virtual_time
async def test_a_doubtful_success_is_taken_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path, script=lambda *_: ConverterResult.success_result(REPORT, confidence=0.3))
    with caplog.at_level(logging.WARNING):
        async with world.running():
            world.drop("a.csv")
            await world.until_converted()
    assert "converter c is not sure of a.csv: 0.30" in caplog.text


@pytest.mark.parametrize(
    "error", [ConversionError("an answer", "its end", details="Traceback: x"), ConversionTimeoutError("converting", 5)]
)
@in_virtual_time
async def test_what_a_worker_does_wrong_is_an_error_of_the_file(tmp_path: Path, error: Exception) -> None:
    async def convert() -> ConverterResult:
        raise error

    world = World(tmp_path, {"max_retries": 0}, script=lambda *_: convert())
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: "a.csv" in world.names("in/error"))
        reason = json.loads((tmp_path / "in/error/a.csv.reason.json").read_text())
        details = ["Traceback: x"] if isinstance(error, ConversionError) else None
        assert (reason["why"], reason.get("details")) == (str(error), details)


@in_virtual_time
async def test_details_that_may_show_contents_are_in_the_reason_file_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def convert() -> ConverterResult:
        raise ConversionError("a result", "ValueError", details="secret contents")

    world = World(tmp_path, {"max_retries": 0}, script=lambda *_: convert())
    with caplog.at_level(logging.DEBUG):
        async with world.running():
            world.drop("a.csv")
            await world.until(lambda: "a.csv" in world.names("in/error"))
            shown = [caplog.text, str(world.pool.describe()), str(world.pool.failed_converters())]
    assert not any("secret" in text for text in shown)


@in_virtual_time
async def test_a_bug_met_by_one_file_is_logged_and_stops_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def convert(source: ConverterSource, attempt: int) -> ConverterResult:
        if source.name == "a.csv":
            raise ZeroDivisionError
        return succeed(source, attempt)

    world = World(tmp_path, RETRIES, script=convert)
    async with world.running():
        world.drop("a.csv")
        world.drop("b.csv")
        await world.until_converted()
        assert ("ZeroDivisionError" in caplog.text, world.names()) == (True, ["a.csv"])


@in_virtual_time
async def test_bugs_in_a_row_are_raised_and_the_next_run_goes_on(tmp_path: Path) -> None:
    def convert(_source: ConverterSource, _attempt: int) -> ConverterResult:
        raise ZeroDivisionError

    world = World(tmp_path, {"retry_delay_seconds": 1}, script=convert)
    for name in "abc":
        world.drop(name)
    with pytest.raises(ZeroDivisionError):
        await world.pool.run(lambda: None)
    world.converter.script = succeed
    async with world.running():
        await world.until_converted(3)


@in_virtual_time
async def test_a_folder_that_cannot_be_looked_into_is_shown_and_delays_no_other(tmp_path: Path) -> None:
    (tmp_path / "in2").mkdir()
    world = World(tmp_path, {"name": "a"}, {"name": "b", "watch_folder": "in2"})
    async with world.running():
        await world.later(10)
        (tmp_path / "in").rename(tmp_path / "away")
        world.drop("b.csv", folder="in2")
        await world.until_converted()
        assert world.pool.failed_converters()[0].startswith("a: could not list")
        (tmp_path / "away").rename(tmp_path / "in")
        world.drop("a.csv")
        await world.until_converted(2)
        assert world.pool.failed_converters() == ()


@in_virtual_time
async def test_a_file_that_somebody_takes_away_is_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path, script=fail)
    async with world.running():
        path = world.drop("a.csv")
        await world.until(lambda: world.pool.stats.errors == 1)
        path.unlink()
        await world.until(lambda: world.pool.stats.queue_size == 0)
        await world.later(500)
        assert len(world.converter.begun) == 1


@in_virtual_time
async def test_while_paused_nothing_begins_and_after_it_everything_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.running():
        world.pool.pause("the queue is full")
        world.drop("a.csv")
        await world.later(100)
        assert (world.converter.begun, world.pool.paused_reason) == ([], "the queue is full")
        world.pool.resume()
        await world.until_converted()


@in_virtual_time
async def test_what_is_under_way_when_a_pause_begins_is_converted_to_the_end(tmp_path: Path) -> None:
    world = World(tmp_path, script=taking(30))
    async with world.running():
        world.drop("a.csv")
        await world.until(lambda: world.pool.get_active_count() == 1)
        world.pool.pause("the queue is full")
        await world.until_converted()
