"""Finds what modules have bound by ``from x import y``, or made at their import, so that a seam can serve them, too.

Each module is looked through once; those that are loaded later are looked through when a world is next entered. The
toolkit's own modules, and pytest's, keep the real things.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

KEPT_REAL = ("chaos", "_pytest", "pytest", "pluggy", "xdist", "execnet", "pytest_timeout", "greenlet", "time_machine")


class NewModules:
    """Which modules were loaded since the last question; where nothing was, the answer costs next to nothing."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._asked_at: tuple[int, str] = (0, "")

    def names(self) -> list[str]:
        """Return the names of the modules that were never returned before."""
        now = len(sys.modules), next(reversed(sys.modules))  # A name that came would be the last one.
        if now == self._asked_at:
            return []
        self._asked_at = now
        new = [name for name in sys.modules if name not in self._seen]
        self._seen.update(new)
        return new


class BoundNames:
    """All globals of modules that ``kind_of`` recognises (it returns None for all others)."""

    def __init__(self, kind_of: Callable[[Any], str | None], *, with_library: bool) -> None:
        self._kind_of, self._with_library = kind_of, with_library
        self._new = NewModules()
        self._found: list[tuple[ModuleType, str, str]] = []

    def found(self) -> list[tuple[ModuleType, str, str]]:
        """Return module, name and kind of each."""
        for module_name in self._new.names():
            module: Any = sys.modules[module_name]
            root = module_name.partition(".")[0]
            if root in KEPT_REAL or not isinstance(module, ModuleType):
                continue
            if not self._with_library and root in sys.stdlib_module_names:
                continue
            for name, value in list(vars(module).items()):
                if (kind := self._kind_of(value)) is not None:
                    self._found.append((module, name, kind))
        return self._found
