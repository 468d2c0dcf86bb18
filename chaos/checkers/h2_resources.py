"""H2: nothing of the service is left once it has stopped."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding


def nothing_is_left(history: History) -> Finding:
    """H2.4: after many starts and stops there is no task, thread, descriptor, socket or file more than before."""
    looks = history.observed("leaks")
    wrong = [f"left behind: {leak}" for look in looks for leak in look.value["leaks"]]
    return judged("nothing left behind", wrong, of=sum(look.value["cycles"] for look in looks))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {"H2.4": (nothing_is_left,)}
