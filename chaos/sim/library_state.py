"""What a library keeps for its process, for each simulated process by itself.

* Modules are shared by all simulated processes, so what a module keeps is, too. For most that is a cache. ``filelock``
  keeps the descriptors and locks of its process, and clears away what is left of another pid's, as after a fork: one
  process's lock would be closed by another, and what one play left would be seen by the next.
* Such a library asks for its pid before it uses what it keeps. That is when the state is exchanged: nothing is done
  when another process has its turn, only when another one asks.
* A process begins with what a new interpreter has; leaving the world puts back what was there before it.
* ``anyio`` keeps what it knows of a task for as long as the task lives; that knowledge names the task, so that one
  which was killed would live for ever, with its whole world. It is forgotten with the world.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import filelock  # noqa: F401 - loaded before the first world, so that what it keeps is known as it was before it

from chaos.sim.loop import SimLoop
from chaos.sim.tasks import SimTask

if TYPE_CHECKING:
    from chaos.sim.process import SimProcess

KEPT_BY_LIBRARIES = (
    ("filelock._api", "_FORK_STATE"),
    ("filelock._api", "_REGISTRY"),
    ("filelock._api", "_OWNED_DESCRIPTORS"),
)
KEPT_BY_TASK = (("anyio._backends._asyncio", "_task_states"), ("anyio.lowlevel", "_run_vars"))
State = list[dict[Any, Any]]


class LibraryState:
    """Exchanges what libraries keep for their process. Made when a world is entered."""

    def __init__(self) -> None:
        modules = sys.modules
        found = [getattr(modules[module], name, None) for module, name in KEPT_BY_LIBRARIES if module in modules]
        self._kept = [_values_of(thing) for thing in found if thing is not None]
        self._before = [dict(kept) for kept in self._kept]
        self._plain = [isinstance(thing, dict) for thing in found if thing is not None]
        self._pid = os.getpid()
        self._states: dict[int, State] = {}
        self._owner: SimProcess | None = None

    def belongs_to(self, process: SimProcess) -> None:
        """Let the libraries have what is this process's; cheap when they have it already."""
        if process is self._owner:
            return
        if self._owner is not None:
            self._states[self._owner.number] = [dict(kept) for kept in self._kept]
        self._owner = process
        self._install(self._states.pop(process.number) if process.number in self._states else self._fresh())

    def leave(self) -> None:
        """Put back what was there before, and forget the tasks and loops of the world."""
        self._install(self._before)
        for module, name in KEPT_BY_TASK:
            kept = getattr(sys.modules.get(module), name, {})
            for key in [key for key in kept if isinstance(key, SimTask | SimLoop)]:
                del kept[key]
        self._states.clear()
        self._owner = None

    def _install(self, state: State) -> None:
        for kept, values in zip(self._kept, state, strict=True):
            kept.clear()
            kept.update(values)

    def _fresh(self) -> State:
        return [
            {} if is_plain else {name: self._unused(value) for name, value in before.items()}
            for is_plain, before in zip(self._plain, self._before, strict=True)
        ]

    def _unused(self, value: Any) -> Any:
        """Return the value as a process finds it that has not used it: no entries, and of a pid that is nobody's."""
        if isinstance(value, dict | list | set):
            return type(value)()
        return 0 if value.__class__ is int and value == self._pid else value

    def __repr__(self) -> str:
        owner = self._owner.name if self._owner is not None else "nobody"
        return f"LibraryState(of {len(self._kept)} things, now {owner}'s)"


def _values_of(thing: Any) -> dict[Any, Any]:
    """Return the dictionary in which a thing keeps its values."""
    values: dict[Any, Any] = thing if isinstance(thing, dict) else vars(thing)
    return values
