"""H3: an error arrives as an error, typed."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding


def errors_arrive_typed(history: History) -> Finding:
    """H3.3: each failing command raised an exception with the code it deserves, a message and its request's id."""
    wrong = []
    looks = history.observed("command_error")
    for value in (look.value for look in looks):
        asked = f"{value['command']} deserving {value['deserves']}"
        if "data" in value:
            wrong.append(f"{asked} gave data: {value['data']}")
        elif value.get("code") != value["deserves"] or not value.get("message"):
            wrong.append(f"{asked} raised {value['type']} with code {value.get('code')!r}")
        elif not value.get("request_id") or not value.get("typed"):
            wrong.append(f"{asked} raised {value['type']} without {'a type' if value.get('request_id') else 'an id'}")
    return judged("a typed exception with code, message and request id", wrong, of=len(looks))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {"H3.3": (errors_arrive_typed,)}
