"""The configuration under generated values and generated histories: H4.2, H4.4, H4.5."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pywats_reliability.config import SETTINGS, ClientConfig, Setting
from pywats_reliability.config.document import decoded, encoded
from pywats_reliability.errors import ConfigError

QUICK = settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
EXAMPLES = {
    "service_address": ["https://wats.example/api/"], "webhook_report_url": ["http://h:1/x?y=z"],
    "api_token": ["dXNlcjpwYXNz"], "cron_expression": ["0 6 * * 1-5"], "ipc_socket": ["/run/x/y.sock"],
    "instance_id": ["line 3", "ÅÄÖ"], "schema_version": ["2.0", "2.1"], "proxy_host": ["proxy"],
    "webhook_auth_header": ["X-Key"], "password": ["pässword"], "log_file": ["C:\\logs\\client.log"],
}


VISIBLE = st.characters(exclude_categories=["Cc", "Cs"])
BY_TYPE: dict[str, Callable[[Setting], st.SearchStrategy[Any]]] = {
    "bool": lambda _: st.booleans(),
    "int": lambda setting: st.integers(int(setting.minimum or 0), int(setting.maximum or 0)),
    "float": lambda setting: st.floats(setting.minimum, setting.maximum),
    "dict": lambda _: st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    "list[str]": lambda _: st.lists(st.from_regex(r"\A[*a-z]{1,3}\.[a-z]{1,3}\Z"), max_size=3),
    "str": lambda setting: st.text(VISIBLE, max_size=12).filter(lambda text: accepts(setting, text)),
}


def valid_scalars(setting: Setting) -> st.SearchStrategy[Any]:
    if setting.choices:
        return st.sampled_from(setting.choices)
    return BY_TYPE[setting.type_text.removesuffix(" | None")](setting)


def accepts(setting: Setting, value: object) -> bool:
    try:
        setting.check(value)
    except ConfigError:
        return False
    return True


def valid_values(setting: Setting) -> st.SearchStrategy[Any]:
    if setting.section is None:
        own = st.sampled_from(EXAMPLES[setting.name]) if setting.name in EXAMPLES else valid_scalars(setting)
        return own if setting.is_required else own | st.just(setting.default)
    inner = valid_objects(setting.fields)
    if not setting.is_list:
        return inner.map(lambda values: values | {"enabled": values.get("enabled", False) and bool(values.get("host"))})
    return st.lists(inner.map(consistent_converter), max_size=2, unique_by=lambda item: item.get("key", item["name"]))


def valid_objects(fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    required = {key: valid_values(field) for key, field in fields.items() if field.is_required}
    optional = {key: valid_values(field) for key, field in fields.items() if not field.is_required}
    some = st.sets(st.sampled_from(sorted(optional)), max_size=8)
    return some.flatmap(lambda keys: st.fixed_dictionaries(required | {key: optional[key] for key in sorted(keys)}))


def consistent_converter(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with the rules across a converter's settings kept, if it is one."""
    if "module_path" not in values:
        return values
    alarm = values.get("alarm_threshold", 0.5)
    values["reject_threshold"] = min(alarm, values.get("reject_threshold", 0.2))
    if values.get("converter_type") == "scheduled":
        return values | {"cron_expression": "0 6 * * *"}
    return values | {"watch_folder": values.get("watch_folder") or "in"}


def consistent(values: dict[str, Any]) -> dict[str, Any]:
    force = values.get("force_shutdown_seconds", 120.0)
    values["graceful_shutdown_seconds"] = min(force, values.get("graceful_shutdown_seconds", 60.0))
    return values | ({"proxy_host": "h"} if values.get("proxy_mode") == "manual" else {})


CONFIGURATIONS = valid_objects(SETTINGS).map(consistent)


@pytest.mark.proves("H4.5")
@QUICK
@given(CONFIGURATIONS)
def test_h4_5_what_is_saved_loads_equal(values: dict[str, Any]) -> None:
    config = ClientConfig(**values)
    loaded = ClientConfig.from_dict(decoded(encoded(config.to_dict())))
    assert loaded == config
    assert repr(loaded.to_dict()) == repr(config.to_dict())


@pytest.mark.proves("H4.5")
@pytest.mark.parametrize("key", SETTINGS)
@settings(QUICK, max_examples=8)
@given(data=st.data())
def test_h4_5_every_setting_is_saved(key: str, data: st.DataObject) -> None:
    values = consistent({key: data.draw(valid_values(SETTINGS[key]))})
    config = ClientConfig(**values)
    assert ClientConfig.from_dict(json.loads(encoded(config.to_dict())))[key] == config[key]


@pytest.mark.proves("H4.5")
@QUICK
@given(CONFIGURATIONS, st.dictionaries(st.text(min_size=1, max_size=8).map("new_{}".format), JSON, max_size=3))
def test_h4_5_unknown_keys_of_a_newer_version_are_saved_again(values: dict[str, Any], new: dict[str, Any]) -> None:
    config = ClientConfig.from_dict(values | new | {"schema_version": "2.3"})
    assert {key: config.to_dict()[key] for key in new} == new


@pytest.mark.proves("H4.1")
@QUICK
@given(st.dictionaries(st.sampled_from([*SETTINGS, "bogus"]) | st.text(max_size=5), JSON, max_size=4))
def test_h4_1_no_value_of_json_makes_anything_but_a_valid_configuration_or_our_error(values: dict[str, Any]) -> None:
    try:
        config = ClientConfig.from_dict(values)
    except (KeyError, TypeError, ValueError):
        assert ClientConfig.problems(values)
    else:
        assert config.validate() == []


@QUICK
@given(st.dictionaries(st.sampled_from([*SETTINGS, "bogus"]), JSON, max_size=6))
def test_whatever_is_wrong_can_be_repaired(values: dict[str, Any]) -> None:
    values.pop("schema_version", None)
    config, notes = ClientConfig.repaired(values)
    assert config.validate() == []
    assert bool(notes) == bool(ClientConfig.problems(values))


KNOTS: dict[str, list[Any]] = {
    "graceful_shutdown_seconds": [0.0, 10.0, 60.0, 120.0, 500.0, -1.0, "60"],
    "force_shutdown_seconds": [5.0, 60.0, 120.0, 600.0, None],
    "proxy_mode": ["none", "system", "manual", "MANUAL"],
    "proxy_host": ["", "proxy", "a b", 5],
    "proxy_port": [8080, 1, 0, True],
}


def expected_to_hold(state: dict[str, Any]) -> bool:
    """Judge a state of the knotted settings by other means than the package does."""
    typed = all(type(state[key]) is float for key in list(KNOTS)[:2]) and type(state["proxy_port"]) is int
    if not typed or not isinstance(state["proxy_host"], str) or " " in state["proxy_host"]:
        return False
    if state["proxy_mode"] not in {"none", "system", "manual"} or not 1 <= state["proxy_port"] <= 65535:
        return False
    if not 0 <= state["graceful_shutdown_seconds"] <= state["force_shutdown_seconds"]:
        return False
    return state["proxy_mode"] != "manual" or bool(state["proxy_host"])


class KnottedSettings(RuleBasedStateMachine):
    """Settings tied together, changed one by one and in groups in any order, beside a plain dictionary as the model."""

    @initialize()
    def start(self) -> None:
        self.config = ClientConfig()
        self.model: dict[str, Any] = {key: self.config[key] for key in KNOTS}

    def changed(self, changes: list[tuple[str, Any]], *, one_by_one: bool) -> None:
        expected = self.model | dict(changes)
        try:
            if one_by_one:
                self.config[changes[0][0]] = changes[0][1]
            else:
                self.config.update(changes)
        except ConfigError:
            assert not expected_to_hold(expected), "a valid change was refused"
        else:
            assert expected_to_hold(expected), "an invalid change was taken"
            self.model = expected

    @rule(data=st.data(), key=st.sampled_from(sorted(KNOTS)))
    def assign(self, data: st.DataObject, key: str) -> None:
        self.changed([(key, data.draw(st.sampled_from(KNOTS[key])))], one_by_one=True)

    @rule(data=st.data(), keys=st.permutations(sorted(KNOTS)), count=st.integers(2, 5))
    def update(self, data: st.DataObject, keys: list[str], count: int) -> None:
        self.changed([(key, data.draw(st.sampled_from(KNOTS[key]))) for key in keys[:count]], one_by_one=False)

    @rule()
    def save_and_load(self) -> None:
        self.config = ClientConfig.from_dict(decoded(encoded(self.config.to_dict())))

    @invariant()
    def state_is_the_models(self) -> None:
        assert {key: self.config[key] for key in KNOTS} == self.model


KnottedSettings.TestCase.settings = settings(QUICK, max_examples=50, stateful_step_count=25)
TestH44RulesAcrossSettingsHoldInEveryHistory = KnottedSettings.TestCase
