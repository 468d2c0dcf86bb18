"""Facts about ``pywats-service converters`` on a running service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.service.cli_world import Station


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Station:
    """Return a station with one converter that works and one whose folder is missing."""
    station = Station.make(tmp_path, monkeypatch, capsys)
    (tmp_path / "in").mkdir()
    mine: dict[str, Any] = {"module_path": "wsjf", "enabled": False}
    station.configure(
        converters=[
            {"name": "logs", "watch_folder": str(tmp_path / "in"), "priority": 3, **mine},
            {"name": "others", "watch_folder": str(tmp_path / "missing"), **mine},
        ]
    )
    return station


def states(station: Station) -> dict[str, str]:
    listed = json.loads(station.with_config("converters list", "--json").out)
    return {each["name"]: each["state"] for each in listed}


def test_converters_are_listed_the_most_urgent_first(station: Station) -> None:
    with station.service():
        told = station.with_config("converters list").out.splitlines()
    assert told[0].startswith("logs  stopped  priority 3  ")
    assert (told[1].startswith("others  "), told[-1]) == (True, "2 converters")


def test_a_converter_is_started_and_stopped_by_hand(station: Station) -> None:
    with station.service():
        assert station.with_config("converters start", "logs").out == "logs: started\n"
        assert states(station)["logs"] in ("loading", "running")
        assert station.with_config("converters stop", "logs").out == "logs: stopped\n"
        assert states(station)["logs"] == "stopped"


def test_an_unknown_converter_is_one_line_that_names_those_there_are(station: Station) -> None:
    with station.service():
        outcome = station.with_config("converters start", "log")
    assert (outcome.code, "logs, others" in outcome.only_line) == (1, True)


def test_without_a_service_it_is_one_line(station: Station) -> None:
    outcome = station.with_config("converters list")
    assert (outcome.code, "expected" in outcome.only_line) == (1, True)
