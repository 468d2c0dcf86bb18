"""The worlds that this installation can open, and how runs are played in each."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.live.world import open_live_world
from chaos.protocols import OpenWorld, Subject, WorldKind
from chaos.runner import Player


@dataclass(frozen=True, slots=True)
class Worlds:
    """What a runner needs of the worlds: those with one story at a time, and those with players of their own."""

    opened: Mapping[WorldKind, OpenWorld]
    players: Mapping[WorldKind, Player] = field(default_factory=dict)

    @property
    def kinds(self) -> frozenset[WorldKind]:
        """Return the worlds that runs can be played in."""
        return frozenset(self.opened) | frozenset(self.players)


def worlds_for(subject: Subject) -> Worlds:
    """Return the worlds for a subject."""
    return Worlds({WorldKind.LIVE: functools.partial(open_live_world, subject)})
