"""Facts about ``pywats-service submit``, ``status`` and ``stop`` on a running service."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.service.cli_world import DEADLINE_S, Station
from tests.service.store_world import contents

IDS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(3)]


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Station:
    """Return a station that has room for two reports."""
    station = Station.make(tmp_path, monkeypatch, capsys)
    station.configure(max_queue_size=2)
    for number, report_id in enumerate(IDS):
        (tmp_path / f"{number}.json").write_bytes(contents(id=report_id))
    (tmp_path / "torn.json").write_text('{"pn": ')
    (tmp_path / "large.json").write_bytes(contents(pad="x" * 1_100_000))
    return station


def submit(station: Station, *names: str) -> tuple[int, list[str], list[str]]:
    """Return the exit code, what was said, and what was complained of."""
    outcome = station.with_config("submit", *(station.folder / name for name in names))
    return outcome.code, outcome.out.splitlines(), outcome.err.splitlines()


def test_each_report_is_kept_when_its_id_is_printed(station: Station) -> None:
    with station.service():
        code, said, complaints = submit(station, "0.json", "1.json")
        assert station.ids("pending") == [line.split()[0] for line in said] == IDS[:2]
    assert (code, complaints) == (0, [])


@pytest.mark.parametrize(("bad", "words"), [("torn.json", "expected JSON"), ("large.json", "at most 1000000 bytes")])
def test_what_is_no_report_is_one_line_and_exit_code_2_and_the_others_are_kept(
    station: Station, bad: str, words: str
) -> None:
    with station.service():
        code, said, (complaint,) = submit(station, "0.json", bad, "1.json")
        assert (code, len(said), station.ids("pending")) == (2, 2, IDS[:2])
    assert words in complaint
    assert bad in complaint


@pytest.mark.parametrize("names", [("0.json", "1.json", "2.json"), ("torn.json", "0.json", "1.json", "2.json")])
def test_a_report_that_is_refused_though_it_is_good_is_exit_code_1(station: Station, names: tuple[str, ...]) -> None:
    with station.service():
        code, said, complaints = submit(station, *names)
        assert (code, len(said), station.ids("pending")) == (1, 2, IDS[:2])
    assert "2.json: " in complaints[-1]
    assert "queue full: 2 reports, limit 2" in complaints[-1]


def test_the_status_is_told_with_every_reason(station: Station) -> None:
    with station.service():
        submit(station, "0.json")
        told = station.with_config("status").out.splitlines()
        whole = json.loads(station.with_config("status", "--json").out)
    assert told[0].startswith("Paused, server Offline, up ")
    assert told[1].startswith("1 pending of 2, ")
    assert [line.removeprefix("! ") for line in told[2:]] == whole["reasons"]


def test_a_full_queue_is_among_the_reasons(station: Station) -> None:
    with station.service():
        submit(station, "0.json", "1.json")
        told = station.with_config("status").out.splitlines()
        assert "! queue full: 2 reports, limit 2; restore the connection to the server, or raise the limit" in told


def test_on_a_short_disk_the_advice_is_to_free_some_space(station: Station) -> None:
    station.configure(min_free_disk_bytes=2**52)
    with station.service():
        code, _, (complaint,) = submit(station, "0.json")
    assert code == 1
    assert "bytes of free disk, limit 4503599627370496; free some space, or lower min_free_disk_bytes" in complaint


def test_a_stop_is_asked_for_over_ipc(station: Station) -> None:
    with station.service() as service:
        is_stopping = threading.Event()
        service.shutdown.on_progress.subscribe(lambda _: is_stopping.set())
        outcome = station.with_config("stop")
        assert (outcome.code, outcome.out) == (0, "stop requested\n")
        assert is_stopping.wait(DEADLINE_S)


def test_what_waits_for_a_restart_is_told_and_a_restart_is_asked_for(station: Station) -> None:
    with station.service() as service:
        is_stopping = threading.Event()
        service.shutdown.on_progress.subscribe(lambda _: is_stopping.set())
        station.with_config("config set", "health_port", 12345)
        assert station.with_config("status").out.splitlines()[-1] == "in force with the next start only: health_port"
        assert station.with_config("restart").out == "restart requested\n"
        assert is_stopping.wait(DEADLINE_S)  # The command ends with the answer; the service restarts after it.
        assert service.restart_requested


@pytest.mark.parametrize("command", ["status", "stop", "restart", "submit"])
def test_without_a_service_it_is_one_line_and_exit_code_1(station: Station, command: str) -> None:
    words = [station.folder / "0.json"] if command == "submit" else []
    outcome = station.with_config(command, *words)
    assert (outcome.code, "expected a running service" in outcome.only_line) == (1, True)
