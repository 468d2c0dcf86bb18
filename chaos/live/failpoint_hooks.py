"""What happens when a failpoint is passed: the passing is counted, and the action that is due is done.

* The passing is counted, and the action too, on the board before the action happens.
* In a coroutine function the actions wait as coroutines do (only ``block`` holds the thread); elsewhere they block.
* Failpoints belong to the process that armed them: in a forked child they do nothing. One may be narrowed to a task by
  name, or (``failpoint_scope``) to what runs in one context: a test, with all the tasks that it starts.

Only what a child needs is imported; asyncio is never imported here, but used where a coroutine brought it.
"""

from __future__ import annotations

import _thread
import fnmatch
import importlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from chaos.errors import UsageError
from chaos.live.failpoint_board import FIRED, REACHED, RELEASED, SEED, Bell, Board
from chaos.live.failpoint_nothing import NOTHING
from chaos.rules.failpoint_exceptions import make_exception
from chaos.rules.failpoint_terms import Term, choose, parse_target, parse_terms

# A failpoint may sit on these themselves.
_os_open, _os_close, _sleep, _kill, _getpid = os.open, os.close, time.sleep, os.kill, os.getpid  # noqa: TID251 - is the fault


class Hook:
    """One armed failpoint in this process."""

    def __init__(self, board: Board, index: int, bell: Bell) -> None:
        self.target = parse_target(board.target(index))
        self.armed = True
        self.is_in_scope: Callable[[], bool] | None = None
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
            elif term.action in ("hang", "cling") and not awaits:
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
        elif term.action == "cling":
            await _cling()
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
        if not self.armed or not self._concerns():
            return None, 0
        with self._lock:
            ticket = self._board.word(self._index, RELEASED)
            passing = self._board.add(self._index, REACHED)
            term = self._due(passing)
            if term is not None:
                self._board.add(self._index, FIRED)
        self._bell.ring()
        return term, ticket

    def _concerns(self) -> bool:
        """Return whether what passes now is what the failpoint is meant for."""
        if self.is_in_scope is not None and not self.is_in_scope():
            return False
        return not self.target.task or fnmatch.fnmatchcase(_name_of_runner(), self.target.task)

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


def _name_of_runner() -> str:
    """Return the name of the task that runs here, outside of tasks that of the thread."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None  # No loop runs in this thread.
        if task is not None:
            return str(task.get_name())
    threading = sys.modules.get("threading")
    return threading.current_thread().name if threading is not None else "MainThread"


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


async def _cling() -> None:
    """Wait for ever, and go on waiting whenever somebody cancels."""
    asyncio = _asyncio()
    while True:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            continue


async def _hung_up(descriptor: int) -> None:
    """Wait, as a coroutine does, until the other end of a FIFO was opened and closed."""
    loop = _asyncio().get_running_loop()
    hung_up = loop.create_future()
    loop.add_reader(descriptor, lambda: hung_up.done() or hung_up.set_result(None))
    try:
        await hung_up
    finally:
        loop.remove_reader(descriptor)
