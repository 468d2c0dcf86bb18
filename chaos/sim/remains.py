"""What is left of a run when nobody looks at it any more: many objects that hold each other, collected at once.

A world is full of cycles. Collected while it can still be looked at, all of it survives, grows old, and is dear to
collect later; collected when the last reference is gone, it never gets old.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collected_afterwards() -> Iterator[None]:
    """Let no garbage be collected inside the block, and collect what is young when it is left.

    To be put around the call that makes, plays and drops a world. In blocks within a block it is the outermost that
    collects.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        with warnings.catch_warnings(action="ignore"):  # Of what the dead did not await or close.
            gc.collect(0)  # Finalizers of what was left in the middle run, and bring parts of their world back once;
            gc.collect(1)  # by now those are dead, too.
        gc.enable()
