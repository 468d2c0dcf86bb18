"""Given values, whoever gave them: reduced to their built-in value, and put into words that give no secret away.

* A value is judged by its real type: neither an overridden ``__str__`` nor a lying ``__class__`` is believed, and no
  code of a value runs to describe it.
* What could carry a secret (a long text, a text that may be a URL with a password, the inside of an object) is named by
  its kind and size (H3.5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MASK = "***"
QUOTED_CHARACTERS_MAX = 60
QUOTED_INTEGER_MAX = 2**63 - 1

_KINDS: dict[type, str] = {
    bool: "a truth value", int: "a whole number", float: "a number", str: "a text", list: "a list", tuple: "a list",
    type(None): "nothing",
}


def plain_scalar(value: object) -> object:
    """Return the built-in value inside an instance of a subclass, such as a member of an enumeration of texts."""
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int) and kind is not bool:
        return int.__int__(value)  # type: ignore[arg-type]
    return float.__float__(value) if issubclass(kind, float) else value  # type: ignore[arg-type]


def is_list(value: object) -> bool:
    """Tell whether a value really is a list or a tuple."""
    return issubclass(type(value), list | tuple)


def kind_of(value: object) -> str:
    """Return what kind of value this is, in words that give nothing of it away."""
    kind = type(plain_scalar(value))
    if issubclass(kind, Mapping):
        return "an object"
    return _KINDS.get(kind, f"an instance of {kind.__name__}")


def shown(value: object, *, is_secret: bool = False) -> str:
    """Return a given value for a message: short, on one line; a secret only as its kind."""
    value = plain_scalar(value)
    if is_secret:
        return f"{MASK} ({kind_of(value)})"
    if type(value) not in {str, bool, int, float}:
        return kind_of(value)
    if isinstance(value, str):
        is_quotable = len(value) <= QUOTED_CHARACTERS_MAX and not re.search("[@?]", value)
        return f"the text {value!r}" if is_quotable else f"a text of {len(value)} characters"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) > QUOTED_INTEGER_MAX:
        return f"a whole number of {value.bit_length()} bits"
    return repr(value)
