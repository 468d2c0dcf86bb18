"""C1, beyond single stops: what is offered during a stop, what does not end, what is left, what a cut save leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from chaos.checkers.judgement import accepted, judged, kept, lost, offered, undelivered
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding

STOPPING = "service_stopping"
_REPORTED = re.compile(r"shutdown \w+ after [^\n]*left behind: (?P<what>[^\n]*)")
_LOGGED = re.compile(r"left behind: (?P<what>[^\n]*)")
MARGIN_S = 3.0
"""What a live stop may take beyond its limit: the service's own exit guard waits 2 s before it ends the process."""


def nothing_is_taken_during_a_stop(history: History) -> Finding:
    """C1.1: once the stop was asked for, whatever would change something was refused as stopping, and nothing kept."""
    stop = next(iter(history.operations("stop")))
    late = [op for op in history.operations("submit") if op.start.index > stop.start.index]
    wrong = [f"a report was {op.outcome}: {op.value.get('code')}" for op in late if op.value.get("code") != STOPPING]
    asked = [look.value for look in history.observed("asked")]
    wrong += [f"{value['command']} was {value['code']}" for value in asked if value["code"] != STOPPING]
    looks = [look for look in history.observed("folders") if late and look.index > late[-1].start.index]
    here = kept(looks[-1].value) if looks else {}
    wrong += [f"report {i[:8]} was refused and kept" for i in offered(history) - set(accepted(history)) if i in here]
    count = len(late) * len(asked) * len(looks)  # A story that ended before a look at the folders has shown nothing.
    return judged("refused as stopping, nothing kept", wrong + lost(history), of=count)


def the_stop_keeps_its_bound(history: History) -> Finding:
    """C1.11: however the network breaks, the stop ends within its limit, and all is delivered once, now or later."""
    limit_s = history.observed("settings")[0].value["force_shutdown_seconds"]
    stops = list(history.operations("stop"))
    wrong = [f"the stop took {s.took_s:.1f} s, limit {limit_s} s" for s in stops if s.took_s > limit_s + MARGIN_S]
    wrong += [f"the stop ended {s.value.get('outcome')}" for s in stops if s.value.get("outcome") == "crashed"]
    wrong += lost(history) + undelivered(history)
    return judged("the stop in time, nothing lost, nothing doubled", wrong, of=len(stops) * len(accepted(history)))


def what_does_not_end_is_named(history: History) -> Finding:
    """C1.4: in time, forced, named by the stop's report with the report that it is at, which is kept and sent later."""
    limit_s = history.observed("settings")[0].value["force_shutdown_seconds"]
    stops = list(history.operations("stop"))
    wrong = [f"the stop took {s.took_s:.1f} s, limit {limit_s} s" for s in stops if s.took_s > limit_s + MARGIN_S]
    wrong += [f"the stop ended {s.value.get('outcome')}" for s in stops if s.value.get("outcome") != "forced"]
    works = [look.value for look in history.observed("unending")]
    for work in works:
        named = _REPORTED if work["is_at_a_report"] else _LOGGED  # The rest is met when the report is written already.
        left = " ".join(found["what"] for found in named.finditer(str(history.last("remains").value["said"])))
        wrong += [] if work["work"] in left else [f"no {work['work']} is named, but {left!r}"]
        if work["is_at_a_report"] and not any(report in left for report in accepted(history)):
            wrong.append("no report is named that it is at")
    wrong += lost(history) + undelivered(history)
    return judged("in time, forced, named, nothing lost", wrong, of=len(stops) * len(works))


def nothing_of_it_is_left(history: History) -> Finding:
    """C1.5: the number of reports pending is told, each failed step too, and no process, socket or lock is left."""
    remains = history.last("remains").value
    pending = len(kept(history.last("folders").value, "pending"))
    wrong = [] if remains["ended"] else ["the process still runs"]
    wrong += [f"left: {thing}" for thing in (*remains["processes"], *remains["files"])]
    words = f"{pending} reports still pending, will be retried at the next start"
    wrong += [] if words in str(remains["said"]) else [f"the log does not say {words!r}"]
    fired = {fault.value["place"] for fault in history.faults("failpoint.raise")}
    for place in (place for look in history.observed("cannot_be_closed") for place in look.value["places"]):
        wrong += [] if place in fired else [f"{place} was not tried any more"]
    for fault in history.faults("failpoint.raise"):
        part = str(fault.value["place"]).removeprefix("closing_")
        wrong += [] if part in str(remains["said"]).lower() else [f"the log does not say that {part} failed to close"]
    return judged("what is pending told, nothing left", wrong + lost(history), of=pending)


def a_configuration_file_is_whole(history: History) -> Finding:
    """C1.10: after each cut the file is what it was, or the new configuration with nothing else changed."""
    looks = [look.value for look in history.observed("config_file")]
    wrong = [words for look in looks if (words := _not_whole(look))]
    return judged("the old configuration or the new one, whole", wrong, of=len(looks))


def _not_whole(look: Mapping[str, str]) -> str:
    """Return what is wrong with the file, nothing when it is whole."""
    if look["now"] == look["before"]:
        return f"the save was {look['answer']}, and the file is the old one" if look["answer"] == "obeyed" else ""
    try:
        before, now = json.loads(look["before"]), json.loads(look["now"])
    except ValueError as error:
        return f"the file is no JSON: {error}"
    if now.get("log_level") != look["wanted"]:
        return f"the file has log_level {now.get('log_level')!r}, neither old nor new"
    changed = [key for key in before if key != "log_level" and now.get(key) != before[key]]
    return f"the file lost {', '.join(changed)}" if changed else ""


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "C1.1": (nothing_is_taken_during_a_stop,),
    "C1.4": (what_does_not_end_is_named,),
    "C1.5": (nothing_of_it_is_left,),
    "C1.10": (a_configuration_file_is_whole,),
    "C1.11": (the_stop_keeps_its_bound,),
}
