"""What a worker plays: nothing of one run reaches the next."""

from __future__ import annotations

import gc

from chaos.explore.worker import play_trial
from chaos.sim import SimKernel
from chaos.trial import Trial


def test_a_trial_is_the_same_whatever_was_played_before_and_wherever_its_objects_lie() -> None:
    """Seed 19 cancels scopes within scopes, and its service locks a folder."""
    trial, elsewhere = Trial("C1.6/all_at_once", 19), []
    digests = set()
    for number in range(5):
        digests.add(play_trial(trial).digest)
        elsewhere.append([object() for _ in range(777 * number)])
    assert len(digests) == 1


def test_who_keeps_a_result_keeps_no_world() -> None:
    gc.collect()
    before = sum(isinstance(thing, SimKernel) for thing in gc.get_objects())
    played = play_trial(Trial("C1.6/all_at_once", 3))
    assert played.result.history.events
    assert sum(isinstance(thing, SimKernel) for thing in gc.get_objects()) == before
