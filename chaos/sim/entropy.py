"""The seam to randomness: every source of it inside the simulation is drawn from the seed.

* ``os.urandom`` and what is made of it (``secrets``, ``uuid4``, ``SystemRandom``), the shared ``random`` functions,
  ``random.Random()`` without a seed, the names of temporary files.
* Each process draws from a stream of its own, so that one process's appetite does not shift another's numbers.
* The garbage collector stands still meanwhile: when a cycle dies would be an accident of what ran before.
"""

from __future__ import annotations

import gc
import os
import random
import tempfile
import uuid
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from chaos.sim.seams import PatchingSeam

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel

SHARED_FUNCTIONS = tuple(
    name
    for name in vars(random)
    if getattr(getattr(random, name), "__self__", None) is getattr(random, "_inst", None) and not name.startswith("_")
)


class Entropy(PatchingSeam):
    """Draws what would be random from the seed of the world."""

    def enter(self, kernel: SimKernel) -> None:
        """Come into force, and stop the garbage collector."""
        self._kernel = kernel
        self._sources: dict[str, Random] = {}
        self._collected = gc.isenabled()
        gc.disable()
        super().enter(kernel)

    def leave(self) -> None:
        """Put everything back."""
        super().leave()
        if self._collected:
            gc.enable()

    def _source(self, kind: str) -> Random:
        process = self._kernel.current
        name = f"entropy/{process.name if process is not None else ''}/{kind}"
        if name not in self._sources:
            self._sources[name] = self._kernel.seed.stream(name)
        return self._sources[name]

    def patch(self, kernel: SimKernel) -> None:
        """Replace the sources of randomness."""
        self._patch_system(kernel)
        self._patch_shared(kernel)
        self._patch_unseeded(kernel)
        inside_names = _TemporaryNames(self._source)
        self.patches.wrap(
            tempfile,
            "_get_candidate_names",
            lambda real: lambda: inside_names if kernel.is_inside() else real(),
        )

    def _patch_system(self, kernel: SimKernel) -> None:
        def from_seed(real: Callable[[int], bytes]) -> Callable[[int], bytes]:
            return lambda size: self._source("system").randbytes(size) if kernel.is_inside() else real(size)

        self.patches.wrap(os, "urandom", from_seed)
        self.patches.wrap(random, "_urandom", from_seed)
        self.patches.wrap(uuid, "getnode", lambda real: lambda: NODE if kernel.is_inside() else real())

    def _patch_shared(self, kernel: SimKernel) -> None:
        def from_seed(name: str) -> Callable[[Any], Any]:
            def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
                def shared(*args: Any, **kwargs: Any) -> Any:
                    if kernel.is_inside():
                        return getattr(self._source("shared"), name)(*args, **kwargs)
                    return real(*args, **kwargs)

                return shared

            return wrapped

        for name in SHARED_FUNCTIONS:
            self.patches.wrap(random, name, from_seed(name))

    def _patch_unseeded(self, kernel: SimKernel) -> None:
        source = self._source

        def seeded(real: Callable[..., None]) -> Callable[..., None]:
            def seed(generator: Random, a: Any = None, version: int = 2) -> None:
                if a is None and kernel.is_inside() and not isinstance(generator, random.SystemRandom):
                    a = source("unseeded").getrandbits(64)
                real(generator, a, version)

            return seed

        self.patches.wrap(Random, "seed", seeded)
        self.patches.set(Random, "__init__", _seeding_init)


NODE = 0x02_00_00_00_00_01  # A locally administered address; what uuid1 tells of the machine.


def _seeding_init(generator: Random, x: Any = None) -> None:
    """Do what ``Random.__init__`` does; through ``seed``, which is replaced above."""
    generator.seed(x)
    generator.gauss_next = None  # type: ignore[attr-defined] # An attribute of the module's own.


class _TemporaryNames:
    """The names that ``tempfile`` tries, from the seed."""

    def __init__(self, source: Callable[[str], Random]) -> None:
        self._source = source

    def __iter__(self) -> _TemporaryNames:
        return self

    def __next__(self) -> str:
        return "".join(self._source("temporary names").choices("abcdefghijklmnopqrstuvwxyz0123456789_", k=8))
