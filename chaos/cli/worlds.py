"""The worlds that this installation can open, and how runs are played in each."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.explore import CrashPlayer, Pool, Search, SimulationPlayer
from chaos.explore.pool import CAN_GIVE_WAY
from chaos.live.world import open_live_world
from chaos.protocols import OpenWorld, Subject, WorldKind
from chaos.runner import Player


@dataclass(frozen=True, slots=True)
class Worlds:
    """What a runner needs of the worlds: those with one story at a time, and those with players of their own."""

    opened: Mapping[WorldKind, OpenWorld]
    players: Mapping[WorldKind, Player] = field(default_factory=dict)
    pool: Pool | None = None

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
        if self.pool is not None:
            self.pool.close()


def worlds_for(subject: Subject, seeds: int) -> Worlds:
    """Return the worlds for a subject; a simulated run plays ``seeds`` seeds, on every core. Close them in the end."""
    pool = Pool(os.cpu_count() or 1, gives_way=True)
    players: dict[WorldKind, Player] = {
        WorldKind.SIMULATION: SimulationPlayer(pool, subject.name, Search(seeds)),
        WorldKind.CRASH: CrashPlayer(pool, subject.name),
    }
    return Worlds({WorldKind.LIVE: functools.partial(open_live_world, subject)}, players, pool)
