"""H4.6: a bad file is refused by name, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding


def a_bad_file_changes_nothing(history: History) -> Finding:
    """H4.6: the refusal names the file (and the key), the last good values stay in force, the file stays as it is."""
    if not history.observed("bad_file"):
        return judged("refused by name, nothing changed", [], of=0)
    in_force = history.observed("settings")[0].value["max_queue_size"]
    wrong = []
    looks = [look.value for look in history.observed("bad_file")]
    for look in looks:
        wrong += [] if "config.json" in look["told"] else [f"{look['kind']}: told as {look['told']!r}"]
        if look["kind"] == "wrong type" and "max_queue_size" not in look["told"]:
            wrong.append(f"the key is not named: {look['told']!r}")
        if look["max_queue_size"] != in_force:
            wrong.append(f"{look['kind']}: max_queue_size became {look['max_queue_size']}")
        wrong += [] if look["untouched"] else [f"{look['kind']}: the file was written over"]
    wrong += [f"still refused: {g.value['told']}" for g in history.observed("good_file") if g.value["told"]]
    return judged("refused by name, nothing changed", wrong, of=len(looks) * len(history.observed("good_file")))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {"H4.6": (a_bad_file_changes_nothing,)}
