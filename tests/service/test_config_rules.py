"""Every setting against every class of bad value, by every way in (H4.1, H4.2, H4.3)."""

from __future__ import annotations

import decimal
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pywats_reliability.config import SETTINGS, ClientConfig, Setting
from pywats_reliability.config.document import decoded
from pywats_reliability.errors import ConfigError

CONVERTER = {"name": "c", "module_path": "m.py", "watch_folder": "in"}
VALID: dict[str, dict[str, Any]] = {
    "proxy": {"host": "proxy.local"}, "station_presets": {"key": "k", "name": "n"}, "converters": CONVERTER,
}
PROSE = {"station_description", "description"}
BLANKS_ALLOWED = {"password", "proxy_password"}
Bad = tuple[object, type[Exception]]


def each(error: type[Exception], *values: object) -> Iterator[Bad]:
    for value in values:
        yield value, error


def bad_values(setting: Setting) -> Iterator[Bad]:
    """Yield what a setting must refuse, with the built-in error that a user of a mapping expects."""
    yield from each(TypeError, b"8080", object(), {1, 2}, 1j, decimal.Decimal(1))
    if "None" not in setting.type_text:
        yield None, TypeError
    if setting.section is not None:
        yield from bad_sections(setting)
    else:
        yield from BAD_BY_TYPE[setting.type_text.removesuffix(" | None")](setting)


def bad_flags(_: Setting) -> Iterator[Bad]:
    yield from each(TypeError, 0, 1, 1.0, "true", "", [], {})


def bad_numbers(setting: Setting) -> Iterator[Bad]:
    assert setting.minimum is not None
    assert setting.maximum is not None
    yield from each(TypeError, True, False, "1", "", " ", "8080", [1], {}, [True])
    yield from each(ValueError, 10**400, -(10**400), 10**5000, setting.maximum + 1, setting.minimum - 1, -1)


def bad_integers(setting: Setting) -> Iterator[Bad]:
    yield from bad_numbers(setting)
    yield from each(TypeError, 1.0, 1.5, math.nan, math.inf)


def bad_floats(setting: Setting) -> Iterator[Bad]:
    yield from bad_numbers(setting)
    yield from each(ValueError, math.nan, math.inf, -math.inf, -0.001)


def bad_texts(setting: Setting) -> Iterator[Bad]:
    yield from each(TypeError, 0, 1, 1.5, math.nan, True, [], ["a"], {}, 10**5000)
    yield from each(ValueError, "\x00", "a\x00b", "a\x1b[2J", "a\x7f", "\ud800", "x" * 20_000)
    if setting.name not in PROSE:
        yield from each(ValueError, "a\nb", "a\r\nX-Evil: 1", "\u2028", "a\u0085b")
    if setting.name not in PROSE | BLANKS_ALLOWED:
        yield "   ", ValueError
    if setting.secret:
        yield "***", ValueError
    if setting.is_required:
        yield "", ValueError
    for choice in setting.choices:
        yield from each(ValueError, f" {choice}", f"{choice}x", choice.swapcase(), "")


def bad_text_lists(_: Setting) -> Iterator[Bad]:
    yield from each(TypeError, "*.csv", 5, {}, [5], ["a", None], ["a", ["b"]], [True])
    yield from each(ValueError, [""], ["a", " "], ["a\x00"], ["\ud800"], ["a"] * 1001)


def bad_objects(_: Setting) -> Iterator[Bad]:
    cycle: list[object] = []
    cycle.append(cycle)
    yield from each(TypeError, [], "x", 5, True, {1: 2}, {None: 1}, {"a": object()}, {"a": [{1}]}, {"a": b"b"})
    out = (math.nan, [math.inf], 10**400, 2**63, cycle, {"\ud800": 1}, ["\ud800"], {"k" * 201: 1})
    yield from each(ValueError, *({"a": value} for value in out))


def bad_sections(setting: Setting) -> Iterator[Bad]:
    good: dict[Any, object] = {**VALID[setting.name]}
    wrong: tuple[object, ...] = (None, 5, "x", [])
    yield from each(TypeError, "x", 5, True, 1.5, *(wrapped(setting, value) for value in wrong))
    yield from each(KeyError, wrapped(setting, good | {"bogus": 1}), wrapped(setting, good | {5: 1}))
    for inner in setting.fields.values():
        yield from ((wrapped(setting, good | {inner.name: value}), error) for value, error in bad_values(inner))
        if inner.is_required:
            yield wrapped(setting, {key: good[key] for key in good if key != inner.name}), TypeError


def wrapped(setting: Setting, value: object) -> object:
    return [value] if setting.is_list else value


BAD_BY_TYPE: dict[str, Callable[[Setting], Iterator[Bad]]] = {
    "bool": bad_flags, "int": bad_integers, "float": bad_floats, "str": bad_texts, "list[str]": bad_text_lists,
    "dict": bad_objects,
}


def by_item(config: ClientConfig, key: str, value: object) -> None:
    config[key] = value


def by_set(config: ClientConfig, key: str, value: object) -> None:
    config.set(key, value)


def by_update(config: ClientConfig, key: str, value: object) -> None:
    config.update({"show_proxy_tab": False, key: value})


def by_pairs(config: ClientConfig, key: str, value: object) -> None:
    config.update([(key, 1), ("show_proxy_tab", False), (key, value)])


def by_attribute(config: ClientConfig, key: str, value: object) -> None:
    setattr(config, key, value)


def by_constructor(_: ClientConfig, key: str, value: object) -> None:
    ClientConfig(**{key: value})


def by_dict(_: ClientConfig, key: str, value: object) -> None:
    ClientConfig.from_dict({"was_connected": True, key: value})


def by_document(_: ClientConfig, key: str, value: object) -> None:
    ClientConfig.from_dict(decoded(json.dumps({key: value}).encode()))


WAYS = (by_item, by_set, by_update, by_pairs, by_attribute, by_constructor, by_dict)
Way = Callable[[ClientConfig, str, Any], None]


def faults_of(way: Way, key: str, cases: list[Bad]) -> list[str]:
    """Return a line for each bad value that was taken, was refused with another error, or left a trace."""
    config = ClientConfig(converters=[CONVERTER])
    before, faults = config.settings, []
    for value, expected in cases:
        try:
            way(config, key, value)
        except ConfigError as error:
            message = str(error)
            if not isinstance(error, expected) or key not in message or not message.isprintable():
                faults.append(f"{type(error).__name__} instead of {expected.__name__}: {message}")
        else:
            faults.append(f"taken: {value if not isinstance(value, int) else 'a number'!r}")
        if config.settings != before:
            faults.append("changed by a refused value")
    return faults


def as_json_can_say_it(cases: list[Bad]) -> list[Bad]:
    """Return the cases that survive a trip through JSON as they are."""
    kept = []
    for value, error in cases:
        try:
            same = repr(json.loads(json.dumps(value))) == repr(value)
        except (TypeError, ValueError):
            continue
        kept += [(value, error)] if same else []
    return kept


@pytest.mark.proves("H4.1")
@pytest.mark.parametrize("key", SETTINGS)
def test_h4_1_every_bad_value_is_refused_with_its_error_and_changes_nothing(key: str) -> None:
    cases = list(bad_values(SETTINGS[key]))
    assert len(cases) >= 12
    assert faults_of(by_item, key, cases) == []


@pytest.mark.proves("H4.3")
@pytest.mark.parametrize("way", WAYS[1:])
def test_h4_3_every_other_way_in_refuses_the_same(way: Way) -> None:
    faults = {key: faults_of(way, key, list(bad_values(SETTINGS[key]))) for key in SETTINGS}
    assert {key: found for key, found in faults.items() if found} == {}


@pytest.mark.proves("H4.3")
def test_h4_3_a_document_is_refused_for_the_same() -> None:
    cases = {key: as_json_can_say_it(list(bad_values(SETTINGS[key]))) for key in SETTINGS}
    faults = {key: faults_of(by_document, key, found) for key, found in cases.items()}
    assert {key: found for key, found in faults.items() if found} == {}


@pytest.mark.proves("H4.1")
@pytest.mark.parametrize("way", [*WAYS, by_document])
@pytest.mark.parametrize("key", [
    "bogus", "", " api_token", "API_TOKEN", "schema_version\x00", "_config_path", "_env_applied", "unknown_keys",
    "CURRENT_SCHEMA_VERSION", "MIN_SCHEMA_VERSION", "x" * 1000, "\ud800", "line\nbreak",
])
def test_h4_1_an_unknown_key_is_a_key_error(way: Way, key: str) -> None:
    config = ClientConfig()
    with pytest.raises(KeyError) as caught:
        way(config, key, 1)
    assert isinstance(caught.value, ConfigError)
    assert str(caught.value).isprintable()
    assert config == ClientConfig()


@pytest.mark.proves("H4.1")
@pytest.mark.parametrize("key", [1, None, (), 2.5])
def test_h4_1_a_key_that_is_no_text_is_unknown(key: Any) -> None:
    with pytest.raises(KeyError, match="expected the name of a setting"):
        ClientConfig()[key] = 1


def test_an_unknown_key_comes_with_the_nearest_name() -> None:
    with pytest.raises(KeyError, match="did you mean 'max_queue_size'"):
        ClientConfig().set("max_queue_sise", 1)


@pytest.mark.proves("H4.1")
@pytest.mark.parametrize("values", [None, [], "x", 5, [("sn_start", 5)]])
def test_h4_1_a_configuration_from_no_mapping_is_a_type_error(values: Any) -> None:
    with pytest.raises(TypeError, match="the configuration: expected an object"):
        ClientConfig.from_dict(values)


@pytest.mark.parametrize("key", SETTINGS)
def test_the_limits_themselves_are_valid(key: str) -> None:
    """What the table of settings calls valid is, so that a tool may compute bad values from it."""
    setting, config = SETTINGS[key], ClientConfig(force_shutdown_seconds=31_536_000, proxy_host="h")
    for value in (setting.minimum, setting.maximum, *setting.choices):
        if value is not None and key != "force_shutdown_seconds":
            config[key] = value
            assert config[key] == value
