"""Exchanges parts of a program while it is loaded, and puts them back: how mutants and simulated failpoints get in.

* A part is named from outside, ``package.module:name`` or ``package.module:Class.name``; it has no seam for it.
* A function that other modules of the same package imported by name is exchanged there as well.
* Whoever entered last leaves first: every part is back when the block ends, whatever happened inside.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from chaos.errors import UsageError

ADVICE = "name it as package.module:name or package.module:Class.name"


class Replacements:
    """A block inside which parts are exchanged. ``replace`` and ``wrap`` work inside it only."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.targets: list[str] = []

    def __repr__(self) -> str:
        return f"Replacements({', '.join(self.targets) or 'none'})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Put everything back; for those who keep it beyond one block."""
        self._stack.close()
        self.targets.clear()

    def replace(self, target: str, new: Any) -> Any:
        """Put ``new`` where ``target`` was and return what was there. Raises ``UsageError`` for what is not there."""
        owner, name = _owner_of(target)
        old = inspect.getattr_static(owner, name)
        if isinstance(old, staticmethod | classmethod) and not isinstance(new, staticmethod | classmethod):
            new = type(old)(new)
        self._set(owner, name, new)
        if inspect.ismodule(owner):
            for module in _package_of(owner.__name__):
                for other, value in list(vars(module).items()):
                    if value is old and module is not owner:
                        self._set(module, other, new)
        self.targets.append(target)
        return old

    def wrap(self, target: str, around: Callable[..., Any]) -> None:
        """Let every call of ``target`` be ``around(original, …)`` instead (a method: ``self`` follows)."""
        owner, name = _owner_of(target)
        old = inspect.getattr_static(owner, name)
        function = old.__func__ if isinstance(old, staticmethod | classmethod) else old
        if not callable(function):
            raise UsageError("a function or method", f"{target}, a {type(old).__name__}", "use replace")

        @functools.wraps(function)
        def instead(*arguments: Any, **named: Any) -> Any:
            return around(function, *arguments, **named)

        self.replace(target, instead)

    def _set(self, owner: Any, name: str, new: Any) -> None:
        if name in vars(owner):
            self._stack.callback(setattr, owner, name, vars(owner)[name])
        else:
            self._stack.callback(delattr, owner, name)
        setattr(owner, name, new)


def _owner_of(target: str) -> tuple[Any, str]:
    module_name, colon, path = target.partition(":")
    if not colon or not path:
        raise UsageError("a part of a program", repr(target), ADVICE)
    try:
        owner: Any = importlib.import_module(module_name)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        inspect.getattr_static(owner, name)
    except (ImportError, AttributeError) as error:
        raise UsageError("a part of a program", f"{target}: {error}", ADVICE) from error
    return owner, name


def _package_of(module_name: str) -> list[Any]:
    package = module_name.partition(".")[0]
    return [module for name, module in sys.modules.copy().items() if name.partition(".")[0] == package]
