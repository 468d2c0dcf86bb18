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


def each_leak_is_named(history: History) -> Finding:
    """H2.6: every planted leak was named with the place that made it, and a clean block was not blamed."""
    wrong = []
    looks = [look.value for look in history.observed("leak_probe")]
    for look in looks:
        wrong += [f"a clean block was blamed: {look['clean']}"] if look["clean"] else []
        for kind, words in look["said"].items():
            if not words:
                wrong.append(f"the planted {kind} was not named")
            elif "leak_probe.py" not in words and kind != "memory":
                wrong.append(f"the {kind} was named without its place: {words}")
    return judged("each leak named, with its place", wrong, of=sum(len(look["said"]) for look in looks))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {"H2.4": (nothing_is_left,), "H2.6": (each_leak_is_named,)}
