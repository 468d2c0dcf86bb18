"""Checkers: what must be true of a history, one module per guarantee. Pure; they never know which fault was at work."""

from __future__ import annotations

from chaos.checkers import (
    c1_conversions,
    c1_endings,
    c1_shutdown,
    c1_simulated_stops,
    c2_background_tasks,
    c2_failing_tasks,
    c2_silent_tasks,
    c2_truth,
    h1_kept,
    h1_save_before_send,
    h1_simulated,
    h1_under_faults,
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
    h5_simulated,
    h6_hostile,
    h6_ipc,
    h6_simulated,
)
from chaos.protocols import Checker

__all__ = ["all_checkers"]

_MODULES = (
    c1_shutdown,
    c1_simulated_stops,
    c1_endings,
    c1_conversions,
    c2_background_tasks,
    c2_failing_tasks,
    c2_silent_tasks,
    c2_truth,
    h1_kept,
    h1_save_before_send,
    h1_simulated,
    h1_under_faults,
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
    h5_simulated,
    h6_ipc,
    h6_hostile,
    h6_simulated,
)


def all_checkers() -> dict[str, tuple[Checker, ...]]:
    """Return the checkers by the id of the property they judge; several modules may judge one property."""
    found: dict[str, tuple[Checker, ...]] = {}
    for module in _MODULES:
        for property_id, checks in module.CHECKERS.items():
            found[property_id] = (*found.get(property_id, ()), *checks)
    return found
