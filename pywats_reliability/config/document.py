"""A configuration as a JSON document: bytes to plain values and back, without any file.

* What cannot be read is refused with its place and one line: too large, empty, not UTF-8, not JSON, no object, a key
  twice, nesting without end (H4.6). Numbers that JSON does not have (NaN) or that no setting takes come through as they
  are, so that the setting's own rule refuses them and names the key.
* What a configuration can hold is written so that it reads back equal (H4.5).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pywats_reliability.config.given import kind_of
from pywats_reliability.errors import SettingTypeError, SettingValueError

DOCUMENT_BYTES_MAX = 1_048_576
INTEGER_DIGITS_MAX = 100
WHOLE = "the whole file"


def encoded(values: Mapping[str, Any]) -> bytes:
    """Return the document, readable for people, in UTF-8."""
    return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def decoded(data: bytes) -> dict[str, Any]:
    """Return the object in a document; raise ``SettingTypeError`` or ``SettingValueError`` whose key is the place."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise SettingValueError(WHOLE, f"at most {DOCUMENT_BYTES_MAX} bytes", "more")
    values = _parsed(_text(data))
    if not isinstance(values, dict):
        raise SettingTypeError(WHOLE, "a JSON object", kind_of(values))
    return values


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")  # Editors on Windows begin a file with a byte order mark.
    except UnicodeDecodeError as error:
        raise SettingValueError(f"byte {error.start}", "UTF-8 text", "another byte") from None
    if not text.strip():
        raise SettingValueError(WHOLE, "a JSON object", "an empty file")
    return text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_integer, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        found = error.msg.removesuffix(" at")
        raise SettingValueError(f"line {error.lineno}, column {error.colno}", "JSON", found) from None
    except RecursionError:
        raise SettingValueError(WHOLE, "JSON of sane depth", "nesting without end") from None


def _integer(digits: str) -> int:
    """Return the number, or for one of absurd length a number that every rule refuses just as well."""
    return int(digits[: INTEGER_DIGITS_MAX + 1])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise SettingValueError(repr(key[:80]), "each key once", "it twice")
        values[key] = value
    return values
