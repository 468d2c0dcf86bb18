"""Exceptions by name, for ``raise(…)``: builtins, ``module:Class``, and two that break naive handlers.

* ``BadStr``: an exception whose ``__str__`` raises, so that whoever formats it without care fails in turn.
* ``ExceptionGroup``: with a ``ValueError`` inside, so that it can be made without arguments.
"""

from __future__ import annotations

import builtins
import importlib
from typing import Any

from chaos.errors import UsageError

WORDS = "injected by a failpoint"


class BadStr(Exception):  # noqa: N818 - the name that specifications use
    """An exception that cannot be put into words."""

    def __str__(self) -> str:
        raise ValueError("this exception cannot be put into words")

    __repr__ = __str__


def make_exception(name: str, *arguments: Any) -> BaseException:
    """Return a new exception of that name, made with the arguments or with words of ours. Raises ``UsageError``."""
    kind = _find(name)
    given = arguments or (WORDS,)
    if issubclass(kind, BaseExceptionGroup) and len(given) < 2:
        given = (str(given[0]), [ValueError(WORDS)])
    try:
        return kind(*given)
    except TypeError as error:
        raise UsageError(f"arguments that {name} can be made with", str(error), "add them, as JSON") from error


def _find(name: str) -> type[BaseException]:
    module, _, attribute = name.rpartition(":")
    try:
        place = importlib.import_module(module) if module else builtins
        found = BadStr if name == "BadStr" else getattr(place, attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"an exception named {name}", str(error), "name a builtin or module:Class") from error
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise UsageError(f"an exception named {name}", f"{found!r}", "name a builtin or module:Class")
    return found
