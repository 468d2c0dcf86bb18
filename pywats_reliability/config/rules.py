"""Rules across settings (H4.4): written once, as data, and checked on the whole of a new state before it is in force.

* A rule sees the final state only, so the order of the assignments within one ``update`` does not matter.
* A rule names the settings it ties together, so that a repair knows what to reset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pywats_reliability.config.given import shown
from pywats_reliability.errors import SettingValueError

State = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A sentence that holds for every valid state; ``check`` raises ``SettingValueError`` for one that breaks it."""

    text: str
    keys: tuple[str, ...]
    check: Callable[[State], None]


def at_most(lower: str, upper: str) -> Rule:
    """Return the rule that one number does not exceed another."""

    def check(state: State) -> None:
        if state[lower] > state[upper]:
            raise SettingValueError(lower, f"at most {upper} ({shown(state[upper])})", shown(state[lower]))

    return Rule(f"{lower} is at most {upper}", (lower, upper), check)


def needed(*keys: str, when: str, is_one_of: tuple[object, ...]) -> Rule:
    """Return the rule that all of ``keys`` have a value when the setting ``when`` has one of the given values."""

    def check(state: State) -> None:
        for key in keys:
            if state[when] in is_one_of and not state[key]:
                raise SettingValueError(key, f"a value, as {when} is {shown(state[when])}", shown(state[key]))

    values = " or ".join(str(value).lower() for value in is_one_of)
    return Rule(f"{' and '.join(keys)} must be given when {when} is {values}", (when, *keys), check)


def any_needed(*keys: str, when: str, is_one_of: tuple[object, ...]) -> Rule:
    """Return the rule that at least one of ``keys`` has a value when ``when`` has one of the given values."""

    def check(state: State) -> None:
        if state[when] in is_one_of and not any(state[key] for key in keys):
            raise SettingValueError(keys[0], f"this or {keys[1]}, as {when} is {shown(state[when])}", "neither")

    values = " or ".join(str(value) for value in is_one_of)
    return Rule(f"{' or '.join(keys)} must be given when {when} is {values}", (when, *keys), check)


def unique(items: str, key: str) -> Rule:
    """Return the rule that no two elements of a list have the same ``key``."""

    def check(state: State) -> None:
        seen: set[object] = set()
        for index, item in enumerate(state[items]):
            if item[key] in seen:
                raise SettingValueError(f"{items}[{index}].{key}", f"a {key} once in {items}", shown(item[key]))
            seen.add(item[key])

    return Rule(f"each {key} stands once in {items}", (items,), check)
