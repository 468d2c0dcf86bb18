"""What is wrong with plain values, and what of them can be kept: every good one stays, every bad one gets its default.

It works on plain values, since an invalid configuration never exists as one. Everything found is told in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pywats_reliability.config.given import shown
from pywats_reliability.config.json_object import frozen_object
from pywats_reliability.config.section import build, read, setting_named, under
from pywats_reliability.config.setting import Setting
from pywats_reliability.config.settings import SETTINGS, Settings, is_newer, settings_from
from pywats_reliability.errors import ConfigError, SettingTypeError, SettingValueError

_NAME_OF_ITEMS = {"converters": "name", "station_presets": "key"}


def problems(given: object) -> list[str]:
    """Return one line for everything wrong with a mapping: each bad value, or else the first rule that it breaks."""
    try:
        settings_from(given)
    except ConfigError as error:
        found = _good_values(given)[1] if isinstance(given, Mapping) else []
        return found or [_sentence(error)]
    return []


def repaired(given: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Return valid settings that keep all good values, and one line for each that was reset or dropped.

    Raises ``SettingValueError`` for a newer major version, and for what is larger than its file may be: neither can be
    cut to size without harm.
    """
    if "schema_version" in given:
        SETTINGS["schema_version"].check(given["schema_version"])
    values, notes = _good_values(given)
    defaults = {key: setting.default for key, setting in SETTINGS.items()}
    for rule in Settings.rules:
        try:
            rule.check(defaults | values)
        except ConfigError as error:
            notes.append(_sentence(error))
            for key in rule.keys:
                values.pop(key, None)
    return settings_from(values), notes


def _good_values(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    found: list[str] = []
    keep_unknown = _says_it_is_newer(given)
    for key, value in given.items():
        try:
            values[key] = _good_value(key, value, found, keep_unknown=keep_unknown)
        except ConfigError as error:
            found.append(_sentence(error))
    return values, found


def _says_it_is_newer(given: Mapping[str, Any]) -> bool:
    try:
        return is_newer(given)
    except ConfigError:
        return False  # A version that is no version is found again as the value of its key.


def _good_value(key: str, value: Any, found: list[str], *, keep_unknown: bool) -> Any:
    if keep_unknown and key not in SETTINGS:
        return frozen_object({key: value}, "unknown keys")[key]
    setting = setting_named(Settings, key)
    if setting.is_list and isinstance(value, list | tuple):
        return _good_items(setting, value, found, keep_unknown=keep_unknown)
    return read(setting, value, keep_unknown=keep_unknown)


def _good_items(setting: Setting, items: Iterable[Any], found: list[str], *, keep_unknown: bool) -> tuple[Any, ...]:
    """Return the valid elements, of those with the same name the first: one bad converter must not cost the others."""
    assert setting.section is not None, "a list of sections has a section"
    good: dict[str, Any] = {}
    name = _NAME_OF_ITEMS[setting.name]
    for index, given in enumerate(items):
        try:
            with under(f"{setting.name}[{index}]"):
                item = build(setting.section, given, keep_unknown=keep_unknown)
                if item[name] in good:
                    raise SettingValueError(name, f"a {name} once in {setting.name}", shown(item[name]))
        except ConfigError as error:
            found.append(_sentence(error))
        else:
            good[item[name]] = item
    return tuple(good.values())


def _sentence(error: ConfigError) -> str:
    if isinstance(error, SettingTypeError | SettingValueError):
        return f"{error.key}: expected {error.expected}, given {error.given}"
    return str(error)
