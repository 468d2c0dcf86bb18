"""In which order what is ready takes its turn; only orders that asyncio may really produce.

* asyncio promises that callbacks run in the order in which they were asked for. Which of several tasks the network, the
  disk or a timer wakes first is nobody's promise: only *turns* (steps of tasks, turns of threads) are permuted.
* ``fifo``: exactly asyncio's own order.
* ``shuffle``: any ready turn, each as likely.
* ``pct``: every task has a random priority and the highest runs, but for a few changes at random steps: finds orders
  that need several rare choices in a row (Burckhardt et al., A randomized scheduler with probabilistic guarantees).
* ``portfolio``: one of the three, by the seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from chaos.errors import UsageError
from chaos.sim.choices import SeededChoices

PRIORITIES = 1 << 20
CHANGE_POINTS = 3
STEPS_EXPECTED = 2_000  # Changes of priority fall within this many steps with a choice.
STARVED_AFTER = 500  # Turns in a row of one task, while others are ready, before its priority is taken away.


class Policy(Protocol):
    """Holds what is ready and says what is next. While ``batch`` is not empty, no timer is looked at."""

    name: str
    turns: Any
    callbacks: deque[Any]

    @property
    def batch(self) -> Sequence[Any]:
        """What must run before the timers are looked at."""
        ...

    def take(self) -> Any:
        """Remove and return what runs next; None when nothing is ready."""
        ...

    def put_at_end_of_batch(self, callback: Any) -> bool:
        """Let ``callback`` run as the last of the present batch; false if there are no batches."""
        ...


class Fifo:
    """asyncio's own order: what is ready runs as a batch; what that makes ready, and timers, are the next one."""

    name = "fifo"

    def __init__(self) -> None:
        self.callbacks: deque[Any] = deque()
        self.turns = self.callbacks
        self.batch: deque[Any] = deque()

    def take(self) -> Any:
        """Remove and return what runs next."""
        batch = self.batch
        if not batch:
            batch.extend(self.callbacks)
            self.callbacks.clear()
            if not batch:
                return None
        return batch.popleft()

    def put_at_end_of_batch(self, callback: Any) -> bool:
        """Let it run at the end of the present batch."""
        self.batch.append(callback)
        return True


class Shuffle:
    """Any ready turn; the plain callbacks in their order, somewhere between."""

    name = "shuffle"

    def __init__(self, choices: SeededChoices) -> None:
        self.callbacks: deque[Any] = deque()
        self.turns: list[Any] = []
        self.batch: Sequence[Any] = ()
        self._draw = choices.stream("schedule")

    def take(self) -> Any:
        """Remove and return what runs next."""
        turns, callbacks = self.turns, self.callbacks
        count = len(turns)
        if not count:
            return callbacks.popleft() if callbacks else None
        if callbacks:
            chosen = self._draw(count + 1)
            return turns.pop(chosen - 1) if chosen else callbacks.popleft()
        return turns.pop(self._draw(count)) if count > 1 else turns.pop()

    def put_at_end_of_batch(self, callback: Any) -> bool:  # noqa: ARG002 - as the port asks
        """Say that there are no batches here: any turn may be the last of one."""
        return False


class PriorityChange:
    """Random priorities with a few change points (PCT)."""

    name = "pct"

    def __init__(self, choices: SeededChoices) -> None:
        self.callbacks: deque[Any] = deque()
        self.turns: list[Any] = []
        self.batch: Sequence[Any] = ()
        self._choices = choices
        self._priorities: dict[int, int] = {}
        self._step = 0
        self._changes = {choices.below("pct/change", STEPS_EXPECTED) for _ in range(CHANGE_POINTS)}
        self._lowest = 0
        self._last, self._in_a_row = -1, 0
        self._callbacks_in_a_row = 0

    def take(self) -> Any:
        """Remove and return what runs next."""
        if not self.turns or (self.callbacks and self._prefers_callbacks()):
            return self.callbacks.popleft() if self.callbacks else None
        if len(self.turns) == 1:
            return self.turns.pop()
        self._step += 1
        best = max(range(len(self.turns)), key=lambda index: (self._priority(_owner(self.turns[index])), -index))
        number = _owner(self.turns[best])
        self._in_a_row = self._in_a_row + 1 if number == self._last else 0
        self._last = number
        if self._step in self._changes or self._in_a_row > STARVED_AFTER:
            self._lowest -= 1
            self._priorities[number] = self._lowest
            self._in_a_row = 0
        return self.turns.pop(best)

    def put_at_end_of_batch(self, callback: Any) -> bool:  # noqa: ARG002 - as the port asks
        """Say that there are no batches here: any turn may be the last of one."""
        return False

    def _prefers_callbacks(self) -> bool:
        """Draw; but a callback that asks for itself again and again may not keep the tasks waiting for ever."""
        chosen = not self._choices.below("schedule", 2) and self._callbacks_in_a_row < STARVED_AFTER
        self._callbacks_in_a_row = self._callbacks_in_a_row + 1 if chosen else 0
        return chosen

    def _priority(self, number: int) -> int:
        if number not in self._priorities:
            self._priorities[number] = self._choices.below("pct/priority", PRIORITIES)
        return self._priorities[number]


def _owner(turn: Any) -> int:
    return int(turn[0].__self__.number)


POLICIES = ("fifo", "shuffle", "pct", "portfolio")


def policy_of(name: str, choices: SeededChoices) -> Policy:
    """Return a new policy of that name. Raises ``UsageError``."""
    if name == "portfolio":
        name = POLICIES[choices.below("policy", 3)]
    if name == "fifo":
        return Fifo()
    if name == "shuffle":
        return Shuffle(choices)
    if name == "pct":
        return PriorityChange(choices)
    raise UsageError(f"a policy ({', '.join(POLICIES)})", repr(name), "choose one of these")
