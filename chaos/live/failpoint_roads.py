"""Where failpoints lie: the named functions are found, and their code exchanged for code that passes the failpoints.

* A Python function keeps its identity: only its ``__code__`` is exchanged, so every reference to it (imported names,
  bound methods, dispatch tables, ``super()``) goes through the failpoint, whenever it was taken. The code that was
  there runs in a copy of the function.
* A builtin (``os:fsync``) has no code to exchange: it is replaced in its module and in every module's globals.
* A line is reached by compiling the function's own source anew with one statement more (``failpoint_lines``).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Awaitable, Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from chaos.errors import UsageError
from chaos.live.failpoint_board import Bell, Board
from chaos.live.failpoint_hooks import Hook
from chaos.live.failpoint_nothing import NOTHING
from chaos.rules.failpoint_terms import Target

_COROUTINE, _GENERATORS = 0x80, 0x20 | 0x200
_OURS = "chaos.live."


def arm(board: Board) -> list[Hook]:
    """Arm every failpoint on the board, importing what they name. Raises ``UsageError`` when one cannot sit there."""
    bell = Bell(board)
    hooks = [Hook(board, index, bell) for index in range(len(board))]
    # Lines first: they are compiled from the source, which knows nothing of what is laid before and after.
    for hook in sorted(hooks, key=lambda hook: hook.target.moment != "line"):
        install(hook)

    def leave() -> None:
        for hook in hooks:
            hook.armed = False
        bell.close()

    os.register_at_fork(after_in_child=leave)
    return hooks


class Road:
    """A function on which failpoints lie: those before it, those after it, and the way back to what it was."""

    def __init__(self, owner: Any, name: str, function: Any, target: Target) -> None:
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self._lines: list[Hook] = []
        self.awaits = isinstance(function, FunctionType) and bool(function.__code__.co_flags & _COROUTINE)
        self._owner, self._name, self._function, self._target = owner, name, function, target
        self._original: Any = None

    def __repr__(self) -> str:
        return f"Road({self._target}, {len(self.before)} before, {len(self.after)} after)"

    def lay(self, hook: Hook) -> None:
        """Let the function pass one more failpoint. Raises ``UsageError`` when it cannot."""
        hook.check(awaits=self.awaits)
        if hook.target.moment == "line":
            # Imported only where a line is named: it takes longer than the rest of a start.
            lines = importlib.import_module("chaos.live.failpoint_lines")
            self._lines.append(hook)
            lines.stop_at_lines(self._function, self._lines, awaits=self.awaits)
            return
        if not self.before and not self.after:
            self._open()
        (self.before if hook.target.moment == "before" else self.after).append(hook)

    def clear(self, hook: Hook) -> bool:
        """Take a failpoint away; return whether it was the last one, and the function is what it was."""
        (self.before if hook.target.moment == "before" else self.after).remove(hook)
        if self.before or self.after:
            return False
        if isinstance(self._function, FunctionType):
            self._function.__code__ = self._original
        else:
            _replace(self._owner, self._name, self._original, self._function)
        return True

    def _open(self) -> None:
        function = self._function
        if isinstance(function, FunctionType):
            if function.__code__.co_flags & _GENERATORS:
                raise UsageError(
                    "a function or a coroutine function", f"{self._target}, a generator", "name its caller"
                )
            self._original = function.__code__
            make = _around_coroutine if self.awaits else _around
            _exchange_code(function, make(_copy(function), self.before, self.after), awaits=self.awaits)
        elif callable(function) and not isinstance(function, type):
            self._original = _around(function, self.before, self.after)
            _replace(self._owner, self._name, function, self._original)
        else:
            raise UsageError("a function", f"{self._target}, {type(function).__name__}", "name a function or a method")


_roads: dict[str, Road] = {}


def install(hook: Hook) -> None:
    """Let what the hook's target names pass it. Raises ``UsageError``."""
    key = f"{hook.target.module}:{hook.target.path}"
    if key not in _roads:
        owner, name, found = _resolve(hook.target)
        function = found.__func__ if isinstance(found, staticmethod | classmethod) else found
        road = Road(owner, name, function, hook.target)
        road.lay(hook)
        _roads[key] = road
    else:
        _roads[key].lay(hook)


def uninstall(hook: Hook) -> None:
    """Take a hook away; with the last one the function gets back its own code."""
    key = f"{hook.target.module}:{hook.target.path}"
    if _roads[key].clear(hook):
        del _roads[key]


def _around(call: Callable[..., Any], before: list[Hook], after: list[Hook]) -> Callable[..., Any]:
    def failpoint(*args: Any, **kwargs: Any) -> Any:
        for hook in before:
            instead = hook.pass_by()
            if instead is not NOTHING:
                return instead
        result = call(*args, **kwargs)
        for hook in after:
            instead = hook.pass_by()
            result = result if instead is NOTHING else instead
        return result

    return failpoint


def _around_coroutine(
    call: Callable[..., Awaitable[Any]], before: list[Hook], after: list[Hook]
) -> Callable[..., Awaitable[Any]]:
    async def failpoint(*args: Any, **kwargs: Any) -> Any:
        for hook in before:
            instead = await hook.pass_by_async()
            if instead is not NOTHING:
                return instead
        result = await call(*args, **kwargs)
        for hook in after:
            instead = await hook.pass_by_async()
            result = result if instead is NOTHING else instead
        return result

    return failpoint


def _plain_template(*args: Any, **kwargs: Any) -> Any:
    failpoint: Any = "the failpoint"
    return failpoint(*args, **kwargs)


async def _coroutine_template(*args: Any, **kwargs: Any) -> Any:
    failpoint: Any = "the failpoint"
    return await failpoint(*args, **kwargs)


def _copy(function: FunctionType) -> FunctionType:
    """Return a function that does what this one does now."""
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__qualname__ = function.__kwdefaults__, function.__qualname__
    return copy


def _exchange_code(function: FunctionType, failpoint: Callable[..., Any], *, awaits: bool) -> None:
    """Let the function call ``failpoint``: the template's constant becomes the failpoint itself."""
    original: CodeType = function.__code__
    template = (_coroutine_template if awaits else _plain_template).__code__
    constants = tuple(failpoint if constant == "the failpoint" else constant for constant in template.co_consts)
    if not hasattr(function, "__wrapped__"):
        function.__wrapped__ = _copy(function)  # type: ignore[attr-defined]  # So that the signature stays readable.
    function.__code__ = template.replace(
        co_consts=constants,
        co_freevars=original.co_freevars,  # As many cells as the function has, or Python refuses the exchange.
        co_name=original.co_name,
        co_qualname=original.co_qualname,
        co_filename=original.co_filename,
        co_firstlineno=original.co_firstlineno,
    )


def _replace(owner: Any, name: str, old: Callable[..., Any], new: Callable[..., Any]) -> None:
    """Put ``new`` in the place of a builtin, also where it was imported from its module by name."""
    try:
        setattr(owner, name, new)
    except TypeError as error:
        raise UsageError("a function that can be replaced", f"{owner}.{name}: {error}", "name its caller") from error
    for module in [module for key, module in sys.modules.items() if not key.startswith(_OURS)]:
        if isinstance(module, ModuleType):
            for key in [key for key, value in vars(module).items() if value is old]:
                setattr(module, key, new)


def _resolve(target: Target) -> tuple[Any, str, Any]:
    """Return the owner, the name in it, and what is there, static and class methods unopened. Raises ``UsageError``."""
    try:
        found: Any = importlib.import_module(target.module)
    except ImportError as error:
        raise UsageError(f"the module of {target}", f"{type(error).__name__}: {error}", "mend its name") from error
    owner, name = found, target.module
    for name in target.path.split("."):
        owner = found
        kin = owner.__mro__ if isinstance(owner, type) else (owner,)
        holder = next((place for place in kin if name in vars(place)), None)
        if holder is None:
            raise UsageError(str(target), f"no {name} in {_name_of(owner)}", _nearest(name, owner))
        found = vars(holder)[name]
    return owner, name, found


def _nearest(name: str, owner: Any) -> str:
    # Imported only where something is wrong anyway, to keep every good start short.
    near = importlib.import_module("difflib").get_close_matches(name, dir(owner), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(sorted(vars(owner))[:10])}, …"


def _name_of(owner: Any) -> str:
    return str(getattr(owner, "__qualname__", None) or getattr(owner, "__name__", owner))
