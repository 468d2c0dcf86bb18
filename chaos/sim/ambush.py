"""What lies in wait for the subject: it strikes within the next operation of a kind, at a moment that is drawn.

* An operation takes no virtual time where nothing is slow: a crash at a time, however drawn, would hardly ever meet a
  submit. So moments are counted, from the one at which somebody asks for the operation: each step of the subject, and
  each of its calls to the disk.
* Where the subject ends before that, by something else, it lies in wait for another operation.
* Where nobody asks in time, a crash comes all the same: what is planned happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.sim.scheduler import Step

if TYPE_CHECKING:
    from chaos.sim.process import SimProcess
    from chaos.sim.world import SimWorld

MOMENTS_MAX = 40
"""Some more than the reference service takes for a submit, from the first byte to the last: 30 to 45, mostly 35."""
PATIENCE_S = 60.0


async def crash_within(world: SimWorld, operation: str, *, power_lost: bool) -> None:
    """End the subject within the next ``operation``, or after a minute in which there is none; return then."""
    moments = world.draw.one_of(range(1, MOMENTS_MAX + 1), stream="plan/inside")
    ambush = Ambush(world, operation, moments, lambda: world.crash(power_lost=power_lost))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ambush.struck.wait()
    except TimeoutError:
        world.crash(power_lost=power_lost)
    finally:
        ambush.cancel()


class Ambush:
    """Lies in wait from the moment at which it is made; ``strike`` is called once, and ``struck`` is set then."""

    def __init__(self, world: SimWorld, operation: str, moments: int, strike: Callable[[], object]) -> None:
        here = world.stage.kernel.current
        assert here is not None, "who lies in wait is a simulated process"
        self.struck = asyncio.Event()
        self._world, self._operation, self._moments, self._strike = world, operation, moments, strike
        self._here, self._left = here, 0
        self._victim: SimProcess | None = None
        self._before = world.stage.kernel.before_pause
        world.stage.kernel.before_pause = self._called
        self._lie_in_wait()

    def cancel(self) -> None:
        """Let the subject go, whatever it does; harmless to repeat."""
        self._take_back()
        self._victim = None

    def _lie_in_wait(self) -> None:
        self._victim = None
        self._take_back = self._world.history.when_invoked(self._operation, self._begun)

    def _begun(self) -> None:
        self._victim, self._left = self._world.subject_process(), self._moments
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
        if step.process is self._victim:
            self._count()
        if self._victim is not None:
            self._watch_the_next_step()

    def _called(self, process: SimProcess, what: str) -> None:
        if self._before is not None:
            self._before(process, what)
        if process is self._victim and process.is_alive:
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._victim = None
            self._world.stage.kernel.deliver(self._here, self.struck.set)
            self._strike()  # The last line: what ends the subject from within a call of its own never returns.

    def __repr__(self) -> str:
        return f"Ambush({self._moments} moments into a {self._operation}, {self._left} left)"
