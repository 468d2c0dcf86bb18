"""The seam to imports: a module that a process is the first to load is loaded as if it had been there before.

* Its code runs outside: it makes real locks and binds the real functions by ``from x import y``. Made inside, they
  would be those of this one world, and all later worlds in the same interpreter would find them: no two were alike.
* Nobody else has a turn meanwhile, whatever the module does; the interpreter's own import locks are real ones.
* What it has bound is then served as that of any module (``PatchingSeam.bind``), until the world is left.
* A module that is not installed is looked for once: libraries ask for an optional one each time that they would use
  it (httpcore for ``sniffio``, some fifty times in a run), and no simulated program can install it. It is looked for
  again when where modules come from has changed, or a folder of it since the last world.
"""

from __future__ import annotations

import os
import sys
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
        _not_installed.begin()

        def outside(real: Callable[..., Any]) -> Callable[..., Any]:
            def find_and_load(name: str, *arguments: Any) -> Any:
                if not kernel.is_inside() or name in sys.modules:  # There it is None: a refusal, nothing is loaded.
                    return real(name, *arguments)
                if _not_installed.holds(name):
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
                with _lifted([seam for seam in kernel.seams if isinstance(seam, PatchingSeam)]):
                    try:
                        return real(name, *arguments)
                    except ModuleNotFoundError as error:
                        _not_installed.note(error, name)
                        raise

            return find_and_load

        self.patches.wrap(_bootstrap, "_find_and_load", outside)

    def __repr__(self) -> str:
        return "Imports()"


class _NotInstalled:
    """Names of modules that are not there, for as long as the places to look in are as they were."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._places: object = None
        self._folders: object = None

    def begin(self) -> None:
        """Forget all if a place to look in has changed."""
        places, folders = _places(), [_changed_at(path) for path in sys.path]
        if places != self._places or folders != self._folders:
            self._names.clear()
            self._places, self._folders = places, folders

    def holds(self, name: str) -> bool:
        """Whether ``name`` was looked for in the places of now."""
        return name in self._names and self._places == _places()

    def note(self, error: ModuleNotFoundError, name: str) -> None:
        """Remember ``name`` if the error says that it is not there; of parts of packages nothing is remembered."""
        if error.name == name and "." not in name and self._places == _places():
            self._names.add(name)

    def __repr__(self) -> str:
        return f"_NotInstalled({', '.join(sorted(self._names))})"


_not_installed = _NotInstalled()


def _places() -> object:
    return sys.path[:], sys.meta_path[:], sys.path_hooks[:]


def _changed_at(path: str) -> int:
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0


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
