"""The child's side of failpoints: exchanges the code of the named functions, counts their passings, and acts.

* A Python function keeps its identity: only its ``__code__`` is exchanged, so every reference to it (imported names,
  bound methods, dispatch tables, ``super()``) goes through the failpoint, whenever it was taken. The code that was
  there runs in a copy of the function.
* A builtin (``os:fsync``) has no code to exchange: it is replaced in its module and in every module's globals.
* The passing is counted, and the action too, on the board before the action happens.
* In a coroutine function the actions wait as coroutines do (only ``block`` holds the thread); elsewhere they block.
* Failpoints belong to the process that armed them: in a forked child they do nothing.

Only what a child needs is imported; asyncio is never imported here, but used where a coroutine brought it.
"""

from __future__ import annotations

import _thread
import importlib
import os
import select
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from chaos.errors import UsageError
from chaos.live.failpoint_board import FIRED, REACHED, RELEASED, SEED, Bell, Board
from chaos.rules.failpoint_exceptions import make_exception
from chaos.rules.failpoint_terms import Target, Term, choose, parse_target, parse_terms

_COROUTINE, _GENERATORS = 0x80, 0x20 | 0x200
_OURS = ("chaos.live.", "chaos.rules.")
# A failpoint may sit on these themselves.
_os_open, _os_close, _sleep, _kill, _getpid = os.open, os.close, time.sleep, os.kill, os.getpid  # noqa: TID251 - is the fault


class _Nothing:
    """What an action says when the call goes on as if it had not been."""


NOTHING = _Nothing()


class Hook:
    """One armed failpoint in this process."""

    def __init__(self, board: Board, index: int, bell: Bell) -> None:
        self.target = parse_target(board.target(index))
        self.armed = True
        self._board, self._index, self._bell = board, index, bell
        # Reentrant, because a signal handler may pass the same failpoint while its thread counts here.
        self._lock = _thread.RLock()
        self._generation = -1
        self._terms: tuple[Term, ...] = ()
        self._used: list[int] = []
        self._refresh()

    def __repr__(self) -> str:
        reached, fired = self._board.word(self._index, REACHED), self._board.word(self._index, FIRED)
        return f"Hook({self.target}, reached {reached}, fired {fired})"

    def check(self, *, awaits: bool) -> None:
        """Try what the terms need before anything runs. Raises ``UsageError`` for what cannot work there."""
        for term in self._terms:
            if term.action == "raise":
                make_exception(*term.arguments)
            elif term.action == "hang" and not awaits:
                raise UsageError("a coroutine function to hang in", f"{self.target}, which is none", "use block")
            elif term.action == "pause" and not self._board.path:
                raise UsageError("a runner that releases a pause", "none", "use block, or start through Failpoints")

    def pass_by(self) -> Any:
        """Count one passing and do what is due; return what replaces the call's result, or ``NOTHING``."""
        term, ticket = self._count()
        if term is None:
            return NOTHING
        if term.action in ("sleep", "block", "hang"):
            _block(term)
        elif term.action == "pause":
            for descriptor in self._unreleased(ticket):
                waiting = select.poll()
                waiting.register(descriptor, 0)
                waiting.poll()
        else:
            return _act(term)
        return NOTHING

    async def pass_by_async(self) -> Any:
        """Do the same in a coroutine."""
        term, ticket = self._count()
        if term is None:
            return NOTHING
        if term.action == "block":
            _block(term)
        elif term.action == "sleep":
            await _asyncio().sleep(term.arguments[0])
        elif term.action == "hang":
            await _asyncio().get_running_loop().create_future()
        elif term.action == "pause":
            for descriptor in self._unreleased(ticket):
                await _hung_up(descriptor)
        else:
            return _act(term)
        return NOTHING

    def _count(self) -> tuple[Term | None, int]:
        """Return what is due at this passing, and how often the failpoint had been released until now."""
        if not self.armed:
            return None, 0
        with self._lock:
            ticket = self._board.word(self._index, RELEASED)
            passing = self._board.add(self._index, REACHED)
            term = self._due(passing)
            if term is not None:
                self._board.add(self._index, FIRED)
        self._bell.ring()
        return term, ticket

    def _due(self, passing: int) -> Term | None:
        if not self.target.counts(passing):
            return None
        self._refresh()
        chosen = choose(self._terms, self._used, self._board.word(self._index, SEED), passing)
        if chosen is None:
            return None
        self._used[chosen] += 1
        return None if self._terms[chosen].action == "off" else self._terms[chosen]

    def _refresh(self) -> None:
        """Take over terms that the runner has written since."""
        generation, text = self._board.terms(self._index)
        if generation != self._generation:
            self._terms = parse_terms(text)
            self._used = [0] * len(self._terms)
            self._generation = generation

    def _unreleased(self, ticket: int) -> Iterator[int]:
        """Yield descriptors that hang up with the next release, until the release of this passing has come."""
        while self._board.word(self._index, RELEASED) == ticket:
            descriptor = _os_open(f"{self._board.path}.release", os.O_RDONLY | os.O_NONBLOCK)
            try:
                # Looked at again now that a release cannot be missed any more.
                if self._board.word(self._index, RELEASED) == ticket:
                    yield descriptor
            finally:
                _os_close(descriptor)


def arm(board: Board) -> list[Hook]:
    """Arm every failpoint on the board, importing what they name. Raises ``UsageError`` when one cannot sit there."""
    bell = Bell(board)
    hooks = [Hook(board, index, bell) for index in range(len(board))]
    places: dict[str, list[Hook]] = {}
    for hook in hooks:
        places.setdefault(f"{hook.target.module}:{hook.target.path}", []).append(hook)
    for group in places.values():
        _install(group)

    def leave() -> None:
        for hook in hooks:
            hook.armed = False
        bell.close()

    os.register_at_fork(after_in_child=leave)
    return hooks


def _install(hooks: list[Hook]) -> None:
    owner, name, found = _resolve(hooks[0].target)
    before = [hook for hook in hooks if hook.target.moment == "before"]
    after = [hook for hook in hooks if hook.target.moment == "after"]
    function = found.__func__ if isinstance(found, staticmethod | classmethod) else found
    awaits = isinstance(function, FunctionType) and bool(function.__code__.co_flags & _COROUTINE)
    for hook in hooks:
        hook.check(awaits=awaits)
    if isinstance(function, FunctionType):
        if function.__code__.co_flags & _GENERATORS:
            raise UsageError("a function or a coroutine function", f"{hooks[0].target}, a generator", "name its caller")
        make = _around_coroutine if awaits else _around
        _exchange_code(function, make(_copy(function), before, after), awaits=awaits)
    elif callable(function) and not isinstance(function, type):
        _replace(owner, name, function, _around(function, before, after))
    else:
        raise UsageError("a function", f"{hooks[0].target}, {type(found).__name__}", "name a function or a method")


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


def _act(term: Term) -> Any:
    """Do what does not wait."""
    if term.action == "raise":
        raise make_exception(*term.arguments)
    if term.action == "return":
        return term.arguments[0]
    if term.action == "print":
        sys.stdout.write(f"{term.arguments[0]}\n")
        sys.stdout.flush()
    elif term.action == "exit":
        os._exit(term.arguments[0])  # At once, without any ``finally``.
    else:
        _kill(_getpid(), signal.SIGKILL if term.action == "kill" else signal.SIGTERM)
    return NOTHING


def _block(term: Term) -> None:
    """Hold the thread, for the given seconds or for ever."""
    if term.arguments:
        _sleep(term.arguments[0])
        return
    while True:
        _sleep(3600)


def _asyncio() -> Any:
    """Return asyncio, which a running coroutine has brought, and a program without coroutines need not load."""
    return importlib.import_module("asyncio")


async def _hung_up(descriptor: int) -> None:
    """Wait, as a coroutine does, until the other end of a FIFO was opened and closed."""
    loop = _asyncio().get_running_loop()
    hung_up = loop.create_future()
    loop.add_reader(descriptor, lambda: hung_up.done() or hung_up.set_result(None))
    try:
        await hung_up
    finally:
        loop.remove_reader(descriptor)
