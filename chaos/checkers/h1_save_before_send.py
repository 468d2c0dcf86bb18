"""H1: what is accepted is kept until the server has it, and only a proof of receipt counts."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import accepted, delivered, judged, kept, lost, undelivered
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding


def failed_sends_are_retried(history: History) -> Finding:
    """H1.3: kept in pending/ with its attempts while sending fails, and sent on its own later."""
    wrong = lost(history) + undelivered(history)
    looks = history.observed("folders")[:-1]
    for look in looks:
        for report_id, copies in kept(look.value, "pending").items():
            if copies[0]["attempts"] < 1:
                wrong.append(f"report {report_id[:8]} in pending/ has no attempt counted after a failure")
    return judged("kept with its attempts, and sent on its own", wrong, of=len(accepted(history)))


def sent_again_is_one_report(history: History) -> Finding:
    """H1.5: what is delivered more than once has the same id and contents each time, and one effect."""
    there = delivered(history.last("deliveries").value)
    repeated = {i: found for i, found in there.items() if found["deliveries"] > 1}
    wrong = [f"report {i[:8]} had {f['effects']} effects" for i, f in repeated.items() if f["effects"] != 1]
    wrong += [f"the server has report {i[:8]}, which nobody accepted" for i in there if i not in accepted(history)]
    return judged("sent again with the same id, one effect", wrong + undelivered(history), of=len(repeated))


def only_proof_counts(history: History) -> Finding:
    """H1.13: while no answer proved receipt the report was not in sent/ (and is delivered once one does)."""
    look = history.observed("folders")[0]
    wrong = [f"report {i[:8]} counts as sent" for i in kept(look.value, "sent")]
    pending = kept(look.value, "pending")
    wrong += [f"report {i[:8]} is not in pending/" for i in accepted(history) if i not in pending]
    return judged("nothing counts as sent without proof", wrong + undelivered(history), of=len(accepted(history)))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H1.3": (failed_sends_are_retried,),
    "H1.5": (sent_again_is_one_report,),
    "H1.13": (only_proof_counts,),
}
