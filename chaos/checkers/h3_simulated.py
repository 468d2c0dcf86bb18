"""H3 in virtual time: failures reach the log, the record and the status, and secrets reach nobody."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged, undelivered
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding

WARNING, CRITICAL = 30, 50


def failures_are_logged_kept_and_retried(history: History) -> Finding:
    """H3.1: the failure is in the log with the report's id, with the record, in the count, and the report arrives."""
    looks = [look.value for look in history.observed("failure")]
    logged = _logged(history, WARNING)
    wrong = []
    for look in looks:
        if not any(look["report_id"] in text for text in logged):
            wrong.append(f"{look['kind']}: no warning names the report")
        if look["attempts"] < 1 or not look["last_error"]:
            wrong.append(f"{look['kind']}: the record tells of {look['attempts']} attempts: {look['last_error']!r}")
        if look["errors"] < 1:
            wrong.append(f"{look['kind']}: the status counts {look['errors']} errors")
    is_whole = bool(history.observed("logged"))
    return judged("logged, kept, counted, delivered", wrong + undelivered(history) if is_whole else [], of=len(looks))


def both_causes_are_told(history: History) -> Finding:
    """H3.4: CRITICAL in the log and shown in the status, each with both causes; the report arrives all the same."""
    looks = [look.value for look in history.observed("critical")]
    critical = _logged(history, CRITICAL)
    wrong = []
    for look in looks:
        sending = "the server has it" if look["was_sent"] else "sending failed"
        for place, texts in (("the log", critical), ("the status", look["reasons"])):
            said = [text for text in texts if look["report_id"] in text]
            if not any(sending in text and "could not be saved (" in text and " ()" not in text for text in said):
                wrong.append(f"{place} says {said}")
    is_whole = bool(history.observed("logged"))
    return judged("CRITICAL with both causes", wrong + undelivered(history) if is_whole else [], of=len(looks))


def no_secret_is_told(history: History) -> Finding:
    """H3.5: no text that anybody can read has a secret in it."""
    looks = [look.value for look in history.observed("texts")]
    health = [str(look.value["text"]) for look in history.observed("health")]
    wrong = [
        f"{secret} is told in {text[max(0, text.index(secret) - 60) : text.index(secret) + 20]!r}"
        for look in looks
        for secret in look["secrets"]
        for text in (*look["told"], look["log"], *health)
        if secret in text
    ]
    return judged("no secret in any text", wrong, of=sum(len(look["told"]) for look in looks))


def _logged(history: History, level: int) -> list[str]:
    records = [record for look in history.observed("logged") for record in look.value["records"]]
    return [record["text"] for record in records if record["level"] >= level]


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H3.1": (failures_are_logged_kept_and_retried,),
    "H3.4": (both_causes_are_told,),
    "H3.5": (no_secret_is_told,),
}
