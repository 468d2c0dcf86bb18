"""The seam to what libraries keep for the whole interpreter: each world begins with none of it.

``filelock`` remembers the process it was used in last, with locks made there, and takes another for a forked child.
What one world left would let the next begin otherwise than the first of a worker does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from chaos.sim.seams import PatchingSeam

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel

FRESH = {"filelock._api": ("_FORK_STATE", "_OWNED_DESCRIPTORS")}
"""Globals of modules, each of a class that is made without arguments; versions without them need nothing."""


class LibraryState(PatchingSeam):
    """Replaces each of ``FRESH`` by a new one while its world is entered."""

    def patch(self, kernel: SimKernel) -> None:  # noqa: ARG002 - as the seam asks
        """Replace them, in the modules that are loaded."""
        for module_name, names in FRESH.items():
            module: Any = sys.modules.get(module_name)
            for name in names:
                if hasattr(module, name):
                    self.patches.set(module, name, type(getattr(module, name))())
