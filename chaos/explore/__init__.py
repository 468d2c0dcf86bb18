"""Campaigns in simulated time: many seeds of one scenario, in several processes; what fails is shrunk and kept."""

from __future__ import annotations

from chaos.explore.chase import Terms, worlds_of
from chaos.explore.crash_player import CrashPlayer
from chaos.explore.hunt import Caught, Hunt
from chaos.explore.order import Order, Tally
from chaos.explore.player import Search, SimulationPlayer
from chaos.explore.pool import Pool
from chaos.explore.repeat import Repeater, another_pool
from chaos.explore.sweeper import Sweeper, Swept

__all__ = [
    "Caught", "CrashPlayer", "Hunt", "Order", "Pool", "Repeater", "Search", "SimulationPlayer", "Sweeper", "Swept",
    "Tally", "Terms", "another_pool", "worlds_of",
]  # fmt: skip
