"""The configuration's file, loaded and saved: C1.10, H4.5, H4.6."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pywats_reliability.config import ClientConfig
from pywats_reliability.config.document import DOCUMENT_BYTES_MAX, encoded
from pywats_reliability.config_file import backup_path, load_config, load_or_create, save_config
from pywats_reliability.disk import Disk
from pywats_reliability.errors import ConfigFileError, DiskError, SettingValueError

QUICK = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
WHOLE = encoded(ClientConfig(api_token="hunter2", station_name="Mätplats 1").to_dict())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config_default.json"


class FailingDisk:
    """A disk whose n-th write fails, as a full one does, and which writes for real before."""

    def __init__(self, *, writes_before: int) -> None:
        self.writes_left = writes_before
        self.real = Disk()

    def write_atomically(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Write, or fail."""
        if self.writes_left == 0:
            raise DiskError("write", path, OSError(28, "No space left on device"))
        self.writes_left -= 1
        self.real.write_atomically(path, data, mode=mode)


@pytest.mark.proves("H4.5")
def test_h4_5_what_is_saved_loads_equal(path: Path) -> None:
    config = ClientConfig(api_token="t", converters=[{"name": "c", "module_path": "m", "watch_folder": "w"}])
    save_config(path, config, disk=Disk())
    assert load_config(path) == config


def test_the_file_is_for_its_owner_only_and_readable_for_people(path: Path) -> None:
    save_config(path, ClientConfig(station_name="Mätplats"), disk=Disk())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert '  "station_name": "Mätplats",\n' in path.read_text(encoding="utf-8")


def test_a_save_keeps_the_previous_configuration_beside_it(path: Path) -> None:
    first, second = ClientConfig(sn_start=1), ClientConfig(sn_start=2)
    save_config(path, first, disk=Disk())
    save_config(path, second, disk=Disk())
    assert (load_config(path), load_config(backup_path(path))) == (second, first)


def test_saving_the_same_again_does_not_lose_the_previous_one(path: Path) -> None:
    for start in (1, 2, 2, 2):
        save_config(path, ClientConfig(sn_start=start), disk=Disk())
    assert load_config(backup_path(path)).sn_start == 1


@pytest.mark.proves("C1.10")
@pytest.mark.parametrize("writes", [0, 1])
def test_c1_10_a_disk_error_at_any_write_leaves_the_old_file_whole(path: Path, writes: int) -> None:
    save_config(path, ClientConfig(sn_start=1), disk=Disk())
    save_config(path, ClientConfig(sn_start=2), disk=Disk())
    with pytest.raises(DiskError, match="No space left"):
        save_config(path, ClientConfig(sn_start=3), disk=FailingDisk(writes_before=writes))
    assert load_config(path).sn_start == 2
    assert load_config(backup_path(path)).sn_start in {1, 2}


def test_c1_10_nothing_but_the_file_and_its_backup_is_left(path: Path) -> None:
    save_config(path, ClientConfig(sn_start=1), disk=Disk())
    save_config(path, ClientConfig(sn_start=2), disk=Disk())
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name, backup_path(path).name]


@pytest.mark.proves("H4.6")
@pytest.mark.parametrize("contents", [b"", b"{", b'{"sn_start": "5"}', b"\x00" * 100])
def test_h4_6_a_bad_file_is_not_overwritten_by_a_save(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    with pytest.raises(ConfigFileError, match="mend the file"):
        save_config(path, ClientConfig(), disk=Disk())
    assert path.read_bytes() == contents


def outcome_of_loading(path: Path) -> tuple[ClientConfig | None, str]:
    try:
        return load_config(path), ""
    except ConfigFileError as error:
        return None, str(error)


@pytest.mark.proves("H4.6")
def test_h4_6_a_file_torn_at_any_offset_is_refused_by_name(path: Path) -> None:
    """Only the line break at the very end may be missing."""
    taken = []
    for length in range(len(WHOLE)):
        path.write_bytes(WHOLE[:length])
        config, message = outcome_of_loading(path)
        taken += [length] if config or not message.startswith(str(path)) else []
    assert taken == [len(WHOLE) - 1]


@pytest.mark.proves("H4.6")
@settings(QUICK, max_examples=300)
@given(at=st.integers(0, len(WHOLE) - 1), cut=st.integers(0, 8), noise=st.binary(max_size=8))
def test_h4_6_a_damaged_file_gives_a_valid_configuration_or_our_error(
    path: Path, at: int, cut: int, noise: bytes
) -> None:
    path.write_bytes(WHOLE[:at] + noise + WHOLE[at + cut :])
    config, message = outcome_of_loading(path)
    assert config is None or config.validate() == []
    assert message.isprintable()
    assert "hunter2" not in message


@pytest.mark.proves("H4.6")
@settings(QUICK, max_examples=100)
@given(contents=st.binary(max_size=60))
def test_h4_6_random_bytes_are_refused_with_one_printable_line(path: Path, contents: bytes) -> None:
    assume(contents.strip() != b"{}")  # That is a configuration: all defaults.
    path.write_bytes(contents)
    with pytest.raises(ConfigFileError) as caught:
        load_config(path)
    assert str(caught.value).isprintable()


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "found an empty file"),
    "blank": (b" \n\n", "found an empty file"),
    "huge": (b"{" + b" " * DOCUMENT_BYTES_MAX + b"}", "at most 1048576 bytes"),
    "binary": (b"\x00\x01\x02\x03", "line 1, column 1"),
    "Latin-1": ('{"station_name": "Mätplats"}'.encode("latin-1"), "expected UTF-8 text at byte 19"),
    "UTF-16": ('{"sn_start": 1}'.encode("utf-16"), "expected UTF-8 text at byte 0"),
    "list": (b"[]", "expected a JSON object at the whole file, found a list"),
    "null": (b"null", "found nothing"),
    "two documents": (b"{}{}", "Extra data"),
    "key twice": (b'{"sn_start": 1, "sn_start": 2}', "expected each key once at 'sn_start'"),
    "nested key twice": (b'{"proxy": {"host": "a", "host": "b"}}', "expected each key once at 'host'"),
    "wrong type": (b'{"sn_start": "5"}', "at sn_start, found the text '5'"),
    "wrong nested type": (b'{"proxy": {"port": true}}', "at proxy.port, found true"),
    "wrong element": (b'{"converters": [{"name": 5}]}', "at converters[0].module_path, found nothing"),
    "NaN": (b'{"yield_threshold": NaN}', "at yield_threshold, found nan"),
    "infinity": (b'{"yield_threshold": -Infinity}', "at yield_threshold, found -inf"),
    "overflow": (b'{"yield_threshold": 1e999}', "at yield_threshold, found inf"),
    "number of 5000 digits": (b'{"sn_start": ' + b"9" * 5000 + b"}", "at sn_start, found a whole number of 336 bits"),
    "unknown key": (b'{"sn_strat": 5}', "found 'sn_strat' (did you mean 'sn_start'?)"),
    "internal key": (b'{"_config_path": "x"}', "found '_config_path'"),
    "newer major": (b'{"schema_version": "3.0", "k": 1}', "at schema_version, found the text '3.0'"),
    "across": (b'{"force_shutdown_seconds": 1}', "at graceful_shutdown_seconds, found 60.0"),
    "surrogate": (b'{"station_name": "\\ud800"}', "at station_name, found the text '\\ud800'"),
    "deep": (b'{"proxy":' * 100_000, "expected JSON of sane depth"),
    "deep lists": (b"[" * 100_000, "expected JSON of sane depth"),
}


@pytest.mark.proves("H4.6")
@pytest.mark.parametrize(("contents", "words"), REFUSED.values(), ids=REFUSED)
def test_h4_6_a_bad_file_is_refused_by_name_and_key(path: Path, contents: bytes, words: str) -> None:
    path.write_bytes(contents)
    with pytest.raises(ConfigFileError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ")
    assert words in message
    assert path.read_bytes() == contents


@pytest.mark.proves("H4.6")
def test_h4_6_what_is_no_regular_file_is_refused_without_waiting(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ConfigFileError, match="expected a regular file"):
        load_config(path)


@pytest.mark.proves("H4.6")
@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path)])
def test_h4_6_what_cannot_be_read_is_refused(path: Path, make: Any) -> None:
    make(path)
    with pytest.raises(ConfigFileError):
        load_config(path)


def test_a_missing_file_is_refused_by_load(path: Path) -> None:
    with pytest.raises(ConfigFileError, match="expected a configuration file, found none"):
        load_config(path)


def test_a_byte_order_mark_is_no_fault(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + WHOLE)
    assert load_config(path).station_name == "Mätplats 1"


def test_an_empty_object_is_the_default_configuration(path: Path) -> None:
    path.write_text("{}")
    assert load_config(path) == ClientConfig()


def test_a_file_of_an_older_version_is_lifted_and_loads(path: Path) -> None:
    path.write_text('{"schema_version": "1.0", "station_name": "A"}')
    assert load_config(path) == ClientConfig(station_name="A")


@pytest.mark.proves("H4.5")
def test_h4_5_keys_of_a_newer_version_survive_load_and_save(path: Path) -> None:
    path.write_text('{"schema_version": "2.4", "teleport": {"to": ["moon"]}, "proxy": {"tls": true}}')
    config = load_config(path)
    config.sn_start = 5
    save_config(path, config, disk=Disk())
    saved = json.loads(path.read_text())
    assert (saved["teleport"], saved["proxy"]["tls"], saved["sn_start"]) == ({"to": ["moon"]}, True, 5)


def test_a_first_start_writes_the_defaults(path: Path) -> None:
    assert load_or_create(path, disk=Disk()) == ClientConfig()
    assert load_config(path) == ClientConfig()


def test_a_missing_file_is_not_replaced_by_defaults_while_its_backup_exists(path: Path) -> None:
    save_config(backup_path(path), ClientConfig(sn_start=9), disk=Disk())
    assert load_or_create(path, disk=Disk()).sn_start == 9
    assert not path.exists()


@pytest.mark.proves("H4.6")
@pytest.mark.parametrize("bad", ["file", "backup"])
def test_h4_6_a_bad_file_or_backup_is_not_replaced_by_defaults(path: Path, bad: str) -> None:
    (path if bad == "file" else backup_path(path)).write_bytes(WHOLE[:50])
    with pytest.raises(ConfigFileError):
        load_or_create(path, disk=Disk())
    assert [entry.read_bytes() for entry in path.parent.iterdir()] == [WHOLE[:50]]


def test_the_environment_is_used_and_never_saved(path: Path) -> None:
    environment = {"PYWATS_API_TOKEN": "envtoken", "PYWATS_SERVER_URL": "http://env", "PYWATS_HEALTH_PORT": "1234"}
    config = load_or_create(path, disk=Disk(), environment=environment)
    config.sn_start = 3
    save_config(path, config, disk=Disk())
    assert (config.api_token, config.service_address, config.health_port) == ("envtoken", "http://env", 1234)
    assert load_config(path) == ClientConfig(sn_start=3)


def test_the_cause_of_a_refused_file_is_the_error_about_the_setting(path: Path) -> None:
    path.write_text('{"sn_start": -1}')
    with pytest.raises(ConfigFileError) as caught:
        load_config(path)
    assert isinstance(caught.value.__cause__, SettingValueError)
    assert caught.value.__cause__.key == "sn_start"


def test_a_file_of_more_than_the_usual_size_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(" " * 70_000 + json.dumps({"station_name": "at the end"}) + " " * 70_000)
    assert load_config(path).station_name == "at the end"
