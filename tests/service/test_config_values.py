"""The finer rules of single settings: numbers, enumerations, URLs, versions, secrets (H4.1, H3.5)."""

from __future__ import annotations

import dataclasses
import enum
import traceback
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from pywats_reliability.config import SETTINGS, ClientConfig, ConverterConfig, ProxyConfig, StationPreset
from pywats_reliability.errors import ConfigError

CONVERTER = {"name": "c", "module_path": "m.py", "watch_folder": "in"}


class Level(enum.StrEnum):
    """Texts with names."""

    DEBUG = "DEBUG"


class Start(enum.IntEnum):
    """Numbers with names."""

    ONE = 1


class Half(float):
    """A number with ideas of its own."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise RuntimeError("nobody calls the code of a value")


@pytest.mark.proves("H4.1")
def test_h4_1_a_whole_number_is_a_number_and_is_kept_as_one() -> None:
    config = ClientConfig(yield_threshold=5)
    assert type(config["yield_threshold"]) is float


@pytest.mark.proves("H4.1")
def test_h4_1_members_of_enumerations_are_kept_as_what_they_are_worth() -> None:
    config = ClientConfig(log_level=Level.DEBUG, sn_start=Start.ONE, yield_threshold=Half(0.5))
    kept = [type(config[key]) for key in ("log_level", "sn_start", "yield_threshold")]
    assert (kept, config["log_level"]) == ([str, int, float], "DEBUG")


def test_a_value_that_lies_about_its_class_is_refused() -> None:
    with pytest.raises(TypeError, match="instance of Mock"):
        ClientConfig(station_name=mock.Mock(spec=str))


@pytest.mark.proves("H4.1")
@pytest.mark.parametrize("url", [
    "wats.local", "ftp://wats.local", "http://", "https:///path", "http:wats", "http://a b", "http://h:99999", "//h",
    "http://user:pw@h", "http://h\n", "http://h\\x", "javascript:alert(1)", "http://[::1", "http://?x", "http://h/a b",
])
@pytest.mark.parametrize("key", ["service_address", "webhook_report_url"])
def test_h4_1_what_is_no_http_url_with_a_host_is_refused(key: str, url: str) -> None:
    with pytest.raises(ValueError, match=r"http\(s\) URL with a host"):
        ClientConfig(**{key: url})


@pytest.mark.parametrize("url", ["", "http://h", "https://wats.example.com:8443/api/", "HTTP://[::1]:80", "http://127.0.0.1"])
def test_an_http_url_with_a_host_is_kept_as_it_was_written(url: str) -> None:
    assert ClientConfig(service_address=url)["service_address"] == url


@pytest.mark.proves("H4.1")
@pytest.mark.parametrize("name", ["..", ".x", "a/b", "a\\b", "a:b", " a", "a ", "a*", "x" * 65])
def test_h4_1_an_instance_id_may_stand_in_a_file_name(name: str) -> None:
    with pytest.raises(ValueError, match="instance_id"):
        ClientConfig(instance_id=name)


@pytest.mark.proves("H4.1")
@pytest.mark.parametrize("version", ["3.0", "0.9", "2", "2.0.0", "", "v2.0", "2.x", "10.0", "-1.0", "2.٣"])
def test_h4_1_a_version_that_cannot_be_read_here_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match=r"schema_version: expected a version from '1\.0' to '2\.x'"):
        ClientConfig.from_dict({"schema_version": version, "key_of_that_version": 1})


@pytest.mark.parametrize("key", [key for key, setting in SETTINGS.items() if setting.secret])
def test_h3_5_a_secret_is_in_no_message_traceback_or_representation(key: str) -> None:
    secret = "".join(["hun", "ter2"])  # In pieces: a traceback quotes the source.
    with pytest.raises(ValueError, match=key) as caught:
        ClientConfig(**{key: f"{secret}\n"})
    text = "".join(traceback.format_exception(caught.value))
    config = ClientConfig(**{key: secret})
    assert secret not in text + repr(config) + str(config.masked()) + repr(config.settings)


def test_h3_5_secrets_below_the_surface_are_masked() -> None:
    arguments = {"ftp": [{"Password": "hunter2", "user": "me"}]}
    config = ClientConfig(proxy={"password": "hunter2"}, converters=[CONVERTER | {"arguments": arguments}])
    masked = config.masked()
    assert "hunter2" not in str(masked) + repr(config) + repr(config["converters"]) + repr(config["proxy"])
    assert masked["converters"][0]["arguments"]["ftp"] == [{"Password": "***", "user": "me"}]


@pytest.mark.parametrize("wrong", [
    {"proxy": "http://me:hunter2@proxy"}, {"service_address": "http://me:hunter2@wats"},
    {"proxy": {"password": ["hunter2"]}}, {"converters": "hunter2"}, {"log_level": "hunter2" * 50},
])
def test_h3_5_what_could_hide_a_secret_is_described_and_not_quoted(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        ClientConfig(**wrong)
    assert "hunter2" not in str(caught.value)


@pytest.mark.proves("H4.3")
@pytest.mark.parametrize(("make", "expected"), [
    (lambda: ProxyConfig(port=0), ValueError),
    (lambda: ProxyConfig(password=5), TypeError),  # type: ignore[arg-type]
    (lambda: StationPreset(key="", name="n"), ValueError),
    (lambda: StationPreset(key="k"), TypeError),  # type: ignore[call-arg]
    (lambda: ConverterConfig(name="c", module_path="m"), ValueError),
    (lambda: dataclasses.replace(ProxyConfig(), port=70_000), ValueError),
])
def test_h4_3_a_typed_object_is_checked_when_it_is_made(make: Callable[[], object], expected: type[Exception]) -> None:
    with pytest.raises(expected):
        make()
