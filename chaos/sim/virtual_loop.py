"""An event loop of its own in virtual time: for unit tests that only want ``asyncio.sleep(3600)`` to take no time.

It is a simulated process without a world around it: a network in memory, but no disk and no guard against escapes.
While it runs, clocks, threads and sockets are simulated; between two runs everything is real again.
"""

from __future__ import annotations

import asyncio

from chaos.seed import Seed
from chaos.sim.clock import Clock
from chaos.sim.kernel import SimKernel
from chaos.sim.net import NetworkSeam, SimulatedNetwork
from chaos.sim.threads import Threads


def virtual_loop(*, seed: int = 0, policy: str = "fifo") -> asyncio.AbstractEventLoop:
    """Return a new loop, as for ``asyncio.Runner(loop_factory=virtual_loop)``; close it as any other."""
    kernel = SimKernel(Seed(seed), policy=policy, seams=[Threads(), Clock()])
    kernel.network = network = SimulatedNetwork(kernel)
    kernel.seams.append(NetworkSeam(network))
    return kernel.new_process("main", _nothing).loop


def _nothing() -> None:
    """Be the main function of a process whose loop is run from outside."""
