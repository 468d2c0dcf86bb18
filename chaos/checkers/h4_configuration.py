"""H4: a bad value is refused with the right words, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding


def bad_values_are_refused(history: History) -> Finding:
    """H4.1: the kind of error that the value deserves, naming the key, what was expected and what was given."""
    looks = [look.value for look in history.observed("config_fuzz")]
    wrong = [words for value in looks for words in value["wrong"]]
    return judged("KeyError, TypeError or ValueError with its words", wrong, of=sum(v["refused"] for v in looks))


def a_refused_value_changes_nothing(history: History) -> Finding:
    """H4.2: after a refusal the configuration is as it was before."""
    looks = [look.value for look in history.observed("config_fuzz")]
    wrong = [words for value in looks for words in value["changed"]]
    return judged("the same configuration after a refusal", wrong, of=sum(v["refused"] for v in looks))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H4.1": (bad_values_are_refused,),
    "H4.2": (a_refused_value_changes_nothing,),
}
