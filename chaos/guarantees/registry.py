"""The registry of guarantees and properties, read once from ``registry.toml`` beside this module."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from chaos.errors import UsageError

ENGINES = {
    "S": "deterministic simulation in virtual time",
    "K": "crash states of the disk, enumerated",
    "L": "live processes, signals, sockets, disk and HTTP",
    "P": "property-based fuzzing",
    "G": "real Qt, offscreen",
}


@dataclass(frozen=True, slots=True)
class Guarantee:
    """One of the eight promises; ``properties`` are its checkable parts, in the order of their numbers."""

    id: str
    title: str
    critical: bool
    properties: tuple[Property, ...]


@dataclass(frozen=True, slots=True)
class Property:
    """One checkable promise: its text, the faults to put it under, and the engines that can prove it."""

    id: str
    promise: str
    faults: str
    engines: tuple[str, ...]

    @property
    def guarantee_id(self) -> str:
        """Return the guarantee that this property is a part of: ``C1`` for ``C1.6``."""
        return self.id.partition(".")[0]


@cache
def guarantees() -> tuple[Guarantee, ...]:
    """Return the eight guarantees with their properties."""
    data = tomllib.loads(resources.files(__package__).joinpath("registry.toml").read_text(encoding="utf-8"))
    parts = [Property(p["id"], p["promise"], p["faults"], tuple(p["engines"])) for p in data["property"]]
    return tuple(
        Guarantee(g["id"], g["title"], g["critical"], tuple(p for p in parts if p.guarantee_id == g["id"]))
        for g in data["guarantee"]
    )


@cache
def properties() -> dict[str, Property]:
    """Return all properties by their ids, in order."""
    return {part.id: part for guarantee in guarantees() for part in guarantee.properties}


def find_property(property_id: str) -> Property:
    """Return the property of that id (upper or lower case). Raises ``UsageError`` with the nearest ids."""
    known = properties()
    if (found := known.get(property_id.upper())) is not None:
        return found
    near = difflib.get_close_matches(property_id.upper(), known, n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else "see `pywats-chaos list` for the ids"
    raise UsageError("a property id such as C1.6", repr(property_id), advice)
