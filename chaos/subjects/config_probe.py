"""The reference service's configuration by every way in, in every order, through its file and back, and as a mapping.

Values are drawn from the seed: bad ones of every class, limits, choices, and whatever the settings already accept.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chaos.faults.bad_values import BAD_VALUES
from chaos.seed import Seed
from chaos.subjects.settings_probe import WAYS
from pywats_reliability.config import SETTINGS, ClientConfig, Setting
from pywats_reliability.config_file import load_config, save_config
from pywats_reliability.disk import Disk
from pywats_reliability.errors import ConfigFileError

ROUNDS, ORDER_ROUNDS = 25, 100
SHOWN_MAX = 20
TIED = ("graceful_shutdown_seconds", "force_shutdown_seconds", "proxy_mode", "proxy_host", "proxy_port")


@dataclass(slots=True)
class Tally:
    """How much was tried for each property, and what was wrong, in words."""

    ways: int = 0
    orders: int = 0
    round_trips: int = 0
    mapping: int = 0
    wrong_ways: list[str] = field(default_factory=list)
    wrong_orders: list[str] = field(default_factory=list)
    wrong_round_trips: list[str] = field(default_factory=list)
    wrong_mapping: list[str] = field(default_factory=list)


def try_configurations(folder: Path, seed_number: int) -> dict[str, Any]:
    """Return the tally of everything that was tried, as JSON data."""
    tally, draw = Tally(), Seed(seed_number).stream("configurations")
    _mapping(tally, draw)
    for _ in range(ORDER_ROUNDS):
        _orders(tally, draw)
    for _ in range(ROUNDS):
        _round_trip(tally, draw, folder)
    if not (tally.wrong_mapping or tally.wrong_orders or tally.wrong_round_trips):  # It takes far longer than the rest.
        _ways(tally, draw, folder)
    return {key: value[:SHOWN_MAX] if isinstance(value, list) else value for key, value in asdict(tally).items()}


def _candidates(setting: Setting) -> list[Any]:
    """Return values that the setting may take, and some that it may not."""
    limits = [value for value in (setting.minimum, setting.maximum) if value is not None]
    return [setting.default, *setting.choices, *limits, *(int(value) + 1 for value in limits), "x", 1, 1.5, True]


def _answer(way: Callable[[], object]) -> str:
    """Return what a way in says to a value: accepted, or the kind of its error."""
    try:
        way()
    except ConfigFileError as error:
        return _kind(error.__cause__)
    except (KeyError, TypeError, ValueError) as error:
        return _kind(error)
    return "accepted"


def _kind(error: BaseException | None) -> str:
    kinds = (kind.__name__ for kind in (KeyError, TypeError, ValueError) if isinstance(error, kind))
    return next(kinds, "another error")


def _ways(tally: Tally, draw: random.Random, folder: Path) -> None:
    """H4.3: the same value gets the same answer by each way in, the file among them.

    The first setting with which something is wrong is the last; no setting is always late.
    """
    path, untouched = folder / "ways.json", ClientConfig()
    base = untouched.to_dict()
    for setting in draw.sample(list(SETTINGS.values()), len(SETTINGS)):
        for value in [*BAD_VALUES.values(), *_candidates(setting)]:
            answers = {name: _answer(lambda way=way: way(untouched.copy(), setting.name, value)) for name, way in WAYS.items()}  # type: ignore[misc]  # noqa: B023, E501
            if _is_json(value):
                path.write_text(json.dumps({**base, setting.name: value}), encoding="utf-8")
                answers["file"] = _answer(lambda: load_config(path))
            tally.ways += len(answers)
            if len(set(answers.values())) > 1:
                tally.wrong_ways.append(f"{setting.name} = {str(value)[:40]!r}: {answers}")
        if tally.wrong_ways:
            return


def _is_json(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value and type(value) is not tuple)
    except (TypeError, ValueError, RecursionError):
        return False


def _orders(tally: Tally, draw: random.Random) -> None:
    """H4.4: an update of tied settings is judged on its final state, whatever the order; what is kept is valid."""
    names = draw.sample(TIED, 3)
    changes = {name: _tied_value(draw, SETTINGS[name]) for name in names}
    results = []
    for order in itertools.permutations(changes):
        config = ClientConfig()
        answer = _answer(lambda config=config, order=order: config.update({n: changes[n] for n in order}))  # type: ignore[misc]
        results.append((answer, config.to_dict()))
        if _breaks_a_rule(config) or config.validate():
            tally.wrong_orders.append(f"{changes} left an invalid configuration")
    tally.orders += len(results)
    if any(result != results[0] for result in results):
        tally.wrong_orders.append(f"{changes}: the order decides")


def _tied_value(draw: random.Random, setting: Setting) -> Any:
    if setting.choices and draw.random() < 0.7:  # Otherwise a rule is rarely met by an update that is good but for it.
        return draw.choice(setting.choices)
    return draw.choice([*_candidates(setting), draw.randint(0, 400)])


def _breaks_a_rule(config: ClientConfig) -> bool:
    """Judge the rules across settings anew, by the specification's words: the configuration's own may be missing."""
    is_half_a_proxy = config.proxy_mode == "manual" and not (config.proxy_host and config.proxy_port)
    return is_half_a_proxy or config.graceful_shutdown_seconds > config.force_shutdown_seconds


def _drawn(draw: random.Random) -> ClientConfig:
    """Return a valid configuration far from the defaults: every setting tried with something, kept where accepted."""
    config = ClientConfig()
    for name in draw.sample(list(SETTINGS), len(SETTINGS)):
        _answer(lambda name=name: config.set(name, draw.choice(_candidates(SETTINGS[name]))))  # type: ignore[misc]
    return config


def _round_trip(tally: Tally, draw: random.Random, folder: Path) -> None:
    """H4.5: what is saved loads equal, and keys of a newer version's file are kept."""
    path, config = folder / "round.json", _drawn(draw)
    path.unlink(missing_ok=True)
    save_config(path, config, disk=Disk())
    tally.round_trips += 1
    if (loaded := load_config(path)) != config:
        changed = [key for key in SETTINGS if loaded[key] != config[key]]
        tally.wrong_round_trips.append(f"not equal after a save: {changed}")
    newer = {**config.to_dict(), "schema_version": "2.9", "setting_of_tomorrow": {"a": [1, None]}}
    kept = ClientConfig.from_dict(newer).to_dict()
    if kept.get("setting_of_tomorrow") != newer["setting_of_tomorrow"]:
        tally.wrong_round_trips.append("a key of a newer version was dropped")


def _mapping(tally: Tally, draw: random.Random) -> None:
    """H4.7: get, set, [], in, iteration, keys and items, update, to_dict and from_dict agree with each other."""
    config = _drawn(draw)
    facts: Mapping[str, Callable[[], bool]] = {
        "keys": lambda: list(config) == list(config.keys()) == [key for key, _ in config.items()] == list(SETTINGS),
        "in": lambda: all(key in config for key in SETTINGS) and "no_such" not in config,
        "[] and get": lambda: all(config[key] == config.get(key) == getattr(config, key) for key in SETTINGS),
        "get of an unknown key": lambda: config.get("no_such", 5) == 5,
        "len": lambda: len(config) == len(list(config.values())) == len(SETTINGS),
        "to_dict and from_dict": lambda: ClientConfig.from_dict(config.to_dict()) == config,
        "update": lambda: _updated(config) == config,
        "set": lambda: _set(config, "station_name", "Line 9") == "Line 9",
    }
    tally.mapping += len(facts)
    tally.wrong_mapping += [f"{name} does not hold" for name, holds in facts.items() if not _is_so(holds)]


def _is_so(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except (LookupError, TypeError, ValueError):
        return False


def _updated(config: ClientConfig) -> ClientConfig:
    other = ClientConfig()
    other.update(dict(config))
    return other


def _set(config: ClientConfig, key: str, value: Any) -> Any:
    config.set(key, value)
    return config[key]
