"""C2: what log, counts and status say of a task that failed, held against the restart rules as they are promised."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from chaos.checkers.judgement import accepted, judged, unsaved
from chaos.history import Event, History, Kind
from chaos.protocols import Checker
from chaos.verdict import Finding

NS_PER_S = 1_000_000_000
AT_ONCE_S = 0.5
BACKOFF_CAP_S = 60.0
RESTARTS_MAX, WINDOW_S, HOLD_S = 3, 300.0, 10.0
EDGE_S = 0.002
"""So close to the end of a hold nobody can tell whether it had ended: timers may come a moment early."""
RHYTHM_S = 5.0
"""Over a time of more than this the configuration watcher must have shown life."""
_SAID = re.compile(r"task (?P<name>\w+) failed \(failure (?P<number>\d+); (?P<what>.*?)\)", re.DOTALL)
_RESTART = re.compile(r"restart in (?P<delay>[\d.]+) s")


def records(history: History) -> list[Mapping[str, Any]]:
    """Return what the simulated processes logged from WARNING on; nothing in a world where nobody looked."""
    looks = history.observed("logged")
    found: list[Mapping[str, Any]] = list(looks[-1].value["records"]) if looks else []
    return found


def looks_at(history: History) -> Iterator[tuple[Event, Mapping[str, Any]]]:
    """Yield every look at the subject's condition, over IPC or over HTTP, with what it said."""
    for event in history.events:
        if event.kind is Kind.OBSERVED and event.name == "status":
            yield event, event.value
        elif event.kind is Kind.OBSERVED and event.name == "health":
            yield event, json.loads(event.value["text"])


def task_in(look: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what a look says of a task."""
    tasks = {task["name"]: task for task in look["tasks"]}
    found: Mapping[str, Any] = tasks[name]
    return found


def failures_of(history: History, task: str) -> list[Event]:
    """Return the exceptions that were raised in a task."""
    return [f for f in history.faults("failpoint.raise") if str(f.value["place"]).partition(":")[2] == task]


def a_failure_is_logged_once(history: History) -> Finding:
    """C2.1: for each exception one record at ERROR with the task's name and the traceback, and one more counted."""
    plan = [event.value for event in history.observed("planned")]
    wrong, count = [], 0
    for task, kind in ((str(value["task"]), str(value["kind"])) for value in plan if records(history)):
        failures = failures_of(history, task)
        count += len(failures)
        told = [r for r in records(history) if r["level"] >= logging.ERROR and kind in r["failure"]]
        named = [r for r in told if f"task {task} " in r["text"]]
        wrong += (
            [] if len(told) == len(failures) else [f"{len(failures)} failures, {len(told)} records with a traceback"]
        )
        wrong += [] if len(named) == len(told) else [f"{len(told) - len(named)} records do not name {task}"]
        wrong += [f"no traceback of {kind}" for r in named if "Traceback" not in r["failure"]]
        for event, look in looks_at(history):
            before = sum(failure.index < event.index for failure in failures)
            said = task_in(look, task)["failures"]
            wrong += [] if said == before else [f"{task} failed {before} times and {said} were counted"]
    return judged("logged once with name and traceback, and counted", wrong, of=count)


def an_error_names_the_critical_task(history: History) -> Finding:
    """C2.2: Error at once, with the task in its reasons, and no other task loses its rhythm."""
    wrong, count = [], 0
    for task in (str(e.value["task"]) for e in history.observed("planned") if e.value["critical"]):
        failures = failures_of(history, task)[:1]
        looks = [(e, look) for e, look in looks_at(history) if failures and e.index > failures[0].index]
        count += len(looks)
        for event, look in looks:
            wrong += [] if look["status"] == "Error" else [f"the status was {look['status']}"]
            wrong += [] if task in " ".join(look["reasons"]) else [f"the reasons do not name {task}"]
            late_s = (event.time_ns - failures[0].time_ns) / NS_PER_S
            wrong += [f"the first look came {late_s:.2f} s late"] if looks[0][0] is event and late_s > AT_ONCE_S else []
        wrong += _lost_their_rhythm(looks, task)
    refused = [op for op in history.operations("submit") if op.outcome is not Kind.OK] if count else []
    wrong += [f"submitting ended {op.outcome}: {op.value.get('error')}" for op in refused]
    wrong += unsaved(history) if count and accepted(history) else []
    return judged("Error at once, named by its reasons, and the others in their rhythm", wrong, of=count)


def _lost_their_rhythm(looks: list[tuple[Event, Mapping[str, Any]]], but: str) -> list[str]:
    """Return the other tasks that failed, stopped or gave no sign of life between the first look and the last."""
    if not looks:
        return []
    (first, early), (last, late) = looks[0], looks[-1]
    others = [task for task in late["tasks"] if task["name"] != but]
    unwell = [task for task in others if task["condition"] != "running" or task["failures"]]
    wrong = [f"{task['name']} is {task['condition']}" for task in unwell]
    if last.time_ns - first.time_ns > RHYTHM_S * NS_PER_S:
        beats = [task_in(look, "config_watcher")["heartbeats"] for look in (early, late)]
        wrong += ["config_watcher lost its rhythm"] if beats[0] == beats[1] else []
    return wrong


def another_failure_only_degrades(history: History) -> Finding:
    """C2.3: until the restart holds Running, degraded, and the reasons name the task; then it is well again."""
    wrong, count = [], 0
    for task in (str(e.value["task"]) for e in history.observed("planned") if not e.value["critical"]):
        failures = failures_of(history, task)[:1]
        for event, look in looks_at(history):
            if not failures or event.index < failures[0].index:
                continue
            count += 1
            wrong += [] if look["status"] == "Running" else [f"the status was {look['status']}"]
            if task_in(look, task)["condition"] != "running":
                wrong += [] if look["degraded"] else ["it was not degraded"]
                wrong += [] if task in " ".join(look["reasons"]) else [f"the reasons do not name {task}"]
            if event.time_ns - failures[0].time_ns < NS_PER_S // 2 and task_in(look, task)["condition"] == "running":
                wrong.append(f"{task} is said to run just after it has failed")
    return judged("Running, degraded, named", wrong, of=count)


@dataclass(slots=True)
class Expected:
    """What the promised rules make of a task's failures, one after the other; times in seconds."""

    restarts: list[float] = field(default_factory=list)
    in_a_row: int = 0
    is_down: bool = False

    def fails(self, at_s: float, said: str) -> str:
        """Take one more failure and return what must be said of it; what was ``said`` decides at the hold's edge."""
        lived_s = at_s - self.restarts[-1] if self.restarts else 0.0
        if lived_s > HOLD_S + EDGE_S or (lived_s >= HOLD_S - EDGE_S and said == "1"):
            self.in_a_row = 0
        self.in_a_row += 1
        due_s = at_s + min(BACKOFF_CAP_S, 2.0 ** (self.in_a_row - 1))
        if sum(due_s - when < WINDOW_S for when in self.restarts) >= RESTARTS_MAX:
            self.is_down = True
            return "stays down"
        self.restarts.append(due_s)
        return f"{due_s - at_s:g}"


def restarts_follow_the_rules(history: History) -> Finding:
    """C2.7: pauses of 1, 2, 4 s …, at most 3 restarts in 5 minutes, then down and Error; what holds is Running."""
    wrong, count = [], 0
    for plan in (event.value for event in history.observed("planned")):
        task, expected = str(plan["task"]), Expected()
        failures = failures_of(history, task)
        wants = []
        said = [_consequence(found["what"]) for r in records(history) if (found := _of(r, task))]
        for failure, was in zip_longest(failures, said[: len(failures)], fillvalue=""):
            assert isinstance(failure, Event), "there is no more said than failures"
            wrong += [f"{task} ran again though it was to stay down"] if expected.is_down else []
            wants.append(expected.fails(failure.time_ns / NS_PER_S, str(was)))
        for number, (want, was) in enumerate(zip(wants, said, strict=False), start=1):
            wrong += [] if want == was else [f"failure {number} of {task}: expected {want}, found {was}"]
        count += len(failures)
        wrong += _in_the_end(history, plan, expected, failures)
    return judged("the pauses, the limit, the way back", wrong, of=count)


def _of(record: Mapping[str, Any], task: str) -> re.Match[str] | None:
    found = _SAID.match(record["text"])
    return found if found is not None and found["name"] == task else None


def _consequence(what: str) -> str:
    found = _RESTART.search(what)
    return f"{float(found['delay']):g}" if found else "stays down" if "stays down" in what else what


def _in_the_end(history: History, plan: Mapping[str, Any], expected: Expected, failures: list[Event]) -> list[str]:
    """Return what is wrong with the last look, once the last restart has had its time to hold."""
    last = [(event, look) for event, look in looks_at(history)][-1:]
    if not last or not failures:
        return []
    (event, look), task = last[0], str(plan["task"])
    state, wrong = task_in(look, task), []
    if not expected.is_down and event.time_ns / NS_PER_S < expected.restarts[-1] + HOLD_S + RHYTHM_S:
        return []
    condition = "down" if expected.is_down else "running"
    wrong += [] if state["condition"] == condition else [f"{task} is {state['condition']}, expected {condition}"]
    status = "Error" if expected.is_down and plan["critical"] else "Running"
    wrong += [] if look["status"] == status else [f"the status is {look['status']}, expected {status}"]
    if state["restarts"] != len(expected.restarts):
        wrong.append(f"{state['restarts']} restarts are counted, {len(expected.restarts)} were made")
    if expected.restarts and state.get("last_restart_at") is None:
        wrong.append("the time of the last restart is not told")
    return wrong


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "C2.1": (a_failure_is_logged_once,),
    "C2.2": (an_error_names_the_critical_task,),
    "C2.3": (another_failure_only_degrades,),
    "C2.7": (restarts_follow_the_rules,),
}
