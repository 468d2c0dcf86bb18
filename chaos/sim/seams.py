"""Where the simulation takes the place of the real calls, for as long as a world is entered.

* A *seam* replaces real functions when its world is entered, and puts them back in reverse order when it is left.
* Nothing is replaced for good, and nothing while no world is entered.
* A replacement acts only for code of a simulated process (``kernel.is_inside()``); for everybody else, other threads
  of the operating system included, it calls what it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel


class Seam(Protocol):
    """Something that is in force between ``enter`` and ``leave``; entered again for the next drive of the world."""

    def enter(self, kernel: SimKernel) -> None:
        """Come into force."""
        ...

    def leave(self) -> None:
        """Undo all of it; called in any case, in reverse order of entering."""
        ...


class Patches:
    """Attributes that are replaced now and put back by ``undo``, the last one first."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> Any:
        """Replace an attribute that ``owner`` has, and return what it was."""
        before = getattr(owner, name)
        self._before.append((owner, name, before))
        setattr(owner, name, value)
        return before

    def wrap(self, owner: Any, name: str, wrapped: Callable[[Any], Any]) -> None:
        """Replace a function by what ``wrapped`` makes of it."""
        self.set(owner, name, wrapped(getattr(owner, name)))

    def undo(self) -> None:
        """Put everything back."""
        while self._before:
            owner, name, value = self._before.pop()
            setattr(owner, name, value)

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Put everything back for a while."""
        served = [(owner, name, _attribute(owner, name)) for owner, name, _ in self._before]
        for owner, name, value in reversed(self._before):
            setattr(owner, name, value)
        try:
            yield
        finally:
            for owner, name, value in served:
                setattr(owner, name, value)


def _attribute(owner: Any, name: str) -> Any:
    """Return an attribute as it was set: of a class, not what reading it makes of it."""
    values = vars(owner)
    return values[name] if name in values else getattr(owner, name)


class PatchingSeam:
    """A seam that consists of replaced attributes: a subclass replaces them in ``patch``."""

    def __init__(self) -> None:
        self.patches = Patches()

    def enter(self, kernel: SimKernel) -> None:
        """Replace the attributes; what failed half-way is undone."""
        with ExitStack() as on_failure:
            on_failure.callback(self.patches.undo)
            self.patch(kernel)
            on_failure.pop_all()

    def patch(self, kernel: SimKernel) -> None:
        """Replace attributes through ``self.patches``."""
        raise NotImplementedError

    def bind(self) -> None:
        """Replace what modules have bound by name, too; called again when a module was loaded meanwhile."""

    def leave(self) -> None:
        """Put everything back."""
        self.patches.undo()
