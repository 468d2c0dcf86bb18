"""What the determinism check runs of the whole service: one seed of a scenario, its digest and its steps."""

from __future__ import annotations

from chaos.explore.worker import play_trial
from chaos.trial import Trial

STORIES = ("C1.6/all_at_once", "C1.6/one_report_and_a_crash", "H6.6/fuzzed_streams", "H3.3/commands_that_fail")


def story_and_steps(seed: int) -> tuple[int, list[str]]:
    """Play the seed's scenario, each in turn, with the rest of the seed."""
    number, which = divmod(seed, len(STORIES))
    played = play_trial(Trial(STORIES[which], number), keeps_trace=True)
    return played.digest, played.result.trace.splitlines()
