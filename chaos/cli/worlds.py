"""The worlds that this installation can open, and how runs are played in each."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.explore import CrashPlayer, Pool, Search, SimulationPlayer, another_pool
from chaos.explore.pool import CAN_GIVE_WAY
from chaos.live.world import open_live_world
from chaos.outcome import RunResult
from chaos.protocols import OpenWorld, Subject, WorldKind
from chaos.runner import Player


@dataclass(frozen=True, slots=True)
class Worlds:
    """What a runner needs of the worlds: those with one story at a time, and those with players of their own."""

    opened: Mapping[WorldKind, OpenWorld]
    players: Mapping[WorldKind, Player] = field(default_factory=dict)
    pool: Pool | None = None
    other: Pool | None = None
    simulation: SimulationPlayer | None = None

    @property
    def kinds(self) -> frozenset[WorldKind]:
        """Return the worlds that runs can be played in."""
        return frozenset(self.opened) | frozenset(self.players)

    @property
    def players_give_way(self) -> bool:
        """Return whether the players leave the cores to whatever measures real time."""
        return self.pool is not None and self.pool.gives_way and CAN_GIVE_WAY

    def close(self) -> None:
        """End the processes that the players use; harmless to repeat."""
        for pool in (self.pool, self.other):
            if pool is not None:
                pool.close()

    @property
    def cut_short(self) -> Sequence[RunResult]:
        """Return what there is of the runs that were in the middle when the campaign was interrupted."""
        return self.simulation.cut_short if self.simulation is not None else ()


def worlds_for(subject: Subject, seeds: int, *, repeat_share: float = 0.0) -> Worlds:
    """Return the worlds for a subject; a simulated run plays ``seeds`` seeds, on every core. Close them in the end.

    ``repeat_share``: of so many of the simulated runs (0 to 1) it is made sure that they are the same elsewhere.
    """
    pool = Pool(os.cpu_count() or 1, gives_way=True)
    other = another_pool(1, gives_way=True) if repeat_share else None
    search = Search(seeds, repeat_share=repeat_share)
    simulation = SimulationPlayer(pool, subject.name, search, other=other)
    players: dict[WorldKind, Player] = {
        WorldKind.SIMULATION: simulation,
        WorldKind.CRASH: CrashPlayer(pool, subject.name),
    }
    opened = {WorldKind.LIVE: functools.partial(open_live_world, subject)}
    return Worlds(opened, players, pool, other, simulation)
