"""C1, where time is exact: a stop ends with the last of its work, at its windows, and tells how far it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chaos.checkers.judgement import delivered, judged, kept, lost, undelivered
from chaos.history import Event, History, Kind
from chaos.protocols import Checker
from chaos.verdict import Finding

NS_PER_S = 1_000_000_000
CLOSING_S = 1.0
"""How long closing everything may take once nothing is in flight, in virtual time: latencies of the network."""
CANCELLING_S = 6.0
TOLD_FROM = 3
_ENDED = re.compile(r"shutdown (?:clean|forced|failed) after ")


def dropped_files_are_left_alone(history: History) -> Finding:
    """C1.1: what was dropped during the stop is still where it was dropped, and no report was made of it."""
    wrong, looks = [], history.observed("left_alone")
    for fault in history.faults("files.during_the_stop") if looks else ():
        name, report_id = str(fault.value["file"]), str(fault.value["report_id"])
        wrong += [] if name in looks[-1].value["files"] else [f"{name} is not where it was dropped"]
        here, there = kept(history.last("folders").value), delivered(history.last("deliveries").value)
        wrong += [f"{name} became a report during the stop"] if report_id in here or report_id in there else []
    return judged("dropped files left where they are", wrong, of=len(looks))


def the_stop_ends_with_its_last_answer(history: History) -> Finding:
    """C1.2: the stop ended as soon as the last answer had come, however long the window is."""
    wrong, looks = [], history.observed("last_answer")
    for look, stop in zip(looks, history.operations("stop"), strict=False):
        after_s = (stop.end.time_ns - int(look.value["at_ns"])) / NS_PER_S if stop.end else float("inf")
        wrong += [] if after_s <= CLOSING_S else [f"the stop ended {after_s:.1f} s after the last answer"]
    return judged("the stop ends with its last upload", wrong, of=len(looks))


def the_window_is_used_and_kept(history: History) -> Finding:
    """C1.3: work that hangs has the whole window to end in, and is then cancelled without delay."""
    settings = history.observed("settings")[0].value
    window_s = settings.get("graceful_shutdown_seconds", 60.0)
    hung = [fault for fault in history.faults() if fault.name.startswith("server.hang")]
    stops = [stop for stop in history.operations("stop") if hung and stop.value.get("signals") == 1][:1]
    wrong = [f"the stop took {s.took_s:.1f} s, window {window_s:g} s" for s in stops if s.took_s < window_s - 1]
    late = [s for s in stops if s.took_s > window_s + CANCELLING_S]
    wrong += [f"cancelling took {s.took_s - window_s:.1f} s" for s in late]
    return judged("the whole window, then cancelled at once", wrong, of=len(stops))


def every_stop_is_the_same_stop(history: History) -> Finding:
    """C1.8: however start and stop were called, all stops report one end, Stopped, and nothing is left of it."""
    wrong, lives = [], history.observed("life")
    for life in (look.value for look in lives):
        if "crashed" in life:
            wrong.append(f"the process ended otherwise: {life['crashed']}")
            continue
        failed = [outcome["error"] for outcome in life["outcomes"] if outcome["what"] == "stop" and outcome["error"]]
        wrong += [f"a stop raised {error}" for error in failed]
        wrong += [] if life["status"] == "Stopped" else [f"the status was {life['status']} in the end"]
        wrong += [] if life["ends"] == 1 else [f"the stops reported {life['ends']} ends"]
        told = sum(bool(_ENDED.match(line)) for line in life["said"])
        wrong += [] if told == 1 else [f"the log tells of {told} ends"]
        wrong += [f"left: {thing}" for thing in (*life["tasks"], *life["threads"])]
    again = [op for op in history.operations("start") if lives and op.start.index > lives[-1].index]
    wrong += ["the next start failed" for op in again if op.outcome is not Kind.OK]
    wrong += lost(history) + undelivered(history) if lives else []
    return judged("one end of all stops, nothing left", wrong, of=len(lives) * len(again))


def a_signal_ends_a_restart(history: History) -> Finding:
    """C1.7: a signal that came at any moment of a restart ended the process; nothing accepted was lost."""
    looks = history.observed("signalled")
    return judged("ended by a signal during a restart", lost(history) if looks else [], of=len(looks))


def a_stop_tells_how_far_it_is(history: History) -> Finding:
    """C1.12: phase, work in flight and seconds left are followed over IPC; three forced stops in a row are told."""
    wrong, plans = [], history.observed("forced")
    looks = history.observed("progress") if plans else []
    for plan in plans:
        graceful_s = float(plan.value["graceful_s"])
        for look in looks:
            wrong += [] if look.value["phase"] == "graceful" else [f"the phase was {look.value['phase']}"]
            wrong += [] if look.value["in_flight"] == 1 else [f"{look.value['in_flight']} in flight, expected 1"]
            began_ns = max(s.start.time_ns for s in history.operations("stop") if s.start.index < look.index)
            left_s = graceful_s - (look.time_ns - began_ns) / NS_PER_S
            off_s = abs(float(look.value["seconds_left"]) - left_s)
            wrong += [] if off_s < 1 else [f"{look.value['seconds_left']} s left, expected {left_s:.1f}"]
        wrong += _stops_at_the_window(history, graceful_s)
        wrong += _told_of_forced_stops(history, plan)
    return judged("progress as it is, forced stops told", wrong, of=len(looks))


def _stops_at_the_window(history: History, graceful_s: float) -> list[str]:
    taken = [stop for stop in history.operations("stop") if not 0 <= stop.took_s - graceful_s <= CANCELLING_S]
    return [f"a stop took {stop.took_s:.1f} s with a window of {graceful_s:g} s" for stop in taken]


def _told_of_forced_stops(history: History, plan: Event) -> list[str]:
    last: Mapping[str, Any] = history.observed("status")[-1].value
    is_told = any("forced" in reason for reason in last["reasons"])
    if is_told == (plan.value["times"] >= TOLD_FROM):
        return []
    return [f"after {plan.value['times']} forced stops the start {'tells' if is_told else 'does not tell'} of them"]


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "C1.1": (dropped_files_are_left_alone,),
    "C1.2": (the_stop_ends_with_its_last_answer,),
    "C1.3": (the_window_is_used_and_kept,),
    "C1.7": (a_signal_ends_a_restart,),
    "C1.8": (every_stop_is_the_same_stop,),
    "C1.12": (a_stop_tells_how_far_it_is,),
}
