"""H2: what the configurator's pages and window let go of."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding


def _judged(history: History, look: str, count: str, expected: str) -> Finding:
    looks = [seen.value for seen in history.observed(look)]
    wrong = [words for value in looks for words in value["wrong"]]
    return judged(expected, wrong, of=sum(value[count] for value in looks))


def pages_let_go_of_everything(history: History) -> Finding:
    """H2.1: a page that was cleaned up or closed, at whatever instant, holds nothing any more."""
    return _judged(history, "pages_closed", "closings", "nothing held by a closed page")


def nothing_grows(history: History) -> Finding:
    """H2.2: after a hundred times open and closed there is not one thing more than before."""
    return _judged(history, "pages_cycled", "cycles", "not one thing more than before")


def every_step_runs_and_is_told(history: History) -> Finding:
    """H2.3: the steps beside a failing one run, and every failure is reported, under its step's name."""
    return _judged(history, "cleanups_failed", "planted", "every other step run, every failure told")


def the_window_ends_everything(history: History) -> Finding:
    """H2.5: a closed window is gone at once, asks nothing, and leaves nothing running."""
    return _judged(history, "window_closed", "closings", "nothing left running by a closed window")


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H2.1": (pages_let_go_of_everything,),
    "H2.2": (nothing_grows,),
    "H2.3": (every_step_runs_and_is_told,),
    "H2.5": (the_window_ends_everything,),
}
