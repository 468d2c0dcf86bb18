"""Words that checkers share: a judgement from a list of what is wrong, and what a history says of reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.history import History, Kind
from chaos.verdict import Finding, Verdict

KEPT = ("pending", "sent")


def judged(expected: str, wrong: Sequence[str], *, of: int, nothing: str = "nothing to judge") -> Finding:
    """Return held when ``of`` things were judged and none is wrong; broken with the first ones; else not exercised."""
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        return Finding("", Verdict.BROKEN, expected, "; ".join(wrong[:3]) + more)
    if of == 0:
        return Finding("", Verdict.NOT_EXERCISED, expected, nothing)
    return Finding("", Verdict.HELD, expected, f"so in all of {of}")


def accepted(history: History) -> dict[str, str]:
    """Return the accepted reports: the content's SHA-256 by id."""
    done = [op.value for op in history.operations("submit") if op.outcome is Kind.OK]
    return {value["report_id"]: value["sha256"] for value in done}


def offered(history: History) -> set[str]:
    """Return the ids of all reports that were offered, whatever became of them."""
    return {op.start.value["report_id"] for op in history.operations("submit")}


def delivered(observation: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what the server has, by report id: ``deliveries``, ``effects``, ``sha256``."""
    found: dict[str, Mapping[str, Any]] = observation["reports"]
    return found


def kept(observation: Mapping[str, Any], *folders: str) -> dict[str, list[Mapping[str, Any]]]:
    """Return the reports found in the subject's folders, by id: ``folder``, ``sha256``, ``attempts`` of each copy."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for copy in observation["reports"]:
        if not folders or copy["folder"] in folders:
            found.setdefault(copy["report_id"], []).append(copy)
    return found


def lost(history: History) -> list[str]:
    """Return, for every look at disk and server, the accepted reports found on neither, in words."""
    wrong = []
    for folders, server in zip(history.observed("folders"), history.observed("deliveries"), strict=True):
        here, there = kept(folders.value, *KEPT), delivered(server.value)
        for report_id, sha256 in _accepted_before(history, folders.index).items():
            copies = [copy["sha256"] for copy in here.get(report_id, [])]
            copies += [there[report_id]["sha256"]] if report_id in there else []
            if sha256 not in copies:
                found = "with other contents" if copies else "nowhere"
                wrong.append(f"report {report_id[:8]} was accepted and is {found} at {folders.time_ns / 1e9:.3f} s")
    return wrong


def half_written(history: History, names: Iterable[str]) -> list[str]:
    """Return which of the names seen in ``pending/`` are of something half-written.

    The attempts of an accepted report are saved beside it while others are looked at; that file is on its way.
    """
    on_their_way = tuple(f"_{report_id}_" for report_id in accepted(history))
    return [
        name
        for name in names
        if not name.endswith(".json")
        and not (name.endswith(".history.json.tmp") and any(mark in name for mark in on_their_way))
    ]


def unsaved(history: History) -> list[str]:
    """Return the accepted reports that the last look found neither whole in pending/ nor in sent/ with good reason."""
    here, there = history.last("folders").value, delivered(history.last("deliveries").value)
    waiting, sent = kept(here, "pending"), kept(here, "sent")
    wrong = []
    for report_id, sha256 in accepted(history).items():
        if any(copy["sha256"] == sha256 for copy in waiting.get(report_id, [])):
            continue
        if not any(copy["sha256"] == sha256 for copy in sent.get(report_id, [])):
            wrong.append(f"report {report_id[:8]} was not saved")
        elif report_id not in there:
            wrong.append(f"report {report_id[:8]} is in sent/, and the server does not have it")
    return wrong


def undelivered(history: History) -> list[str]:
    """Return the accepted reports that did not reach the server, once in effect, by the end, in words."""
    there = delivered(history.last("deliveries").value)
    wrong = []
    for report_id, sha256 in accepted(history).items():
        found = there.get(report_id)
        if found is None:
            wrong.append(f"report {report_id[:8]} was accepted and delivered 0 times")
        elif found["effects"] != 1 or found["sha256"] != sha256:
            wrong.append(f"report {report_id[:8]} had {found['effects']} effects in {found['deliveries']} deliveries")
    return wrong


def _accepted_before(history: History, index: int) -> dict[str, str]:
    done = [op for op in history.operations("submit") if op.outcome is Kind.OK and op.end and op.end.index < index]
    return {op.value["report_id"]: op.value["sha256"] for op in done}
