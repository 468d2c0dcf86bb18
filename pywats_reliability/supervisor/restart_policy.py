"""When a background task that failed may start again: numbers in, numbers out, no clock (C2.7).

* Backoff: ``backoff_base_s`` after the first failure, doubling with each further one in a row, up to ``backoff_cap_s``.
* Circuit: a restart that would be one more than ``restart_limit`` within ``restart_window_s`` is not made.
* A restart *holds* when the task has beaten at least once and has lived for ``restart_hold_s``: only then is it well
  again, and the backoff begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SupervisionLimits:
    """The limits of supervision, in seconds where the name says so.

    A task without a heartbeat for ``stalled_after_intervals`` of its own intervals is stalled. The loop is looked at
    every ``loop_check_s``; since a block may begin anywhere between two looks, every block longer than
    ``loop_blocked_s`` is reported, and none shorter than ``loop_blocked_s - loop_check_s`` is.
    """

    restart_limit: int = 3
    restart_window_s: float = 300.0
    restart_hold_s: float = 10.0
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 60.0
    monitor_interval_s: float = 30.0
    stalled_after_intervals: float = 3.0
    loop_blocked_s: float = 1.0
    loop_check_s: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a rhythm of looks that could not tell a blocked loop from a free one."""
        assert 0 < self.loop_check_s < self.loop_blocked_s, "the loop must be looked at more often than it may block"

    def restart_delay_s(self, failures_in_a_row: int) -> float:
        """Return how long to wait before the restart that answers this failure (1 is the first)."""
        doublings = min(failures_in_a_row - 1, 60)  # Beyond that a float only grows, and the cap holds anyway.
        return min(self.backoff_cap_s, self.backoff_base_s * 2.0**doublings)

    def may_restart(self, restarted_at: Iterable[float], due: float) -> bool:
        """Return whether one more restart, at ``due``, stays within the limit of the window that ends with it."""
        return sum(due - when < self.restart_window_s for when in restarted_at) < self.restart_limit
