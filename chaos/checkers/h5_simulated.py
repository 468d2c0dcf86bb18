"""H5 in virtual time: limits under races and kills, what happens when full, to the report and to the byte."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import accepted, delivered, judged, kept, lost, undelivered
from chaos.history import History, Kind, Operation
from chaos.protocols import Checker
from chaos.verdict import Finding


def never_more_than_the_limit(history: History) -> Finding:
    """H5.1: at no look more than the limit (or than there was at the start), and nothing accepted is lost."""
    looks = [look.value for look in history.observed("held")]
    wrong = [
        f"{look['found']} in pending/, {look['said']} said, limit {look['limit']}, {look['at_start']} at the start"
        for look in looks
        if max(look["found"], look["said"]) > max(look["limit"], look["at_start"])
    ]
    return judged("never more than the limit", wrong + (undelivered(history) if looks else []), of=len(looks))


def refusals_name_the_limit(history: History) -> Finding:
    """H5.2: each refusal is the queue-full error with the limit, and was not kept."""
    limits = [look.value["limit"] for look in history.observed("racing")]
    wrong = []
    there = _everywhere(history) if limits else set()
    for refusal in _refused(history) if limits else []:
        value = refusal.value
        if value.get("code") != "queue_full" or f"limit {limits[-1]}" not in value.get("error", ""):
            wrong.append(f"a refusal said {value.get('code')!r}: {value.get('error')}")
        if value["report_id"] in there:
            wrong.append(f"report {value['report_id'][:8]} was refused and kept")
    return judged(
        "queue_full with the limit, nothing kept", wrong, of=len(list(history.operations("submit"))) if limits else 0
    )


def the_oldest_goes_to_failed(history: History) -> Finding:
    """H5.3: `oldest_first` gives up the oldest with the reason, as many as are too many; none is refused or gone."""
    looks = [look.value for look in history.observed("evicted")]
    wrong = []
    for look in looks:
        places = sorted(look["order"].index(report_id) for report_id in look["evicted"])
        if len(places) != look["over"] or places[-1:] > [look["over"]]:
            wrong.append(f"of {look['over']} too many, those at the places {places} were given up")
        wrong += [f"given up because {reason!r}" for reason in look["reasons"] if "evicted" not in reason]
    wrong += [f"a report was refused: {op.value.get('error')}" for op in _refused(history) if looks]
    gone = set(accepted(history)) - _everywhere(history) if looks else set()
    wrong += [f"report {report_id[:8]} is nowhere" for report_id in gone]
    return judged("the oldest, with the reason, none deleted", wrong, of=len(looks))


def what_was_given_up_is_named(history: History) -> Finding:
    """H5.3: also when the submit that needed the room was cut off, the report that made it is named and in failed/."""
    looks = [look.value for look in history.observed("given_up")]
    wrong = [f"report {i[:8]} was given up and not named" for v in looks for i in v["evicted"] if i not in v["named"]]
    there = delivered(history.last("deliveries").value) if looks else {}
    wrong += [f"report {i[:8]} was given up and sent" for look in looks for i in look["evicted"] if i in there]
    gone = set(accepted(history)) - _everywhere(history) if looks else set()
    wrong += [f"report {report_id[:8]} is nowhere" for report_id in gone]
    return judged("named, and in failed/", wrong, of=sum(len(look["evicted"]) for look in looks))


def intake_is_paused_while_full(history: History) -> Finding:
    """H5.3: `pause` says so exactly while the queue is full, each time."""
    looks = [look.value for look in history.observed("intake")]
    wrong = [
        f"look {number}: {'full' if look['is_full'] else 'room'} and {'paused' if look['is_paused'] else 'not paused'}"
        for number, look in enumerate(looks)
        if look["is_paused"] != look["is_full"]
    ]
    return judged("paused exactly while full", wrong, of=len(looks))


def refusals_take_no_room(history: History) -> Finding:
    """H5.4: each time the queue was empty, as many reports were taken as the limit says, the first of those offered."""
    looks = [look.value for look in history.observed("refilled")]
    taken = set(accepted(history)) if looks else set()
    wrong = []
    for number, look in enumerate(looks):
        places = [place for place, report_id in enumerate(look["offered"]) if report_id in taken]
        if places != list(range(look["limit"])) or look["said"] != look["limit"]:
            wrong.append(f"round {number}: {len(places)} taken, {look['said']} said, limit {look['limit']}")
    return judged("as many as the limit, each time", wrong, of=len(looks))


def limits_hold_to_the_byte(history: History) -> Finding:
    """H5.5: accepted when it fits, refused as queue-full when it is a byte too large."""
    rooms = {look.value["report_id"]: look.value for look in history.observed("room")}
    wrong = []
    for operation in history.operations("submit"):
        look = rooms.get(operation.start.value["report_id"])
        if look is None:
            continue
        fits, said = look["size"] <= look["room"], operation.value.get("code", str(operation.outcome))
        if said != ("ok" if fits else "queue_full"):
            wrong.append(f"{look['kind']}: {look['size']} bytes where there is room for {look['room']}: {said}")
    return judged("accepted when it fits, else queue_full", wrong + (lost(history) if rooms else []), of=len(rooms))


def the_figures_are_true(history: History) -> Finding:
    """H5.6: the highest size, refusals and evictions that the status tells are those that happened."""
    looks = [look.value for look in history.observed("figures")]
    wrong = [
        f"{key} is {look['said'].get(key)}, expected {expected}"
        for look in looks
        for key, expected in look["expected"].items()
        if expected is not None and look["said"].get(key) != expected
    ]
    return judged("the figures that happened", wrong, of=len(looks))


def _refused(history: History) -> list[Operation]:
    return [op for op in history.operations("submit") if op.outcome is Kind.FAILED]


def _everywhere(history: History) -> set[str]:
    """Return the ids of all reports seen in any folder or at the server, at any look."""
    here = [set(kept(look.value)) for look in history.observed("folders")]
    return set().union(*here, *(set(delivered(look.value)) for look in history.observed("deliveries")))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H5.1": (never_more_than_the_limit,),
    "H5.2": (refusals_name_the_limit,),
    "H5.3": (the_oldest_goes_to_failed, what_was_given_up_is_named, intake_is_paused_while_full),
    "H5.4": (refusals_take_no_room,),
    "H5.5": (limits_hold_to_the_byte,),
    "H5.6": (the_figures_are_true,),
}
