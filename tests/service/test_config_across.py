"""The rules across settings, one by one (H4.4); generated histories of them are in ``test_config_properties``."""

from __future__ import annotations

from typing import Any

import pytest

from pywats_reliability.config import ClientConfig, ConverterConfig, ProxyConfig, Settings, StationPreset
from pywats_reliability.errors import SettingValueError

CONVERTER: dict[str, Any] = {"name": "c", "module_path": "m.py", "watch_folder": "in"}
SCHEDULED: dict[str, Any] = {"name": "s", "module_path": "m.py", "converter_type": "scheduled"}
PRESET = {"key": "k", "name": "n"}

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "graceful above force": ({"graceful_shutdown_seconds": 121}, "graceful_shutdown_seconds: expected at most force"),
    "force below graceful": ({"force_shutdown_seconds": 59.9}, "graceful_shutdown_seconds: expected at most force"),
    "manual proxy without host": ({"proxy_mode": "manual"}, "proxy_host: expected a value, as proxy_mode"),
    "enabled proxy without host": ({"proxy": {"enabled": True}}, r"proxy\.host: expected a value, as enabled is true"),
    "converters of one name": ({"converters": [CONVERTER, CONVERTER]}, r"converters\[1\]\.name: expected a name once"),
    "presets of one key": ({"station_presets": [PRESET, PRESET]}, r"station_presets\[1\]\.key: expected a key once"),
    "file converter without folder": (
        {"converters": [CONVERTER | {"watch_folder": ""}]}, "watch_folder: expected a value",
    ),
    "folder converter without folder": (
        {"converters": [CONVERTER | {"watch_folder": "", "converter_type": "folder"}]},
        "watch_folder: expected a value",
    ),
    "scheduled converter without schedule": ({"converters": [SCHEDULED]}, r"this or cron_expression, .* given neither"),
    "rejecting before the alarm": (
        {"converters": [CONVERTER | {"reject_threshold": 0.6}]}, "reject_threshold: expected at most alarm_threshold",
    ),
}
KEPT: list[dict[str, Any]] = [
    {"graceful_shutdown_seconds": 120},
    {"graceful_shutdown_seconds": 500, "force_shutdown_seconds": 600},
    {"force_shutdown_seconds": 10, "graceful_shutdown_seconds": 0},
    {"proxy_mode": "manual", "proxy_host": "h"},
    {"proxy": {"enabled": True, "host": "h", "port": 1}},
    {"converters": [CONVERTER, CONVERTER | {"name": "d"}], "station_presets": [PRESET, PRESET | {"key": "l"}]},
    {"converters": [SCHEDULED | {"cron_expression": "0 6 * * 1-5"}, CONVERTER]},
    {"converters": [SCHEDULED | {"schedule_interval_seconds": 60}]},
    {"converters": [CONVERTER | {"reject_threshold": 0.5, "alarm_threshold": 0.5}]},
]


@pytest.mark.proves("H4.4")
@pytest.mark.parametrize(("changes", "words"), BROKEN.values(), ids=BROKEN)
def test_h4_4_a_state_that_breaks_a_rule_is_refused_and_changes_nothing(changes: dict[str, Any], words: str) -> None:
    config = ClientConfig()
    with pytest.raises(SettingValueError, match=words):
        config.update(changes)
    assert config == ClientConfig()


@pytest.mark.proves("H4.4")
@pytest.mark.parametrize("changes", KEPT)
def test_h4_4_the_order_within_an_update_does_not_matter(changes: dict[str, Any]) -> None:
    forth, back = ClientConfig(), ClientConfig()
    forth.update(list(changes.items()))
    back.update(list(reversed(changes.items())))
    assert forth == back == ClientConfig(**changes)


@pytest.mark.proves("H4.4")
def test_h4_4_what_depends_on_another_setting_cannot_lose_it() -> None:
    config = ClientConfig(proxy_mode="manual", proxy_host="h")
    with pytest.raises(SettingValueError, match="proxy_host"):
        config.proxy_host = ""
    assert config.proxy_host == "h"


@pytest.mark.parametrize("section", [Settings, ProxyConfig, ConverterConfig])
def test_every_rule_across_settings_says_what_it_means_and_for_which(section: type[Settings]) -> None:
    assert section.rules
    assert all(rule.text and set(rule.keys) <= set(section.__dataclass_fields__) for rule in section.rules)
    assert StationPreset.rules == ()
