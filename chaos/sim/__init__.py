"""The simulated world: processes, network, disk and clock in virtual time, from one seed.

``simulate(main, seeds=1000)`` runs any asyncio program; ``SimKernel`` is the world to build on.
"""

from chaos.sim.choices import Script, SeededChoices
from chaos.sim.clock import Clock, WallClock
from chaos.sim.kernel import SimKernel
from chaos.sim.process import SimProcess
from chaos.sim.simulate import Ran, Setting, SimulationFailedError, open_kernel, open_machine, run_seed, simulate
from chaos.sim.verdicts import (
    DeadlockError,
    EscapeError,
    LivelockError,
    NotSimulatedError,
    OvertimeError,
    SimulationError,
)

__all__ = [
    "Clock",
    "DeadlockError",
    "EscapeError",
    "LivelockError",
    "NotSimulatedError",
    "OvertimeError",
    "Ran",
    "Script",
    "SeededChoices",
    "Setting",
    "SimKernel",
    "SimProcess",
    "SimulationError",
    "SimulationFailedError",
    "WallClock",
    "open_kernel",
    "open_machine",
    "run_seed",
    "simulate",
]
