"""Scenarios: stories to play in a world, one module per guarantee; each names what it proves and its faults."""

from __future__ import annotations

from chaos.protocols import Scenario
from chaos.scenarios import (
    all_at_once,
    c1_conversions,
    c1_endings,
    c1_kills,
    c1_one_crash,
    c1_restarts,
    c1_shutdown,
    c1_simulated_stops,
    c2_background_tasks,
    c2_failing_tasks,
    c2_silent_tasks,
    c2_truth,
    crash_states,
    h1_disk,
    h1_network,
    h1_retries,
    h1_save_before_send,
    h1_simulated,
    h2_pages,
    h2_resources,
    h2_simulated,
    h3_errors,
    h3_pages,
    h3_simulated,
    h4_configuration,
    h4_live,
    h4_simulated,
    h5_bounded_queue,
    h5_live,
    h5_room,
    h5_simulated,
    h6_at_the_limit,
    h6_hostile,
    h6_ipc,
    h6_simulated,
)

__all__ = ["all_scenarios"]

_MODULES = (
    all_at_once,
    c1_shutdown,
    c1_simulated_stops,
    c1_endings,
    c1_conversions,
    c1_kills,
    c1_one_crash,
    c1_restarts,
    c2_background_tasks,
    c2_failing_tasks,
    c2_silent_tasks,
    c2_truth,
    h1_save_before_send,
    h1_network,
    h1_disk,
    h1_retries,
    h1_simulated,
    h2_pages,
    h2_resources,
    h2_simulated,
    h3_errors,
    h3_pages,
    h3_simulated,
    h4_configuration,
    h4_simulated,
    h4_live,
    h5_bounded_queue,
    h5_live,
    h5_room,
    h5_simulated,
    h6_ipc,
    h6_hostile,
    h6_at_the_limit,
    h6_simulated,
    crash_states,
)


def all_scenarios() -> list[Scenario]:
    """Return every scenario, in the order of the guarantees and of their definition."""
    return [story for module in _MODULES for story in vars(module).values() if isinstance(story, Scenario)]
