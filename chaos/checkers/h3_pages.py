"""H3: a failed action is seen as one."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding


def failures_are_seen(history: History) -> Finding:
    """H3.2: what failed, why and what to do is in the page; nothing that did not happen is shown as done."""
    looks = [look.value for look in history.observed("page_actions")]
    wrong = [words for value in looks for words in value["wrong"]]
    return judged("an error in the page for each failed request", wrong, of=sum(value["tried"] for value in looks))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {"H3.2": (failures_are_seen,)}
