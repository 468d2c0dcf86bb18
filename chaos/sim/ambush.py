"""A crash that lies in wait: it comes within the next operation of a kind, at a step of the subject that is drawn.

* An operation takes no virtual time where nothing is slow: a crash at a time, however drawn, would hardly ever meet a
  submit. So it counts the subject's own steps from the moment at which somebody asks for the operation.
* Where the subject ends before that step, by another fault, it lies in wait for another one.
* Where nobody asks in time, it comes all the same: what is planned happens.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chaos.sim.scheduler import Step

if TYPE_CHECKING:
    from chaos.sim.process import SimProcess
    from chaos.sim.world import SimWorld

STEPS_MAX = 30
"""Some more than the reference service takes for a submit, from the first byte to the last: 21 to 30, mostly 24."""
PATIENCE_S = 60.0


async def crash_within(world: SimWorld, operation: str, *, power_lost: bool) -> None:
    """End the subject within the next ``operation``, or after a minute in which there is none; return then."""
    ambush = Ambush(world, operation, power_lost=power_lost)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ambush.struck.wait()
    except TimeoutError:
        world.crash(power_lost=power_lost)
    finally:
        ambush.cancel()


class Ambush:
    """Lies in wait from the moment at which it is made; ``struck`` is set when the subject has been ended."""

    def __init__(self, world: SimWorld, operation: str, *, power_lost: bool) -> None:
        here = world.stage.kernel.current
        assert here is not None, "who plans a crash is a simulated process"
        self.struck = asyncio.Event()
        self._world, self._operation, self._power_lost, self._here = world, operation, power_lost, here
        self._steps = world.draw.one_of(range(1, STEPS_MAX + 1), stream="plan/inside")
        self._left = 0
        self._victim: SimProcess | None = None
        self._lie_in_wait()

    def cancel(self) -> None:
        """Let the subject go, whatever it does; harmless to repeat."""
        self._take_back()
        self._victim = None

    def _lie_in_wait(self) -> None:
        self._take_back = self._world.history.when_invoked(self._operation, self._begun)

    def _begun(self) -> None:
        self._victim, self._left = self._world.subject_process(), self._steps
        self._watch_the_next_step()

    def _watch_the_next_step(self) -> None:
        kernel = self._world.stage.kernel
        kernel.at_step(kernel.step + 1, self._stepped)

    def _stepped(self, step: Step) -> None:
        if self._victim is None:
            return
        if not self._victim.is_alive:
            self._lie_in_wait()
            return
        self._left -= step.process is self._victim
        if self._left > 0:
            self._watch_the_next_step()
            return
        self._world.crash(power_lost=self._power_lost)
        self._world.stage.kernel.deliver(self._here, self.struck.set)

    def __repr__(self) -> str:
        how = "a loss of power" if self._power_lost else "a kill"
        return f"Ambush({how} {self._steps} steps into a {self._operation}, {self._left} left)"
