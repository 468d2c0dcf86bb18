"""Failpoints in this very process, for what runs inside one context only: tests with failpoints run side by side.

    with scoped_failpoints({"json:loads#before": "raise(ValueError)"}) as points:
        ...                                     # here, and in the tasks and threads started from here, it raises
    assert points["json:loads#before"].fired    # elsewhere nothing was different

* The context is a ``contextvars`` context: tasks inherit it when they are made, ``asyncio.to_thread`` takes it along.
  A thread started by hand does not, and neither does a task that was there before.
* When the last scope that names a function is left, the function has its own code again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from chaos.errors import UsageError
from chaos.live.failpoint_board import FIRED, REACHED, Bell, Board
from chaos.live.failpoint_hooks import Hook
from chaos.live.failpoint_roads import install, uninstall
from chaos.rules.failpoint_terms import parse_target, parse_terms

_SCOPES: ContextVar[frozenset[int]] = ContextVar("chaos failpoint scopes", default=frozenset())


class ScopedFailpoint:
    """One failpoint of a scope, with its counts; they stay readable after the scope."""

    def __init__(self, board: Board, index: int, specification: str) -> None:
        self._board, self._index, self._specification = board, index, specification
        self._last: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"ScopedFailpoint({self._specification}, reached {self.reached}, fired {self.fired})"

    @property
    def reached(self) -> int:
        """Return how often it was passed in the scope."""
        return self._last[0] if self._last else self._board.word(self._index, REACHED)

    @property
    def fired(self) -> int:
        """Return how often an action was carried out; 0 means that nothing was exercised."""
        return self._last[1] if self._last else self._board.word(self._index, FIRED)

    def arm(self, terms: str) -> None:
        """Replace the terms; they hold from the next passing on, with fresh counts. Raises ``UsageError``."""
        parse_terms(terms)
        self._board.write_terms(self._index, terms)

    def freeze(self) -> None:
        """Keep the last counts: the board is about to go."""
        self._last = (self.reached, self.fired)


@contextmanager
def scoped_failpoints(specifications: Mapping[str, str], *, seed: int = 0) -> Iterator[dict[str, ScopedFailpoint]]:
    """Arm failpoints for what runs inside the block. Raises ``UsageError`` for what cannot be armed.

    ``kill``, ``term``, ``exit`` would end the test itself, and ``pause`` needs a runner: they are refused.
    """
    for text, terms in specifications.items():
        if parse_target(text).line:
            raise UsageError("#before or #after in a test's own process", text, "use #line in a child process")
        for term in parse_terms(terms):
            if term.action in ("kill", "term", "exit", "pause"):
                raise UsageError("an action that a test survives", term.action, "use it in a child process")
    board = Board.in_memory([(str(parse_target(text)), terms, seed) for text, terms in specifications.items()])
    points = {text: ScopedFailpoint(board, index, text) for index, text in enumerate(specifications)}
    hooks = [Hook(board, index, Bell(board)) for index in range(len(board))]
    scope = id(board)
    token = _SCOPES.set(_SCOPES.get() | {scope})
    installed: list[Hook] = []
    try:
        for hook in hooks:
            hook.is_in_scope = lambda: scope in _SCOPES.get()
            install(hook)
            installed.append(hook)
        yield points
    finally:
        with suppress(ValueError):  # A fixture leaves it in another context than its test's, which is gone by now.
            _SCOPES.reset(token)
        for hook in reversed(installed):
            uninstall(hook)
        for point in points.values():
            point.freeze()
        board.close()
