"""JSON objects whose inside is somebody else's business (a converter's arguments), held so that nobody can change them.

* What comes in is copied to the last element, so the giver's later changes do not reach it; what is handed out is
  read-only, or a fresh copy (H4.2, H4.3).
* Only what JSON can carry and every reader reads back the same is taken: finite numbers, whole numbers of 64 bits, text
  that UTF-8 has, a limited depth (which also ends a cycle) (H4.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pywats_reliability.config.given import is_list, kind_of, plain_scalar, shown
from pywats_reliability.errors import SettingTypeError, SettingValueError

JsonObject = Mapping[str, Any]
EMPTY: JsonObject = MappingProxyType({})
INTEGER_MAX = 2**63 - 1
DEPTH_MAX = 20
KEY_LENGTH_MAX = 200


def frozen_object(value: object, at: str) -> JsonObject:
    """Return a deep read-only copy of a JSON object (lists become tuples); ``at`` is its key in messages.

    Raises ``SettingTypeError`` for what JSON does not have, ``SettingValueError`` for what is out of its limits.
    """
    if not issubclass(type(value), Mapping):
        raise SettingTypeError(at, "an object", kind_of(value))
    return _frozen_object(value, at, DEPTH_MAX)


def thawed(value: object) -> Any:
    """Return what was frozen as fresh dicts and lists, for JSON and for whoever wants to change it."""
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    return [thawed(item) for item in value] if isinstance(value, tuple) else value


def _frozen_object(value: Any, at: str, depth: int) -> JsonObject:
    frozen = {}
    for given_key, item in value.items():
        key = _key(given_key, at)
        place = key if key.isprintable() else repr(key)  # A message stays on one line.
        frozen[key] = _frozen(item, f"{at}.{place}", depth - 1)
    return MappingProxyType(frozen)


def _frozen(value: Any, at: str, depth: int) -> object:
    kind = type(value)
    if depth <= 0 and (is_list(value) or issubclass(kind, Mapping)):
        raise SettingValueError(at, f"at most {DEPTH_MAX} levels of nesting", "more")
    if is_list(value):
        return tuple(_frozen(item, f"{at}[{index}]", depth - 1) for index, item in enumerate(value))
    return _frozen_object(value, at, depth) if issubclass(kind, Mapping) else _scalar(plain_scalar(value), at)


def _key(value: object, at: str) -> str:
    key = plain_scalar(value)
    if not isinstance(key, str):
        raise SettingTypeError(at, "keys that are texts", kind_of(key))
    if len(key) > KEY_LENGTH_MAX:
        raise SettingValueError(at, f"keys of at most {KEY_LENGTH_MAX} characters", f"one of {len(key)}")
    return _encodable(key, at)


def _scalar(value: object, at: str) -> object:
    if isinstance(value, str):
        return _encodable(value, at)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise SettingValueError(at, "a whole number of at most 64 bits", shown(value))
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SettingValueError(at, "a finite number", shown(value))
        return value
    raise SettingTypeError(at, "an object, a list, a text, a number, true, false or null", kind_of(value))


def _encodable(text: str, at: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingValueError(at, "text that UTF-8 can carry", "a lone surrogate") from None
    return text
