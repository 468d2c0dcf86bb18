"""Values that have no place in a setting, by class, and what a setting of a known kind owes to a value.

The judgement here is written from the specification (names, kinds, ranges), not from any validator: it says *type*,
*value* or *fine* where the specification decides, and nothing where only a finer rule (an address, a path) could.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SettingFacts:
    """What the specification says of a setting: kind is ``bool``, ``int``, ``float``, ``str``, ``list`` or ``dict``."""

    key: str
    kind: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    optional: bool = False


BAD_VALUES: Mapping[str, Any] = {
    "a truth value": True,
    "zero": 0,
    "minus one": -1,
    "a small number": 7,
    "a huge number": 10**400,
    "minus a huge number": -(10**400),
    "2**31": 2**31,
    "2**63": 2**63,
    "a fraction": 0.5,
    "a negative fraction": -0.5,
    "not a number": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "the largest float": 1.7976931348623157e308,
    "an empty text": "",
    "blanks": "   ",
    "a NUL": "\x00",
    "text with a NUL": "abc\x00def",
    "a line break": "a\nb",
    "a lone surrogate": "\ud800",
    "text like a number": "8080",
    "text like a truth value": "true",
    "text in other digits": "٣",
    "a long text": "x" * 100_001,
    "a planted secret": "s3cr3t-p14nt3d",
    "nothing": None,
    "bytes": b"INFO",
    "a list": [1, 2],
    "a list of the wrong": [{"no": "such"}],
    "a list of nothing": [None],
    "an empty object": {},
    "an object of the wrong": {"port": -1},
    "an object": object(),
    "a set": {1},
    "a complex number": 1j,
}

_KINDS: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "list": (list, tuple),
    "dict": (dict,),
}


def deserves(facts: SettingFacts, value: Any) -> str | None:
    """Return what ``value`` deserves: ``"type"``, ``"value"``, ``"fine"``, or None where a finer rule decides."""
    if value is None:
        return "fine" if facts.optional else "type"
    if not isinstance(value, _KINDS[facts.kind]) or (isinstance(value, bool) and facts.kind != "bool"):
        return "type"
    match facts.kind:
        case "int" | "float":
            return _number_deserves(facts, value)
        case "str":
            return _text_deserves(facts, value)
        case "bool":
            return "fine"
    return None


def _number_deserves(facts: SettingFacts, value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "value"
    low = -math.inf if facts.minimum is None else facts.minimum
    high = math.inf if facts.maximum is None else facts.maximum
    return "fine" if low <= value <= high else "value"


def _text_deserves(facts: SettingFacts, value: Any) -> str | None:
    if facts.choices:
        return "fine" if value in facts.choices else "value"
    return "value" if "\x00" in value else None
