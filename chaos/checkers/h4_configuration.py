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


def _tried(history: History, what: str, expected: str) -> Finding:
    looks = [look.value for look in history.observed("configurations")]
    wrong = [words for value in looks for words in value[f"wrong_{what}"]]
    return judged(expected, wrong, of=sum(value[what] for value in looks))


def every_way_has_the_same_rules(history: History) -> Finding:
    """H4.3: the same answer by each way in."""
    return _tried(history, "ways", "one answer to one value, by whatever way it comes")


def rules_across_settings_hold(history: History) -> Finding:
    """H4.4: the order within an update decides nothing, and what is kept obeys the rules across settings."""
    return _tried(history, "orders", "the same result in every order, and never an invalid configuration")


def what_is_saved_loads_equal(history: History) -> Finding:
    """H4.5: equal after a save and a load; keys of a newer version are kept."""
    return _tried(history, "round_trips", "an equal configuration after saving and loading")


def it_stays_a_mapping(history: History) -> Finding:
    """H4.7: the dictionary interface agrees with itself."""
    return _tried(history, "mapping", "the mapping that users know")


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H4.1": (bad_values_are_refused,),
    "H4.2": (a_refused_value_changes_nothing,),
    "H4.3": (every_way_has_the_same_rules,),
    "H4.4": (rules_across_settings_hold,),
    "H4.5": (what_is_saved_loads_equal,),
    "H4.7": (it_stays_a_mapping,),
}
