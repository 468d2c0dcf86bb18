"""C1: nothing accepted is lost by a stop or a kill, and every stop ends in time."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import accepted, delivered, judged, kept, lost, undelivered
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding

CLEAN, FORCED = "clean", "forced"


def nothing_is_lost(history: History) -> Finding:
    """C1.6: at every look each accepted report is kept or delivered, byte for byte; in the end each is, once."""
    expected = "every accepted report kept or delivered at every look, and delivered once in effect at the end"
    return judged(expected, lost(history) + undelivered(history), of=len(accepted(history)))


def work_in_flight_ends_inside_the_window(history: History) -> Finding:
    """C1.2: in sent/ and at the server once; the stop ended by itself, clean, before its window did."""
    window_s = history.last("settings").value["graceful_shutdown_seconds"]
    there, here = delivered(history.last("deliveries").value), kept(history.last("folders").value, "sent")
    wrong = [
        f"report {i[:8]}: {there.get(i, {}).get('effects', 0)} effects at the server, {len(here.get(i, []))} in sent/"
        for i in accepted(history)
        if there.get(i, {}).get("effects") != 1 or there[i]["deliveries"] != 1 or len(here.get(i, [])) != 1
    ]
    stops = list(history.operations("stop"))
    wrong += [f"the stop took {s.took_s:.1f} s of {window_s} s" for s in stops if s.took_s >= window_s]
    wrong += [f"the stop ended {s.value.get('outcome')}" for s in stops if s.value.get("outcome") != CLEAN]
    return judged("uploads in flight finish, the stop ends with the last of them", wrong, of=len(stops))


def what_outlives_the_window_is_kept(history: History) -> Finding:
    """C1.3: the stop ended within its limit, left each report whole in pending/ with its attempt, later delivered."""
    limit_s = history.observed("settings")[0].value["force_shutdown_seconds"]
    stops = list(history.operations("stop"))
    wrong = [f"the stop took {s.took_s:.1f} s, limit {limit_s} s" for s in stops if s.took_s > limit_s + MARGIN_S]
    wrong += [f"the stop ended {s.value.get('outcome')}" for s in stops if s.value.get("outcome") != FORCED]
    pending = kept(history.observed("folders")[0].value, "pending")
    for report_id, sha256 in accepted(history).items():
        copies = pending.get(report_id, [])
        if [copy["sha256"] for copy in copies] != [sha256]:
            wrong.append(f"report {report_id[:8]} is {len(copies)} times in pending/ after the stop")
        elif copies[0]["attempts"] < 1:
            wrong.append(f"report {report_id[:8]} lost its attempt count")
    return judged(
        "the stop in time, each report whole in pending/ with its attempts, and delivered later",
        wrong + lost(history) + undelivered(history),
        of=len(stops),
    )


def a_second_signal_forces(history: History) -> Finding:
    """C1.7: the second signal ended the graceful phase at once; the exit code says forced; nothing was lost."""
    window_s = history.last("settings").value["graceful_shutdown_seconds"]
    stops = [stop for stop in history.operations("stop") if stop.value["signals"] > 1]
    wrong = [f"the stop took {s.took_s:.1f} s of {window_s} s" for s in stops if s.took_s > window_s / 2]
    wrong += [f"the exit said {s.value.get('outcome')}" for s in stops if s.value.get("outcome") != FORCED]
    return judged("forced at the second signal, and said so", wrong + lost(history), of=len(stops))


MARGIN_S = 1.0
"""What a live stop may take beyond its limit: starting and reaping a process costs real time."""

CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "C1.2": (work_in_flight_ends_inside_the_window,),
    "C1.3": (what_outlives_the_window_is_kept,),
    "C1.6": (nothing_is_lost,),
    "C1.7": (a_second_signal_forces,),
}
