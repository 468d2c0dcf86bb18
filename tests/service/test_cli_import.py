"""``pywats-service import``: a queue of either layout is taken over; no file is lost, no report made twice (H1.5)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.disk import Disk
from pywats_reliability.ports import SystemClock
from pywats_reliability.store.lock import FolderLock
from tests.service.cli_world import Station
from tests.service.store_world import contents, failing, records


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Station:
    return Station.make(tmp_path, monkeypatch, capsys)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A folder of upstream's service, with a report in each state."""
    folder = tmp_path / "reports"
    folder.mkdir()
    for age, (name, sn) in enumerate(zip(["d.queued", "c.processing", "b.error", "a.completed"], "1234", strict=True)):
        (folder / name).write_bytes(contents(sn=sn))
        os.utime(folder / name, (1_700_000_000 + age, 1_700_000_000 + age))
    (folder / "b.error.info").write_text(json.dumps({"error": "refused: no such part", "attempts": 5}))
    return folder


def envelope(data: object, **more: Any) -> str:
    fields = {"id": "op-1", "operation_type": "submit_report", "data": data, "created": "2026-01-01T00:00:00"}
    fields |= {"attempts": 2, "last_attempt": None, "error": None, "status": "pending"}
    return json.dumps({**fields, **more}, indent=2)


@pytest.fixture
def gui(tmp_path: Path) -> Path:
    """A folder of upstream's GUI, with a report in each state."""
    folder = tmp_path / "queue"
    for number, (state, error) in enumerate([("pending", None), ("failed", "no such part"), ("sent", None)]):
        (folder / state).mkdir(parents=True)
        path = folder / state / f"2026010{number + 1}_120000_0123abcd.json"
        path.write_text(envelope(json.loads(contents(sn=state)), error=error))
    return folder


def serials(station: Station, folder: str) -> list[str]:
    return [json.loads(body)["sn"] for body in records(station.data / folder)]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_flat_layout_is_taken_over_in_the_order_of_its_files(station: Station, flat: Path) -> None:
    found = station.on("import", flat)
    assert (serials(station, "pending"), serials(station, "failed")) == (["1", "2"], ["3"])
    assert (found.code, found.err) == (0, "")
    assert found.out == "2 queued, 1 to failed/, 0 there already, 1 sent by upstream, 0 not taken\n"


def test_the_gui_layout_is_taken_over_out_of_its_envelopes(station: Station, gui: Path) -> None:
    found = station.on("import", gui)
    assert (serials(station, "pending"), serials(station, "failed")) == (["pending"], ["failed"])
    assert (found.code, found.err) == (0, "")


def test_both_layouts_in_one_folder_are_both_taken(station: Station, flat: Path, gui: Path) -> None:
    for path in flat.iterdir():
        path.rename(gui / path.name)
    station.on("import", gui)
    assert sorted(serials(station, "pending")) == ["1", "2", "pending"]


def test_a_report_keeps_its_bytes(station: Station, flat: Path) -> None:
    station.on("import", flat)
    assert records(station.data / "pending")[0] == (flat / "d.queued").read_bytes()


def test_a_report_keeps_its_bytes_out_of_an_envelope(station: Station, gui: Path) -> None:
    body = '{ "x" : 1.10e+2,"y":12345678901234567890.5, ' + contents(sn="\u00fc").decode()[1:]
    path = gui / "pending" / "20260101_120000_0123abcd.json"
    path.write_text(envelope("DATA", more='"data"').replace('"DATA"', body))
    station.on("import", gui)
    assert records(station.data / "pending") == [body.encode()]


def test_an_envelope_may_carry_its_report_as_a_text(station: Station, gui: Path) -> None:
    (gui / "pending" / "20260101_120000_0123abcd.json").write_text(envelope(contents(sn="text").decode()))
    station.on("import", gui)
    assert serials(station, "pending") == ["text"]


def test_what_upstream_gave_up_keeps_its_reason(station: Station, flat: Path) -> None:
    station.on("import", flat)
    out = station.on("queue show", station.ids("failed")[0]).out
    assert "upstream gave it up after 5 attempts: refused: no such part" in out


def test_what_upstream_gave_up_is_queued_when_asked_for(station: Station, gui: Path) -> None:
    station.on("import", gui, "--retry-failed")
    assert (serials(station, "pending"), serials(station, "failed")) == (["pending", "failed"], [])


def test_what_was_kept_as_failed_is_queued_by_a_later_import_that_asks_for_it(station: Station, flat: Path) -> None:
    station.on("import", flat)
    station.on("import", flat, "--retry-failed")
    assert (sorted(serials(station, "pending")), serials(station, "failed")) == (["1", "2", "3"], [])


def test_the_source_stays_as_it_is(station: Station, flat: Path) -> None:
    before = files(flat)
    station.on("import", flat)
    assert files(flat) == before


def test_what_was_taken_is_moved_when_asked_for(station: Station, flat: Path) -> None:
    before = files(flat)
    station.on("import", flat, "--move")
    moved = ["b.error", "b.error.info", "c.processing", "d.queued"]
    assert files(flat) == {"a.completed": before["a.completed"]} | {f"imported/{n}": before[n] for n in moved}


def test_a_move_overwrites_nothing(station: Station, flat: Path) -> None:
    (flat / "imported").mkdir()
    (flat / "imported" / "d.queued").write_text("mine")
    wanted = (flat / "d.queued").read_bytes()
    station.on("import", flat, "--move")
    found = files(flat)
    assert (found["imported/d.queued"], found["imported/d.queued.2"]) == (b"mine", wanted)


def test_a_dry_run_writes_nothing(station: Station, flat: Path) -> None:
    before = files(flat)
    found = station.on("import", flat, "--dry-run", "--move")
    assert found.out.startswith("2 would be queued, 1 to failed/")
    assert (files(flat), station.data.exists()) == (before, False)


@pytest.mark.parametrize("layout", ["flat", "gui"])
def test_a_second_import_takes_nothing_twice(station: Station, layout: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(layout)
    for path in folder.rglob("*.*"):
        path.write_bytes(path.read_bytes().replace(b'"id"', b'"no"'))  # Reports that carry no id.
    station.on("import", folder)
    ids = [station.ids(name) for name in ("pending", "failed")]
    assert " 0 to failed/, " in station.on("import", folder).out
    assert [station.ids(name) for name in ("pending", "failed")] == ids


def test_a_report_without_an_id_gets_the_same_one_in_every_store(station: Station, flat: Path, tmp_path: Path) -> None:
    (flat / "d.queued").write_bytes(contents(with_id=False))
    station.on("import", flat)
    station.with_config("import", flat, "--data", tmp_path / "other")
    other = [path.name.split("_")[2] for path in (tmp_path / "other" / "pending").iterdir()]
    assert sorted(other) == sorted(station.ids("pending"))


def test_two_tests_that_report_the_very_same_stay_two(station: Station, flat: Path) -> None:
    for name in ("x.queued", "y.queued"):
        (flat / name).write_bytes(contents(with_id=False))
    station.on("import", flat)
    assert len(set(station.ids("pending"))) == 4


def test_a_move_that_failed_is_done_by_the_next_import_and_nothing_taken_twice(station: Station, flat: Path) -> None:
    with failing("rename", only=lambda path: path.startswith(str(flat))):
        assert station.on("import", flat, "--move").code == 1
    taken = station.names("pending")
    assert station.on("import", flat, "--move").out.startswith("0 queued, 0 to failed/, 3 there already")
    assert (station.names("pending"), (flat / "imported" / "d.queued").exists()) == (taken, True)


KILLED_AT_RENAME = """
import os, sys
from pywats_reliability.cli import main

real, left = os.rename, int(sys.argv.pop(1))

def rename(*paths):
    global left
    left -= 1
    if not left:
        os._exit(9)
    real(*paths)

os.rename = rename
main()
"""


@pytest.mark.parametrize("number", [2, 3, 4, 6, 7, 8, 9])
def test_a_kill_at_any_rename_loses_nothing_and_doubles_nothing(station: Station, flat: Path, number: int) -> None:
    wanted = files(flat)
    words = ["import", str(flat), "--move", "--config", str(station.config), "--data", str(station.data)]
    child = subprocess.run([sys.executable, "-c", KILLED_AT_RENAME, str(number), *words], timeout=30, check=False)
    assert child.returncode == 9
    station.on("import", flat, "--move")
    assert sorted([*serials(station, "pending"), *serials(station, "failed")]) == ["1", "2", "3"]
    assert {name.rpartition("/")[2]: body for name, body in files(flat).items()} == wanted


def test_what_could_not_be_kept_is_not_moved(station: Station, flat: Path) -> None:
    before = files(flat)
    with failing("rename", only=lambda path: "/data/" in path and path.endswith(".tmp") and "holder" not in path):
        found = station.on("import", flat, "--move")
    assert (found.code, files(flat), len(found.err.splitlines())) == (1, before, 3)


def test_a_report_that_finds_no_room_stays(station: Station, flat: Path) -> None:
    station.configure(max_queue_size=1)
    found = station.on("import", flat, "--move")
    assert (found.code, (flat / "c.processing").exists(), "queue full" in found.err) == (1, True, True)


@pytest.mark.parametrize(
    "bad", [b"", b"\x00\xff", b'{"pn": ', b"[]", b'{"pn": "x"}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
@pytest.mark.parametrize("layout", ["flat", "gui"])
def test_a_file_that_is_no_report_is_named_and_left(
    station: Station, layout: str, bad: bytes, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(layout)
    name = {"flat": "bad.queued", "gui": "pending/20270101_120000_0123abcd.json"}[layout]
    (folder / name).write_bytes(bad)
    found = station.on("import", folder, "--move")
    (line,) = found.err.splitlines()
    assert (found.code, line.startswith(f"pywats-service: {name}: not taken: not a report")) == (2, True)
    assert (folder / name).read_bytes() == bad


@pytest.mark.parametrize("data", [None, 5, [], {"pn": "x"}, "{", "\ud800", {}])
def test_an_envelope_without_a_report_is_named_and_left(station: Station, gui: Path, data: object) -> None:
    path = gui / "pending" / "20260101_120000_0123abcd.json"
    path.write_text(envelope(data))
    found = station.on("import", gui)
    assert (found.code, len(found.err.splitlines()), path.exists()) == (2, 1, True)


def test_strangers_are_named_and_left(station: Station, flat: Path) -> None:
    (flat / "notes.txt").write_text("x")
    (flat / "orphan.error.info").write_text("x")
    (flat / "folder.queued").mkdir()
    found = station.on("import", flat, "--move")
    named = [line.split(": ")[1] for line in found.err.splitlines()]
    assert named == ["folder.queued", "notes.txt", "orphan.error.info"]
    assert (found.code, found.out.endswith(" 3 not taken\n")) == (0, True)


def test_links_and_pipes_are_never_opened(station: Station, flat: Path) -> None:
    (flat / "link.queued").symlink_to(flat / "d.queued")
    os.mkfifo(flat / "pipe.queued")
    assert len(station.on("import", flat).err.splitlines()) == 2


def test_a_folder_of_neither_layout_is_refused(station: Station, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = station.on("import", tmp_path / "empty")
    assert (found.code, "found neither" in found.only_line, station.data.exists()) == (2, True, False)


@pytest.mark.parametrize("name", ["missing", "c.json"])
def test_what_is_no_folder_is_refused(station: Station, name: str) -> None:
    assert station.on("import", station.folder / name).code == 2


def test_our_own_folder_is_refused(station: Station, gui: Path) -> None:
    found = station.with_config("import", gui, "--data", gui)
    assert (found.code, "found our own" in found.only_line) == (2, True)


def test_a_folder_that_a_service_has_takes_nothing(station: Station, flat: Path) -> None:
    station.data.mkdir()
    lock = FolderLock(station.data, Disk(), SystemClock())
    lock.acquire()
    found = station.on("import", flat, "--move")
    lock.release()
    assert (found.code, "is in use by process" in found.only_line, (flat / "d.queued").exists()) == (1, True, True)
