"""H4.6 in virtual time: a bad file is refused by name within one look, a good one in force within one look."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding


def fuzzed_files_change_nothing(history: History) -> Finding:
    """H4.6: file and key are named, the last good values stay, the file stays as it is; a good file ends it."""
    looks = [look.value for look in history.observed("fuzzed_file")]
    wrong = []
    for look in looks:
        if "config.json" not in look["told"] or look["key"] not in look["told"]:
            wrong.append(f"{look['kind']} ({look['key']}) was told as {look['told']!r}")
        if look["limit"] != look["expected"]:
            wrong.append(f"{look['kind']} ({look['key']}): max_queue_size became {look['limit']}")
        wrong += [] if look["untouched"] else [f"{look['kind']}: the file was written over"]
    for look in (look.value for look in history.observed("mended_file")):
        if look["told"] or look["limit"] != look["expected"]:
            wrong.append(f"a good file: max_queue_size is {look['limit']}, told {look['told']!r}")
    return judged("refused by name, nothing changed", wrong, of=len(looks))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {"H4.6": (fuzzed_files_change_nothing,)}
