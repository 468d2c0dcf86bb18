"""An event loop of its own in virtual time: for unit tests that only want ``asyncio.sleep(3600)`` to take no time.

It is a simulated process without a world around it: no network, no disk, no guard against escapes. While it runs, the
clocks and threads are simulated; between two runs everything is real again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chaos.seed import Seed
from chaos.sim.clock import Clock
from chaos.sim.kernel import SimKernel
from chaos.sim.seams import Seam
from chaos.sim.threads import Threads


def virtual_loop(
    *, seed: int = 0, policy: str = "fifo", seams: Sequence[Seam] | None = None
) -> asyncio.AbstractEventLoop:
    """Return a new loop for ``asyncio.Runner(loop_factory=virtual_loop)`` and the like."""
    kernel = SimKernel(Seed(seed), policy=policy, seams=[Threads(), Clock()] if seams is None else seams)
    return kernel.new_process("main", _nothing).loop


def _nothing() -> None:
    """Be the main function of a process whose loop is run from outside."""
