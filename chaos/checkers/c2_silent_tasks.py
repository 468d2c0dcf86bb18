"""C2: what ends or stands still without an exception is seen in time, and what is cancelled on request is no error."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from chaos.checkers.c2_failing_tasks import NS_PER_S, failures_of, looks_at, records, task_in
from chaos.checkers.judgement import judged
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding

MONITOR_S = 30.0
MONITOR_STALLED_S = 92.0
LOOP_LIMIT_S, LOOP_CHECK_S = 1.0, 0.5
TOLD_AFTER_S = 0.6
_BLOCKED = re.compile(r"was blocked for at least (?P<seconds>[\d.]+) s")


def a_cancellation_is_no_error(history: History) -> Finding:
    """C2.4: of a stop, whenever it comes, no task is called failed, stuck or deaf, and the stop is clean."""
    asked = history.faults("subject.stop")
    said = [r for r in records(history) if asked and r["time_ns"] >= asked[0].time_ns and r["level"] >= logging.ERROR]
    wrong = [f"at {r['time_ns'] / NS_PER_S:.3f} s the log says: {r['text'][:120]}" for r in said]
    stops = list(history.operations("stop")) if asked else []
    wrong += [f"the stop ended {op.value.get('outcome')}" for op in stops if op.value.get("outcome") != "clean"]
    return judged("nobody calls a cancellation an error", wrong, of=len(asked))


def an_early_end_is_seen(history: History) -> Finding:
    """C2.5: within a monitor interval it is logged and shown with the task's name, and the task runs again."""
    wrong, plans = [], [event.value for event in history.observed("ending")]
    for task in (str(plan["task"]) for plan in plans):
        ends = [fault for fault in history.faults() if fault.name in ("failpoint.return", "failpoint.raise")]
        told = [r for r in records(history) if r["level"] >= logging.ERROR and f"task {task} " in r["text"]]
        if not told or told[0]["time_ns"] - ends[0].time_ns > MONITOR_S * NS_PER_S:
            wrong.append(f"no record at ERROR names {task} within {MONITOR_S:g} s")
        states = [task_in(look, task) for _, look in looks_at(history)]
        wrong += [f"{task} did not run again: {s['condition']}" for s in states[-1:] if s["condition"] != "running"]
        wrong += [f"the end of {task} was not counted" for s in states[-1:] if s["failures"] != 1]
        first = next((look for event, look in looks_at(history) if event.index > ends[0].index), None)
        if first is not None and task not in " ".join(first["reasons"]):
            wrong.append(f"the status after it does not name {task}")
    return judged("seen in time, named, and running again", wrong, of=len(plans))


def the_monitor_is_supervised(history: History) -> Finding:
    """C2.6: its failure is told and it runs again; its standing still is told by another; other failures are seen."""
    wrong, plans = [], [event.value for event in history.observed("monitor")]
    for plan in plans:
        fault = next(f for f in history.faults() if f.value.get("place") == "run:task_monitor")
        words, limit_s = ("is stalled", MONITOR_STALLED_S) if plan["action"] == "hang" else ("failed", 1.0)
        told = [r for r in records(history) if f"task task_monitor {words}" in r["text"]]
        if not told or told[0]["time_ns"] - fault.time_ns > limit_s * NS_PER_S:
            wrong.append(f"nothing says within {limit_s:g} s that task_monitor {words}")
        look = [look for _, look in looks_at(history)][-1]
        wanted = "stalled" if plan["action"] == "hang" else "running"
        found = task_in(look, "task_monitor")["condition"]
        wrong += [] if found == wanted else [f"task_monitor is {found}, expected {wanted}"]
        other = str(plan["other"])
        if task_in(look, other)["failures"] != len(failures_of(history, other)):
            wrong.append(f"the failure of {other} was not seen meanwhile")
    return judged("its failure and its standing still are seen, and it hides nobody else's", wrong, of=len(plans))


def standing_still_is_told_in_time(history: History) -> Finding:
    """C2.8: a task without a heartbeat for three of its intervals is called stalled at the monitor's next look."""
    wrong, plans = [], history.observed("stands_still")
    for plan in plans:
        task, limit_s = str(plan.value["task"]), float(plan.value["limit_s"])
        told = [r for r in records(history) if f"task {task} is stalled" in r["text"]]
        late = not told or told[0]["time_ns"] - plan.time_ns > limit_s * NS_PER_S
        wrong += [f"nothing says within {limit_s:g} s that {task} is stalled"] if late else []
        if told and told[0]["time_ns"] - plan.time_ns < (limit_s - MONITOR_S - 1) * NS_PER_S:
            wrong.append(f"{task} was called stalled before three of its intervals had passed")
        looks = [look for event, look in looks_at(history) if event.time_ns - plan.time_ns >= limit_s * NS_PER_S]
        wrong += [] if looks and task_in(looks[0], task)["condition"] == "stalled" else [f"{task} is not shown stalled"]
    return judged("called stalled after three intervals, not before", wrong, of=len(plans))


def a_blocked_loop_is_told(history: History) -> Finding:
    """C2.8: a block of more than a second is told once it is over, with its length; one of half a second is not."""
    wrong, blocks = [], history.observed("blocked")
    for block in blocks:
        seconds = float(block.value["seconds"])
        fired = history.faults("failpoint.block")[0].time_ns
        told = [(r, m) for r in records(history) if (m := _BLOCKED.search(r["text"]))]
        if seconds < LOOP_LIMIT_S - LOOP_CHECK_S:
            wrong += [f"a block of {seconds:g} s is called one of {m['seconds']} s" for _, m in told]
            continue
        ended = fired + round(seconds * NS_PER_S)
        if not told or told[0][0]["time_ns"] - ended > TOLD_AFTER_S * NS_PER_S:
            wrong.append(f"a block of {seconds:g} s is not told when it is over")
        elif not seconds - LOOP_CHECK_S - 0.1 <= float(told[0][1]["seconds"]) <= seconds + 0.1:
            wrong.append(f"a block of {seconds:g} s is called one of {told[0][1]['seconds']} s")
        looks = [look for event, look in looks_at(history) if event.index > block.index]
        wrong += [] if looks and "blocked" in str(looks[0]["reasons"]) else ["the status does not tell of it"]
    return judged("a long block told with its length, a short one not", wrong, of=len(blocks))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "C2.4": (a_cancellation_is_no_error,),
    "C2.5": (an_early_end_is_seen,),
    "C2.6": (the_monitor_is_supervised,),
    "C2.8": (standing_still_is_told_in_time, a_blocked_loop_is_told),
}
