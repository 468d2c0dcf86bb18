"""One live run as a value: which of its faults happen, how long they last, how much work there is; its one-line form.

    C1.6/kills_at_every_place world=live seed=4117 faults=process.kill#3 times=server.delay_answer#1:0.01 workload=1

* ``faults`` names those that happen, each by its name and by which one of that name it is, as the scenario comes to
  them; None: all. What is left out is not done; where a kill is left out, the service is stopped in order instead.
* ``times`` gives faults a shorter duration than the scenario does. What the story does itself (a client that hangs, a
  file that is dropped) is no fault to be left out: it is what the run is.
* ``workload`` limits how many reports the scenario draws at a time, None means: as many as it wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chaos.errors import UsageError
from chaos.trial import NS_PER_S

WORLD = "world=live"
ADVICE = f"copy a replay line as it was printed: SCENARIO {WORLD} seed=N [faults=…] [times=…] [workload=N]"
_KEYS = ("world", "seed", "faults", "times", "workload")
_FAULT = re.compile(r"[^\s,#:]+#[1-9]\d*")
_TIME = re.compile(rf"({_FAULT.pattern}):(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class LiveTrial:
    """One live run of one scenario. ``times`` are nanoseconds, by the name of the fault."""

    scenario: str
    seed: int
    faults: tuple[str, ...] | None = None
    times: tuple[tuple[str, int], ...] = ()
    workload: int | None = None

    def __str__(self) -> str:
        parts = [self.scenario, WORLD, f"seed={self.seed}"]
        if self.faults is not None:
            parts.append("faults=" + (",".join(self.faults) or "none"))
        if self.times:
            parts.append("times=" + ",".join(f"{name}:{time_ns / NS_PER_S:g}" for name, time_ns in self.times))
        if self.workload is not None:
            parts.append(f"workload={self.workload}")
        return " ".join(parts)

    def admits(self, fault: str) -> bool:
        """Return whether the fault of that name and number happens."""
        return self.faults is None or fault in self.faults

    def with_faults(self, faults: Sequence[str]) -> LiveTrial:
        """Return the same with exactly these faults, and no times of others."""
        return replace(self, faults=tuple(faults), times=tuple(one for one in self.times if one[0] in faults))

    def with_time(self, fault: str, time_ns: int) -> LiveTrial:
        """Return the same with another duration of one fault."""
        return replace(self, times=tuple(({**dict(self.times), fault: time_ns}).items()))


def is_live(line: str) -> bool:
    """Return whether a replay line is that of a live run."""
    return WORLD in line.split()


def parse_live_trial(line: str) -> LiveTrial:
    """Return the trial behind its one-line form. Raises ``UsageError``."""
    words = line.split()
    if not words or "=" in words[0]:
        raise UsageError("the name of a scenario first", repr(line), ADVICE)
    pairs: dict[str, str] = {}
    for word in words[1:]:
        key, _, value = word.partition("=")
        if key not in _KEYS or key in pairs or not value:
            raise UsageError(f"once each of {', '.join(_KEYS)} as key=value", repr(word), ADVICE)
        pairs[key] = value
    return LiveTrial(
        words[0], _whole("seed", pairs), _faults(pairs), _times(pairs.get("times", "")),
        _whole("workload", pairs) if "workload" in pairs else None,
    )  # fmt: skip


def _faults(pairs: Mapping[str, str]) -> tuple[str, ...] | None:
    if (text := pairs.get("faults")) is None:
        return None
    names = () if text == "none" else tuple(text.split(","))
    for name in names:
        if _FAULT.fullmatch(name) is None:
            raise UsageError("a fault as name#number", repr(name), ADVICE)
    return names


def _times(text: str) -> tuple[tuple[str, int], ...]:
    found = []
    for part in filter(None, text.split(",")):
        match = _TIME.fullmatch(part)
        if match is None:
            raise UsageError("a time as name#number:seconds", repr(part), ADVICE)
        found.append((match[1], round(float(match[2]) * NS_PER_S)))
    return tuple(found)


def _whole(key: str, pairs: Mapping[str, str]) -> int:
    text = pairs.get(key, "nothing")
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{key} as a whole number", repr(text), ADVICE)
    return int(text)
