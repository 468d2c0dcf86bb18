"""H2 in virtual time: what starts and stops leave behind when they fail in the middle, at every step."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from chaos.protocols import SIMULATED, scenario
from chaos.sim.disk.faults import fail
from chaos.sim.world import SimWorld

STEPS = 8
"""Of the service's clean-up; a place beyond the last one fails nothing."""
CYCLES = 30
CALLS = 14
"""A start changes the disk about so often; a fault at a later call does not fire."""
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE)


@scenario(
    proves=["H2.3"],
    faults=["service.start_and_stop"],
    worlds=SIMULATED,
    marks=["one fails", "some fail", "all fail"],
    judged_by=["the_other_steps_run_and_all_is_told"],
)
async def each_step_of_the_stop_fails(world: SimWorld) -> None:
    """Each step of the service's clean-up fails in turn, then some, then all: the others run, every error is told."""

    @contextmanager
    def starting() -> Iterator[None]:
        yield

    some = [tuple(n for n in range(STEPS) if world.draw.chance(0.4, stream="steps")) for _ in range(4)]
    await world.live_again_and_again([*((n,) for n in range(STEPS)), *some, tuple(range(STEPS))], starting)
    for look in world.history.observed("lived"):
        failed, steps = look.value["failed"], look.value["steps"]
        if failed:
            world.mark("one fails" if len(failed) == 1 else "all fail" if len(failed) == len(steps) else "some fail")


@scenario(
    proves=["H2.4"],
    faults=["service.start_and_stop", "disk.fault"],
    worlds=SIMULATED,
    marks=["failed", "started"],
    judged_by=["nothing_is_left_of_any_start"],
)
async def dozens_of_starts_of_which_some_fail(world: SimWorld) -> None:
    """Dozens of starts and stops in one process, many of which meet an error of the disk at a drawn call."""

    @contextmanager
    def starting() -> Iterator[None]:
        number = world.draw.count(1, 2 * CALLS, stream="calls")
        with world.stage.disk.fault(fail(world.draw.one_of(ERRORS, stream="errors")), numbers=(number,)):
            yield

    await world.live_again_and_again([()] * CYCLES, starting)
    for look in world.history.observed("lived"):
        world.mark("failed" if look.value["start_error"] else "started")
