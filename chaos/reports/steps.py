"""The steps in a run's trace, by who took them: so that tasks, the network and the disk have lanes of their own.

A line of a trace is a step's number, its time in seconds, and what ran, as in ``41  0.001000  upload`` or
``41  0.001000  disk call=fsync path=…``. Lines of another form are left out, and so are the steps of the loop itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LINE = re.compile(r"\s*(?P<step>\d+)\s+(?P<at>\d+\.\d+)\s+(?P<what>\S+)(?P<facts>.*)")
TASK = re.compile(r"[a-z][a-z0-9_-]*")
LANES_MAX, LINES_MAX = 9, 50_000


@dataclass(frozen=True, slots=True)
class StepLane:
    """The moments at which one task (or the disk, or the network) took a step; ``steps`` counts them all."""

    name: str
    times_ns: tuple[int, ...]
    steps: int


def step_lanes(trace: str) -> list[StepLane]:
    """Return the busiest lanes of a trace, the tasks first by name, then the network and the disk."""
    times: dict[str, dict[int, None]] = {}
    counts: Counter[str] = Counter()
    for line in trace.splitlines()[:LINES_MAX]:
        if (found := LINE.fullmatch(line)) and (name := _name(found["what"])):
            counts[name] += 1
            times.setdefault(name, {})[round(float(found["at"]) * 1e9)] = None
    busiest = [name for name, _ in counts.most_common(LANES_MAX)]
    return [StepLane(name, tuple(times[name]), counts[name]) for name in sorted(busiest, key=_order)]


def thinned(times_ns: Sequence[int], places: Mapping[int, float], least: float) -> list[int]:
    """Return the times of which the places differ by at least ``least``: what can be told apart in a picture."""
    shown: list[int] = []
    for time_ns in times_ns:
        if not shown or places[time_ns] - places[shown[-1]] >= least:
            shown.append(time_ns)
    return shown


def _name(what: str) -> str | None:
    """Return the lane of a step, or None for what is the loop's own work."""
    if what == "disk":
        return "disk"
    if what.startswith("net."):
        return "network"
    return f"task {what}" if TASK.fullmatch(what) and what != "start" else None


def _order(name: str) -> tuple[bool, str]:
    return not name.startswith("task "), name
