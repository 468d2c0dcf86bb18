"""The seam to imports: a module that a process is the first to load is loaded as if it had been there before.

* Its code runs outside: it makes real locks and binds the real functions by ``from x import y``. Made inside, they
  would be those of this one world, and all later worlds in the same interpreter would find them: no two were alike.
* Nobody else has a turn meanwhile, whatever the module does; the interpreter's own import locks are real ones.
* What it has bound is then served as that of any module (``PatchingSeam.bind``), until the world is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import _bootstrap
from typing import TYPE_CHECKING, Any

from chaos.sim.seams import PatchingSeam

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel


class Imports(PatchingSeam):
    """Takes the place of what the interpreter calls for a module that is not there yet."""

    def patch(self, kernel: SimKernel) -> None:
        """Replace it."""

        def outside(real: Callable[..., Any]) -> Callable[..., Any]:
            def find_and_load(*arguments: Any) -> Any:
                if not kernel.is_inside():
                    return real(*arguments)
                with _lifted([seam for seam in kernel.seams if isinstance(seam, PatchingSeam)]):
                    return real(*arguments)

            return find_and_load

        self.patches.wrap(_bootstrap, "_find_and_load", outside)

    def __repr__(self) -> str:
        return "Imports()"


@contextmanager
def _lifted(seams: list[PatchingSeam]) -> Iterator[None]:
    """Let the real calls be in their places; then serve what was bound meanwhile."""
    try:
        with ExitStack() as lifted:
            for seam in reversed(seams):
                lifted.enter_context(seam.patches.lifted())
            yield
    finally:
        for seam in seams:
            seam.bind()
