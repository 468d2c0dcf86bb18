"""``pywats-service config``: shown without secrets, changed by the rules of every way in, never made invalid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pywats_reliability.config_file import backup_path
from tests.service.cli_world import Station

SECRET = "c2VjcmV0OnNlY3JldA=="


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Station:
    return Station.make(tmp_path, monkeypatch, capsys)


def saved(station: Station) -> dict[str, object]:
    return dict(json.loads(station.config.read_bytes()))


def test_every_setting_is_shown(station: Station) -> None:
    assert "max_retry_attempts = 10" in station.with_config("config show").out.splitlines()


@pytest.mark.parametrize("words", [["show"], ["show", "--json"], ["get", "api_token"], ["get", "proxy"]])
def test_no_secret_is_shown(station: Station, words: list[str]) -> None:
    station.configure(api_token=SECRET, proxy={"password": SECRET})
    found = station.with_config(f"config {words[0]}", *words[1:])
    assert (found.code, SECRET in found.out, "***" in found.out) == (0, False, True)


def test_a_secret_is_revealed_to_who_asks_for_that(station: Station) -> None:
    station.configure(api_token=SECRET)
    assert station.with_config("config get", "--reveal", "api_token").out == f"{SECRET}\n"


@pytest.mark.parametrize("words", [["get", "max_retry_atempts"], ["set", "max_retry_atempts", "3"]])
def test_an_unknown_key_is_told_with_the_nearest_one(station: Station, words: list[str]) -> None:
    found = station.with_config(f"config {words[0]}", *words[1:])
    assert (found.code, "did you mean 'max_retry_attempts'?" in found.only_line) == (2, True)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("max_retry_attempts", "3", 3),
        ("retry_cap_seconds", "2.5", 2.5),
        ("retry_cap_seconds", "60", 60),
        ("enable_metrics", "False", False),
        ("station_name", "12", "12"),
        ("station_presets", '[{"key": "a", "name": "A"}]', None),
    ],
)
def test_a_value_is_read_as_its_setting_is_typed(station: Station, key: str, text: str, value: object) -> None:
    assert station.with_config("config set", key, text).code == 0
    assert value is None or saved(station)[key] == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("max_retry_attempts", "many"),
        ("max_retry_attempts", "-1"),
        ("max_retry_attempts", "1.5"),
        ("retry_cap_seconds", "nan"),
        ("enable_metrics", "yes"),
        ("log_level", "LOUD"),
        ("converters", "[["),
        ("proxy", '{"prot": 1}'),
        ("station_name", "\udcff"),
        ("sn_start", "9" * 5000),
    ],
)
def test_a_bad_value_is_refused_in_one_line_and_changes_nothing(station: Station, key: str, text: str) -> None:
    before = station.config.read_bytes()
    found = station.with_config("config set", key, text)
    assert (found.code, found.only_line.startswith("pywats-service: ")) == (2, True)
    assert station.config.read_bytes() == before


def test_settings_tied_by_a_rule_are_changed_together(station: Station) -> None:
    assert station.with_config("config set", "graceful_shutdown_seconds", "300").code == 2
    words = ["graceful_shutdown_seconds", "300", "force_shutdown_seconds", "400"]
    assert station.with_config("config set", *words).code == 0


def test_a_key_without_a_value_is_bad_usage(station: Station) -> None:
    assert station.with_config("config set", "sn_start").code == 2


def test_a_secret_comes_from_stdin(station: Station) -> None:
    assert station.with_config("config set", "api_token", "-", stdin=f"{SECRET}\n").code == 0
    assert saved(station)["api_token"] == SECRET


def test_a_refused_secret_is_not_told(station: Station) -> None:
    assert "hush" not in station.with_config("config set", "api_token", "hush\x07hush").only_line


def test_the_previous_configuration_is_kept(station: Station) -> None:
    before = station.config.read_bytes()
    station.with_config("config set", "sn_start", "7")
    assert backup_path(station.config).read_bytes() == before


def test_a_file_that_cannot_be_read_is_not_written_over(station: Station) -> None:
    station.config.write_bytes(b"\x00\xff{")
    found = station.with_config("config set", "sn_start", "7")
    assert (found.code, station.config.read_bytes(), len(found.err.splitlines())) == (2, b"\x00\xff{", 1)


def test_a_missing_file_does_not_lose_what_its_backup_keeps(station: Station) -> None:
    station.configure(station_name="old")
    station.config.rename(backup_path(station.config))
    station.with_config("config set", "sn_start", "7")
    assert saved(station)["station_name"] == "old"


def test_a_first_file(station: Station) -> None:
    new = station.folder / "new" / "c.json"
    assert station.run("config", "set", "--config", new, "sn_start", "7").code == 0
    assert (json.loads(new.read_bytes())["sn_start"], new.stat().st_mode & 0o777) == (7, 0o600)


def test_the_running_service_takes_a_change_into_force(station: Station) -> None:
    with station.service() as service:
        found = station.with_config("config set", "max_retry_attempts", "3")
        assert (found.code, service.config.max_retry_attempts, saved(station)["max_retry_attempts"]) == (0, 3, 3)


def test_a_bad_value_is_bad_input_for_the_running_service_too(station: Station) -> None:
    with station.service() as service:
        assert station.with_config("config set", "max_retry_attempts", "-3").code == 2
        assert service.config.max_retry_attempts == 10


def test_a_service_with_another_file_is_said(station: Station) -> None:
    other = station.folder / "other.json"
    other.write_bytes(station.config.read_bytes())
    with station.service():
        found = station.run("config", "set", "--config", other, "sn_start", "7")
    assert (found.code, "uses another file" in found.only_line) == (1, True)


def test_a_valid_file_is_valid(station: Station) -> None:
    found = station.with_config("config validate")
    assert (found.code, found.out) == (0, f"{station.config}: valid\n")


def test_every_problem_of_a_file_has_its_line(station: Station) -> None:
    station.config.write_text('{"sn_start": -1, "log_level": 5, "statoin_name": "x"}')
    found = station.with_config("config validate")
    assert (found.code, len(found.out.splitlines()), "station_name" in found.out) == (2, 3, True)


@pytest.mark.parametrize("contents", [b"", b"\x00\xff", b"[1]", b'{"a":', b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_a_file_that_is_no_configuration_is_said_in_one_line(station: Station, contents: bytes) -> None:
    (station.folder / "bad.json").write_bytes(contents)
    found = station.run("config", "validate", station.folder / "bad.json")
    assert (found.code, len(found.out.splitlines())) == (2, 1)


@pytest.mark.parametrize("name", ["missing.json", ".", "c.json/below"])
def test_what_is_no_file_is_said_in_one_line(station: Station, name: str) -> None:
    found = station.run("config", "validate", station.folder / name)
    assert (found.code, len(found.out.splitlines())) == (2, 1)
