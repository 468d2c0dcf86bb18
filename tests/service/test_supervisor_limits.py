"""Facts about the numbers of supervision, and about the thread that tells of a blocked loop (C2.7, C2.8)."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_reliability.supervisor import SupervisionLimits, Supervisor


@pytest.mark.proves("C2.7")
@given(st.integers(min_value=1, max_value=10**6))
def test_c2_7_the_backoff_never_shrinks_and_never_exceeds_its_cap(failures: int) -> None:
    limits = SupervisionLimits()
    assert 1 <= limits.restart_delay_s(failures) <= limits.restart_delay_s(failures + 1) <= 60


@pytest.mark.proves("C2.7")
@given(st.lists(st.floats(min_value=0, max_value=2000), max_size=12), st.integers(min_value=0, max_value=5))
def test_c2_7_no_window_ever_holds_more_restarts_than_the_limit(times: list[float], limit: int) -> None:
    """Whatever the times of the failures, the restarts that are allowed keep the limit in every window."""
    limits = SupervisionLimits(restart_limit=limit, restart_window_s=300)
    made: list[float] = []
    for due in sorted(times):
        if limits.may_restart(made, due):
            made.append(due)
    assert all(sum(begin <= when < begin + 300 for when in made) <= limit for begin in made)


def test_a_rhythm_of_looks_that_could_miss_a_block_is_refused() -> None:
    with pytest.raises(AssertionError, match="looked at more often"):
        SupervisionLimits(loop_blocked_s=1, loop_check_s=1)


class Reported(logging.Handler):
    """Sets an event when the thread reports; the blocked loop waits for just that, with a deadline."""

    def __init__(self) -> None:
        super().__init__()
        self.event, self.text = threading.Event(), ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName == "blocked loop reporter":
            self.text = record.getMessage()
            self.event.set()


def block_here(reported: Reported) -> bool:
    return reported.event.wait(10)


@pytest.mark.proves("C2.8")
@pytest.mark.asyncio
async def test_c2_8_a_thread_tells_of_a_blocked_loop_while_it_lasts_and_where() -> None:
    reported = Reported()
    logging.getLogger().addHandler(reported)
    supervisor = Supervisor(SupervisionLimits(loop_blocked_s=0.02, loop_check_s=0.01), blocked_loop_thread=True)
    supervisor.start()
    try:
        await asyncio.sleep(0)
        assert block_here(reported)
        assert "block_here" in reported.text
    finally:
        await supervisor.cancel_all(5)
        logging.getLogger().removeHandler(reported)
    assert "blocked loop reporter" not in [thread.name for thread in threading.enumerate()]
