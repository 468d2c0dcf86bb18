"""The configuration as a mapping that nobody can reach behind: H4.2, H4.3, H4.5, H4.7, and the environment."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pywats_reliability.config import SETTINGS, ClientConfig, ConverterConfig, ProxyConfig, StationPreset
from pywats_reliability.errors import SettingValueError, UnknownSettingError

CONVERTER: dict[str, Any] = {
    "name": "c", "module_path": "m.py", "watch_folder": "in", "arguments": {"columns": ["a"], "deep": {"x": 1}},
}
NEWER = {
    "schema_version": "2.7", "teleport": {"to": ["moon"]}, "proxy": {"host": "h", "tls": True},
    "converters": [CONVERTER | {"retries_of_tomorrow": 3}],
}
ENVIRONMENT = {"PYWATS_SERVER_URL": "https://env", "PYWATS_API_TOKEN": "envtoken", "PYWATS_HEALTH_PORT": "0"}
NO_KEYS: list[Any] = ["bogus", "", 5, None, ()]


@pytest.mark.proves("H4.7")
def test_h4_7_it_reads_like_a_dictionary() -> None:
    config = ClientConfig(sn_start=5)
    assert (config["sn_start"], config.get("sn_start"), config.sn_start) == (5, 5, 5)
    assert (config.get("bogus"), config.get("bogus", 7)) == (None, 7)
    assert "sn_start" in config
    assert [key for key in NO_KEYS if key in config] == []
    assert isinstance(config, Mapping)


@pytest.mark.proves("H4.7")
def test_h4_7_its_keys_items_and_values_are_those_of_every_setting() -> None:
    config = ClientConfig()
    assert list(config) == list(config.keys()) == list(SETTINGS) == [key for key, _ in config.items()]
    assert len(config) == len(SETTINGS) == len(list(config.values()))
    assert dict(config) == {key: config[key] for key in SETTINGS}


def test_the_settings_are_those_of_the_specification() -> None:
    """Eighty that the users know, eighteen that are ours by the specification, four that the service needs."""
    assert len(SETTINGS) == 80 + 18 + 4


def test_no_setting_hides_behind_a_method() -> None:
    assert [key for key in SETTINGS if hasattr(ClientConfig, key)] == []


@pytest.mark.proves("H4.7")
@pytest.mark.parametrize("key", SETTINGS)
def test_h4_7_each_setting_is_written_and_read_by_item_and_by_attribute(key: str) -> None:
    config = ClientConfig()
    config[key] = SETTINGS[key].default
    setattr(config, key, config[key])
    assert getattr(config, key) == config[key] == SETTINGS[key].default == getattr(config.settings, key)


@pytest.mark.proves("H4.7")
def test_h4_7_update_takes_a_mapping_pairs_and_keywords() -> None:
    config = ClientConfig()
    config.update({"sn_start": 2})
    config.update([("sn_padding", 3)], sn_prefix="X")
    config.update()
    assert (config.sn_start, config.sn_padding, config.sn_prefix) == (2, 3, "X")


@pytest.mark.proves("H4.2")
def test_h4_2_an_update_with_one_bad_value_changes_nothing() -> None:
    config = ClientConfig()
    with pytest.raises(SettingValueError):
        config.update({"sn_start": 2, "proxy": {"port": 1}, "sn_padding": -1})
    assert config == ClientConfig()


@pytest.mark.proves("H4.7")
def test_h4_7_it_has_no_deletion() -> None:
    config: Any = ClientConfig()
    with pytest.raises((TypeError, AttributeError)):
        del config["sn_start"]
    with pytest.raises(AttributeError):
        del config.sn_start
    assert config.sn_start == 1


def test_an_unknown_attribute_is_an_attribute_error_and_a_key_error() -> None:
    with pytest.raises(AttributeError) as caught:
        ClientConfig().bogus  # noqa: B018 - reading is the act
    assert isinstance(caught.value, KeyError)
    assert not hasattr(ClientConfig(), "_config_path")


@pytest.mark.proves("H4.7")
@pytest.mark.parametrize("twin", [ClientConfig.copy, copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_h4_7_a_copy_is_equal_and_independent(twin: Callable[[ClientConfig], ClientConfig]) -> None:
    config = ClientConfig.from_dict(NEWER).with_environment({"PYWATS_API_TOKEN": "t"})
    other = twin(config)
    assert other == config
    other.sn_start = 9
    assert config.sn_start == 1
    assert other != config


def test_adopting_another_configuration_makes_both_equal_and_keeps_them_apart() -> None:
    """Also what the environment gave stays unsaved, and the keys of a newer version stay kept."""
    config, other = ClientConfig(sn_prefix="old"), ClientConfig.from_dict(NEWER).with_environment(ENVIRONMENT)
    config.adopt(other)
    assert (config, config.to_dict()) == (other, other.to_dict())
    other.sn_start = 8
    assert config.sn_start == 1


def test_it_equals_nothing_but_a_configuration() -> None:
    assert ClientConfig() != ClientConfig().to_dict()


def test_its_representation_is_one_line_with_what_is_not_default() -> None:
    config = ClientConfig(log_level="DEBUG", converters=[CONVERTER])
    assert repr(config) == "ClientConfig('default', 102 settings: converters='1 items', log_level='DEBUG')"


ATTACKS: dict[str, Callable[[Any], object]] = {
    "item of the proxy": lambda c: c["proxy"].__setitem__("port", -1),
    "attribute of the proxy": lambda c: setattr(c.proxy, "port", -1),
    "new attribute of the proxy": lambda c: setattr(c.proxy, "bogus", -1),
    "growing a list": lambda c: c["converters"].append({"name": ""}),
    "item of a list": lambda c: c["converters"].__setitem__(0, None),
    "item of an element": lambda c: c["converters"][0].__setitem__("priority", 99),
    "argument": lambda c: c["converters"][0]["arguments"].__setitem__("x", object()),
    "list in an argument": lambda c: c["converters"][0]["arguments"]["columns"].append(object()),
    "object in an argument": lambda c: c["converters"][0]["arguments"]["deep"].update(x=float("nan")),
    "patterns": lambda c: c.converters[0].file_patterns.append(""),
    "snapshot": lambda c: setattr(c.settings, "sn_start", -1),
    "dictionary behind": lambda c: vars(c.settings).update(sn_start=-1),
    "dictionary behind the proxy": lambda c: vars(c.proxy).update(port=-1),
    "dictionary behind a converter": lambda c: vars(c.converters[0]).update(priority=99),
    "new attribute": lambda c: object.__setattr__(c, "bogus", 1),
    "unknown keys": lambda c: c.settings.unknown_keys.update(x=1),
}


@pytest.mark.proves("H4.3")
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_h4_3_what_is_handed_out_cannot_be_changed(attack: Callable[[Any], object]) -> None:
    config = ClientConfig(converters=[CONVERTER])
    with pytest.raises((TypeError, AttributeError)):
        attack(config)
    assert config == ClientConfig(converters=[CONVERTER])


@pytest.mark.proves("H4.3")
def test_h4_3_what_was_taken_in_is_the_givers_to_change() -> None:
    given = copy.deepcopy(CONVERTER)
    listed = [given]
    config = ClientConfig(converters=listed)
    given["arguments"]["columns"].append(object())
    given["priority"] = 99
    listed.append({})
    assert config == ClientConfig(converters=[CONVERTER])


@pytest.mark.proves("H4.3")
def test_h4_3_to_dict_hands_out_fresh_plain_values() -> None:
    config = ClientConfig(converters=[CONVERTER])
    plain = config.to_dict()
    plain["converters"][0]["arguments"]["columns"].append(object())
    plain["proxy"]["port"] = -1
    assert config == ClientConfig(converters=[CONVERTER])


def test_nested_objects_are_taken_as_dictionaries_and_as_typed_objects() -> None:
    typed = ClientConfig(
        proxy=ProxyConfig(host="h"), station_presets=(StationPreset(key="k", name="n"),),
        converters=[ConverterConfig(**CONVERTER)],
    )
    plain = ClientConfig(proxy={"host": "h"}, station_presets=[{"key": "k", "name": "n"}], converters=[CONVERTER])
    assert typed == plain
    assert typed["proxy"]["host"] == typed.proxy.host == "h"
    assert dict(typed.proxy) == typed.to_dict()["proxy"]


@pytest.mark.proves("H4.5")
def test_h4_5_keys_of_a_newer_version_are_kept_at_every_depth() -> None:
    config = ClientConfig.from_dict(NEWER)
    config.sn_start = 4
    saved = config.to_dict()
    assert saved["teleport"] == {"to": ["moon"]}
    assert saved["proxy"]["tls"] is True
    assert saved["converters"][0]["retries_of_tomorrow"] == 3
    assert (saved["schema_version"], saved["sn_start"]) == ("2.7", 4)
    assert ClientConfig.from_dict(saved) == config


@pytest.mark.proves("H4.1")
def test_h4_1_a_key_of_a_newer_version_is_no_key_here() -> None:
    config = ClientConfig.from_dict(NEWER)
    assert "teleport" not in config
    with pytest.raises(UnknownSettingError):
        config["teleport"] = 1
    with pytest.raises(UnknownSettingError):
        config["proxy"] = {"tls": False}


@pytest.mark.proves("H4.4")
def test_h4_4_keys_of_a_newer_version_need_its_version() -> None:
    """A file of the present version with such a key would not load again."""
    config = ClientConfig.from_dict(NEWER)
    with pytest.raises(SettingValueError, match=r"newer than 2\.0"):
        config.schema_version = "2.0"


def test_values_of_unknown_keys_are_masked_as_nobody_knows_what_they_are() -> None:
    assert ClientConfig.from_dict(NEWER).masked()["teleport"] == "***"


@pytest.mark.parametrize("version", ["1.0", "1.9", "2.0"])
def test_an_older_version_is_lifted(version: str) -> None:
    assert ClientConfig.from_dict({"schema_version": version})["schema_version"] == "2.0"


def test_a_configuration_too_large_for_its_file_is_refused() -> None:
    """What is valid can be saved and loaded (H4.5), and a file has a limit (H4.6)."""
    with pytest.raises(SettingValueError, match="at most 1048576 bytes"):
        ClientConfig(converters=[CONVERTER | {"arguments": {"blob": "x" * 1_048_576}}])


def test_a_valid_configuration_has_nothing_to_validate_or_repair() -> None:
    config = ClientConfig.from_dict(NEWER)
    assert (config.validate(), config.repair()) == ([], [])


def test_problems_names_everything_wrong() -> None:
    wrong = {"sn_start": -1, "bogus": 1, "converters": [{"name": "x"}, CONVERTER, 5], "proxy": {"port": "1"}}
    named = ("sn_start", "'bogus'", "converters[0].module_path", "converters[2]", "proxy.port")
    assert [line.split(":")[0] for line in ClientConfig.problems(wrong)] == list(named)


@pytest.mark.parametrize("wrong", [None, [], {"graceful_shutdown_seconds": 500}, {"schema_version": "9.0"}])
def test_problems_finds_what_is_wrong_with_the_whole(wrong: object) -> None:
    assert len(ClientConfig.problems(wrong)) == 1


def test_repairing_keeps_the_good_and_resets_the_bad() -> None:
    wrong = {
        "sn_start": 7, "sn_padding": -1, "log_level": "info", "bogus": 1, "proxy_mode": "manual",
        "graceful_shutdown_seconds": 500, "converters": [CONVERTER, {"name": "x"}, CONVERTER], "schema_version": "1.0",
    }
    config, notes = ClientConfig.repaired(wrong)
    assert config == ClientConfig(sn_start=7, converters=[CONVERTER])
    assert len(notes) == 7


def test_repairing_what_is_good_changes_nothing() -> None:
    assert ClientConfig.repaired(NEWER) == (ClientConfig.from_dict(NEWER), [])


def test_a_newer_major_version_is_not_repaired_but_refused() -> None:
    with pytest.raises(SettingValueError, match="needs a newer service"):
        ClientConfig.repaired({"schema_version": "3.0", "of_that_version": 1})


def test_the_environment_gives_what_the_file_has_not() -> None:
    config = ClientConfig(api_token="filetoken").with_environment(ENVIRONMENT)
    assert (config["service_address"], config.api_token, config.health_port) == ("https://env", "filetoken", 0)
    assert config.settings.service_address == "https://env"


def test_what_the_environment_gave_is_never_saved_nor_shown() -> None:
    config = ClientConfig.from_environment(ENVIRONMENT)
    config.sn_start = 5
    assert config.to_dict() == ClientConfig(sn_start=5).to_dict()
    assert "envtoken" not in repr(config) + str(config.masked())


@pytest.mark.parametrize("variables", [{}, dict.fromkeys(ENVIRONMENT, "")])
def test_an_empty_variable_is_not_set(variables: dict[str, str]) -> None:
    assert ClientConfig.from_environment(variables) == ClientConfig()


def test_assigning_a_setting_ends_the_environments_say_in_it() -> None:
    config = ClientConfig.from_environment(ENVIRONMENT)
    config.health_port = 9000
    assert (config.health_port, config.to_dict()["health_port"], config.api_token) == (9000, 9000, "envtoken")


@pytest.mark.proves("H4.3")
@pytest.mark.parametrize(("variable", "value", "error"), [
    ("PYWATS_HEALTH_PORT", "65536", ValueError), ("PYWATS_HEALTH_PORT", "-1", ValueError),
    ("PYWATS_HEALTH_PORT", "http", TypeError), ("PYWATS_HEALTH_PORT", " 80", TypeError),
    ("PYWATS_HEALTH_PORT", "٨٠", TypeError), ("PYWATS_HEALTH_PORT", "9" * 5000, TypeError),
    ("PYWATS_SERVER_URL", "wats.local", ValueError), ("PYWATS_API_TOKEN", "envtoken\n", ValueError),
])
def test_h4_3_the_environment_obeys_the_same_rules(variable: str, value: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=variable) as caught:
        ClientConfig.from_environment({variable: value})
    assert "envtoken" not in str(caught.value)
