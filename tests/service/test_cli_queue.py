"""``pywats-service queue``: the same answers from a running service and from the folder that nobody uses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from pywats_reliability.cli import queue_commands
from pywats_reliability.disk import Disk
from pywats_reliability.errors import IPCConnectionError
from pywats_reliability.ports import SystemClock
from pywats_reliability.store.lock import FolderLock
from tests.service.cli_world import Kept, Station, fill
from tests.service.store_world import failing, make_report

NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Station:
    return Station.make(tmp_path, monkeypatch, capsys)


@pytest.fixture
def kept(station: Station) -> Kept:
    return asyncio.run(fill(station.data))


@pytest.fixture(params=["service", "folder"])
def asked(request: pytest.FixtureRequest, station: Station, kept: Kept) -> Iterator[Station]:
    """Return a filled station whose service runs, and one where none does."""
    assert kept.failed
    with station.service() if request.param == "service" else nullcontext():
        yield station


@pytest.mark.parametrize("folder", ["pending", "failed", "sent"])
def test_each_folder_is_listed(asked: Station, kept: Kept, folder: str) -> None:
    found = asked.on("queue list", "--folder", folder)
    first, last = found.out.splitlines()
    assert (found.code, first.split()[0], last) == (0, getattr(kept, folder), f"1 in {folder}/")


def test_quarantine_is_listed_with_its_reasons(asked: Station) -> None:
    assert "torn.json  not a report: expected JSON" in asked.on("queue list", "--folder", "quarantine").out


def test_a_list_as_json_has_ids_and_sizes(asked: Station, kept: Kept) -> None:
    answer = json.loads(asked.on("queue list", "--json").out)
    (record,) = answer["records"]
    path = asked.data / "pending" / asked.names("pending")[0]
    assert (answer["count"], record["id"], record["size"]) == (1, kept.pending, path.stat().st_size)


def test_a_report_is_shown_with_its_story_and_without_its_contents(asked: Station, kept: Kept) -> None:
    out = asked.on("queue show", kept.failed.upper()).out
    assert out.startswith(f"failed/  {kept.failed}")
    assert "failed attempts: 1, the last error: refused: no such part" in out
    assert '"sn"' not in out


def test_the_contents_of_a_report_are_printed_byte_for_byte(asked: Station, kept: Kept) -> None:
    (name,) = asked.names("sent")
    assert asked.on("queue show", "--contents", kept.sent).out == (asked.data / "sent" / name).read_text()


def test_a_report_that_is_nowhere_is_said_in_one_line(asked: Station) -> None:
    found = asked.on("queue show", NOWHERE)
    assert (found.code, NOWHERE in found.only_line) == (1, True)


def test_a_failed_report_is_queued_again(asked: Station, kept: Kept) -> None:
    assert asked.on("queue retry", kept.failed).code == 0
    assert asked.ids("pending") == [kept.pending, kept.failed]


def test_all_failed_reports_are_queued_again(asked: Station, kept: Kept) -> None:
    found = asked.on("queue retry", "--all")
    assert (found.code, found.out) == (0, f"{kept.failed}  queued\n1 tried\n")
    assert asked.ids("failed") == []


def test_one_id_that_is_not_there_does_not_keep_the_others_from_being_queued(asked: Station, kept: Kept) -> None:
    found = asked.on("queue retry", NOWHERE, kept.failed)
    assert (found.code, found.out, len(found.err.splitlines())) == (1, f"{kept.failed}  queued\n", 1)


@pytest.mark.parametrize("words", [[], ["--all", NOWHERE]])
def test_retry_wants_ids_or_all(station: Station, kept: Kept, words: list[str]) -> None:
    assert station.on("queue retry", *words).code == 2
    assert station.ids("failed") == [kept.failed]


def test_nothing_is_discarded_where_nobody_can_be_asked(station: Station, kept: Kept) -> None:
    found = station.on("queue discard", kept.failed)
    assert (found.code, "--yes" in found.only_line) == (2, True)
    assert station.ids("failed") == [kept.failed]


def test_a_failed_report_is_discarded(asked: Station, kept: Kept) -> None:
    assert asked.on("queue discard", "--yes", kept.failed).code == 0
    assert asked.ids("failed") == []


def test_only_a_failed_report_can_be_discarded(asked: Station, kept: Kept) -> None:
    assert asked.on("queue discard", "--yes", kept.pending).code == 1
    assert asked.ids("pending") == [kept.pending]


@pytest.mark.parametrize("folder", ["pending", "failed", "sent"])
def test_an_export_is_a_copy(asked: Station, kept: Kept, folder: str, tmp_path: Path) -> None:
    (name,) = asked.names(folder)
    assert asked.on("queue export", getattr(kept, folder), "--to", tmp_path / "new" / "out").code == 0
    assert (tmp_path / "new" / "out" / name).read_bytes() == (asked.data / folder / name).read_bytes()


def test_a_file_from_quarantine_is_exported_by_its_name(asked: Station, tmp_path: Path) -> None:
    asked.on("queue export", "torn.json", "--to", tmp_path / "out")
    assert (tmp_path / "out" / "torn.json").read_text() == '{"pn": '


def test_an_export_overwrites_nothing(station: Station, kept: Kept, tmp_path: Path) -> None:
    (name,) = station.names("failed")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    found = station.on("queue export", kept.failed, "--to", tmp_path / "out")
    assert (found.code, (tmp_path / "out" / name).read_text()) == (1, "mine")
    assert "expected no file of that name" in found.only_line


def test_an_export_that_fails_leaves_nothing_half_written(station: Station, kept: Kept, tmp_path: Path) -> None:
    with failing("rename", only=lambda path: "out" in path):
        found = station.on("queue export", kept.failed, "--to", tmp_path / "out")
    assert (found.code, list((tmp_path / "out").iterdir())) == (1, [])


def test_a_folder_that_somebody_else_has_is_left_alone(station: Station, kept: Kept) -> None:
    lock = FolderLock(station.data, Disk(), SystemClock())
    lock.acquire()
    found = station.on("queue retry", kept.failed)
    lock.release()
    assert (found.code, "is in use by process" in found.only_line) == (1, True)
    assert station.ids("failed") == [kept.failed]


def test_a_folder_that_is_not_there_is_not_made(station: Station) -> None:
    found = station.on("queue list")
    assert (found.code, station.data.exists()) == (2, False)
    assert "expected the folder of a service" in found.only_line


def test_another_folder_than_that_of_the_running_service_is_opened_itself(
    station: Station, kept: Kept, tmp_path: Path
) -> None:
    other = asyncio.run(fill(tmp_path / "other"))
    with station.service():
        out = station.with_config("queue list", "--data", tmp_path / "other").out
    assert (other.pending in out, kept.pending in out) == (True, False)


def test_without_a_folder_the_running_service_answers(station: Station, kept: Kept) -> None:
    with station.service():
        assert kept.pending in station.with_config("queue list").out


def test_a_service_that_goes_away_in_the_middle_is_said_and_nothing_is_done_again(
    station: Station, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(_: object, command: str, __: object) -> dict[str, str]:
        if command == "get_queue":
            raise IPCConnectionError("s", "a connection closed before the answer")
        return {"data": str(station.data)}

    monkeypatch.setattr(queue_commands, "patiently", cut)
    with station.service():
        found = station.on("queue retry", "--all")
    assert (found.code, "closed before the answer" in found.only_line) == (1, True)
    assert station.ids("failed") == [kept.failed]


def test_a_retry_that_finds_no_room_says_so_and_leaves_the_report(station: Station, kept: Kept) -> None:
    station.configure(max_queue_size=1)
    found = station.on("queue retry", kept.failed)
    assert (found.code, "queue full" in found.only_line) == (1, True)
    assert station.ids("failed") == [kept.failed]


def test_a_name_that_would_break_the_terminal_is_escaped(station: Station) -> None:
    (station.data / "pending").mkdir(parents=True)
    (station.data / "pending" / "a\x1b[2Jb\n\udcff").write_text(make_report().body.decode()[:9])
    found = station.on("queue list", "--folder", "quarantine")
    assert (found.code, found.out.startswith("a\\x1b[2Jb \\udcff  not a report")) == (0, True)


def test_such_a_name_also_comes_through_the_service(station: Station) -> None:
    (station.data / "quarantine").mkdir(parents=True)
    (station.data / "quarantine" / "b\udcff").write_text("x")
    (station.data / "quarantine" / "b\udcff.reason.json").write_text('{"why": "torn", "when": "today"}')
    with station.service():
        found = station.on("queue list", "--folder", "quarantine")
    assert (found.code, found.out.splitlines()[0]) == (0, "b\\udcff  torn")
