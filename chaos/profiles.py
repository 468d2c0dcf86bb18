"""Profiles: what a campaign runs and what must hold, from ``profiles.toml`` and the project's own pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from chaos.errors import UsageError
from chaos.guarantees import find_property, guarantees, properties
from chaos.protocols import WorldKind

REQUIRE = ("proven", "all")
NUMBERS = ("repeat", "seeds", "jobs", "seed", "minutes", "longest_s")
MAY_BE_ZERO = ("seed", "minutes", "longest_s")
SHARE = "repeat_share"


@dataclass(frozen=True, slots=True)
class Profile:
    """A named choice of properties, worlds and repetitions.

    ``require`` says what turns the campaign red, ``allow_unknown`` what may be unproven all the same. ``minutes``: go
    on from new seeds until so much time has passed (0: once through). ``longest_s``: scenarios that may take longer are
    left out (0: none is). ``mutants``: whether the planted mistakes are hunted, too; one that survives turns it red.
    ``repeat_share``: this share of the simulated runs (0 to 1) is repeated in another process.
    """

    name: str
    properties: tuple[str, ...]
    require: str | tuple[str, ...]
    allow_unknown: tuple[str, ...]
    worlds: tuple[WorldKind, ...]
    repeat: int
    seeds: int
    jobs: int
    seed: int
    minutes: int
    longest_s: int
    mutants: bool
    repeat_share: float


def load_profile(name: str, project: Path) -> Profile:
    """Return the profile of that name, as the pyproject.toml in folder ``project`` (if any) changes it.

    Raises ``UsageError`` for an unknown name, key or value.
    """
    known = _shipped()
    for key, table in _own(project).items():
        known[key] = {**known.get(key, known["ci"]), **table}
    if name not in known:
        raise UsageError("the name of a profile", repr(name), f"the profiles here are {', '.join(sorted(known))}")
    return _profile(name, known[name])


def property_ids(chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the ids behind a choice of ids, guarantees ("C1") and "all", in order. Raises ``UsageError``."""
    wanted: set[str] = set()
    parts = {guarantee.id: [p.id for p in guarantee.properties] for guarantee in guarantees()}
    for word in chosen:
        if word == "all":
            wanted |= set(properties())
        elif word.upper() in parts:
            wanted |= set(parts[word.upper()])
        else:
            wanted.add(find_property(word).id)
    return tuple(property_id for property_id in properties() if property_id in wanted)


def _shipped() -> dict[str, dict[str, Any]]:
    return tomllib.loads(resources.files("chaos").joinpath("profiles.toml").read_text(encoding="utf-8"))


def _own(project: Path) -> Mapping[str, Mapping[str, Any]]:
    path = project / "pyproject.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"a readable {path}", str(error), "mend it, or run in another folder") from error
    found: Mapping[str, Mapping[str, Any]] = data.get("tool", {}).get("pywats-chaos", {}).get("profiles", {})
    return found


def _profile(name: str, table: Mapping[str, Any]) -> Profile:
    where = f"profile {name}"
    keys = [field.name for field in fields(Profile) if field.name != "name"]
    for key in table:
        if key not in keys:
            raise UsageError(f"{where} with the keys {', '.join(keys)}", repr(key), "mend pyproject.toml")
    for key in NUMBERS:
        if type(table[key]) is not int or table[key] < (0 if key in MAY_BE_ZERO else 1):
            raise UsageError(f"{where}: {key} as a whole number", repr(table[key]), "mend pyproject.toml")
    if type(table[SHARE]) not in (int, float) or not 0 <= table[SHARE] <= 1:
        raise UsageError(f"{where}: {SHARE} as a number from 0 to 1", repr(table[SHARE]), "mend pyproject.toml")
    if type(table["mutants"]) is not bool:
        raise UsageError(f"{where}: mutants as true or false", repr(table["mutants"]), "mend pyproject.toml")
    require = table["require"]
    if require not in REQUIRE and not isinstance(require, list):
        raise UsageError(f"{where}: require as one of {', '.join(REQUIRE)} or a list of ids", repr(require), "mend it")
    try:
        worlds = tuple(WorldKind(world) for world in table["worlds"])
    except ValueError as error:
        raise UsageError(f"{where}: worlds among {', '.join(WorldKind)}", str(error), "mend pyproject.toml") from error
    return Profile(
        name,
        property_ids(table["properties"]),
        property_ids(require) if isinstance(require, list) else require,
        property_ids(table["allow_unknown"]),
        worlds,
        **{key: table[key] for key in (*NUMBERS, "mutants")},
        repeat_share=float(table[SHARE]),
    )
