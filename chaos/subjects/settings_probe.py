"""Bad values against every setter of the reference service's configuration, judged by the specification's own facts.

First the whole table (every setting × every class of bad value × every way in), then Hypothesis with values nobody
listed, from the given seed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, strategies
from hypothesis import settings as hypothesis_settings

from chaos.faults.bad_values import BAD_VALUES, SettingFacts, deserves
from pywats_reliability.config import SETTINGS, ClientConfig, Setting

EXAMPLES = 400
SHOWN_MAX = 20
_TIED = {"graceful_shutdown_seconds", "force_shutdown_seconds", "proxy_mode", "proxy", "schema_version"}
_ERRORS: Mapping[str, type[Exception]] = {"key": KeyError, "type": TypeError, "value": ValueError}


def _by_item(config: ClientConfig, key: str, value: Any) -> None:
    config[key] = value


def _by_constructor(_: ClientConfig, key: str, value: Any) -> None:
    ClientConfig(**{key: value})


def _by_dict(config: ClientConfig, key: str, value: Any) -> None:
    ClientConfig.from_dict({**config.to_dict(), key: value})


WAYS: Mapping[str, Callable[[ClientConfig, str, Any], None]] = {
    "[]=": _by_item,
    "set": lambda config, key, value: config.set(key, value),
    "update": lambda config, key, value: config.update({key: value}),
    "attribute": setattr,
    "constructor": _by_constructor,
    "from_dict": _by_dict,
}


@dataclass(slots=True)
class Tally:
    """What came of all the tries."""

    tried: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """Return it as JSON data, the first lines of what was wrong."""
        wrong, changed = self.wrong[:SHOWN_MAX], self.changed[:SHOWN_MAX]
        return {"tried": self.tried, "refused": self.refused, "wrong": wrong, "changed": changed}


def fuzz_settings(seed_number: int) -> dict[str, Any]:
    """Return the tally of the whole table and of Hypothesis' examples."""
    tally, config = Tally(), _far_from_default()
    for setting in SETTINGS.values():
        for name, value in BAD_VALUES.items():
            for way in WAYS:
                _try(tally, config, setting, way, value, name)
    for way in WAYS:
        _try_unknown_key(tally, config, way)
    if not (tally.wrong or tally.changed):  # Whoever mends that will ask again.
        _fuzz(tally, config, seed_number)
    return tally.report()


def _far_from_default() -> ClientConfig:
    """Return a configuration in which a setting that falls back to its default is seen to have changed."""
    config = ClientConfig()
    for setting in SETTINGS.values():
        for value in (*setting.choices, setting.minimum, setting.maximum, True, "7.example"):
            if setting.name not in _TIED and config[setting.name] == setting.default:
                with contextlib.suppress(TypeError, ValueError):
                    config[setting.name] = value
    return config


def _fuzz(tally: Tally, config: ClientConfig, seed_number: int) -> None:
    scalars = strategies.one_of(
        strategies.integers(), strategies.floats(), strategies.text(max_size=30), strategies.booleans(),
        strategies.none(), strategies.binary(max_size=5),
    )  # fmt: skip
    values = strategies.one_of(
        scalars, strategies.lists(scalars, max_size=3), strategies.dictionaries(strategies.text(max_size=5), scalars)
    )

    @seed(seed_number)
    @hypothesis_settings(
        max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategies.sampled_from(sorted(SETTINGS)), strategies.sampled_from(sorted(WAYS)), values)
    def one(key: str, way: str, value: Any) -> None:
        _try(tally, config, SETTINGS[key], way, value, "drawn")

    one()


def facts_of(setting: Setting) -> SettingFacts:
    """Return what the specification says of a setting, without the rules of its validator."""
    kind = setting.type_text.partition(" | ")[0].partition("[")[0]
    known = kind if kind in {"bool", "int", "float", "str", "list", "dict"} else "dict"
    optional = "None" in setting.type_text
    return SettingFacts(
        setting.name, known, setting.minimum, setting.maximum, setting.choices, setting.secret, optional
    )


def _try(tally: Tally, config: ClientConfig, setting: Setting, way: str, value: Any, name: str) -> None:
    tally.tried += 1
    before, where = config.copy(), f"{setting.name} by {way}, {name}"
    deserved = deserves(facts_of(setting), value)
    try:
        WAYS[way](config, setting.name, value)
    except (KeyError, TypeError, ValueError) as error:
        tally.refused += 1
        tally.wrong += _complaints(error, setting, value, deserved, where)
        if config != before:
            tally.changed.append(f"{where}: refused, and the configuration changed")
    except Exception as error:  # noqa: BLE001 - whatever else comes out is what is looked for
        tally.wrong.append(f"{where}: {type(error).__name__} instead of KeyError, TypeError or ValueError")
    else:
        if deserved is not None and deserved in _ERRORS:
            tally.wrong.append(f"{where}: taken, and it deserves {_ERRORS[deserved].__name__}")
    config.adopt(before)


def _complaints(error: Exception, setting: Setting, value: Any, deserved: str | None, where: str) -> list[str]:
    found, words = [], str(error)
    if deserved == "fine" and not _may_clash(setting):
        found.append(f"{where}: refused though it is within the rules: {words[:200]}")
    elif deserved is not None and deserved in _ERRORS and not isinstance(error, _ERRORS[deserved]):
        found.append(f"{where}: {type(error).__name__} instead of {_ERRORS[deserved].__name__}")
    said = "found" if isinstance(error, KeyError) else "given"  # A key that is unknown was found; no value was given.
    if setting.name not in words or "expected" not in words or said not in words:
        found.append(f"{where}: the message names not all of key, expected and given: {words[:200]}")
    if setting.secret and isinstance(value, str) and len(value) > 4 and value in words:
        found.append(f"{where}: the message shows a secret")
    return found


def _may_clash(setting: Setting) -> bool:
    """Tell whether a value within its own range may be refused because of another setting (H4.4)."""
    return setting.name in _TIED


def _try_unknown_key(tally: Tally, config: ClientConfig, way: str) -> None:
    tally.tried += 1
    try:
        WAYS[way](config, "max_queue_sise", 1)
    except (KeyError, AttributeError) as error:
        tally.refused += 1
        if not isinstance(error, KeyError) or "max_queue_sise" not in str(error):
            tally.wrong.append(f"an unknown key by {way}: {type(error).__name__}: {error}")
    else:
        tally.wrong.append(f"an unknown key by {way} was taken")
