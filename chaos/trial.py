"""One simulated run as a value: all that it takes to play it again, and its one-line form.

    C1.6/kill_mid_upload seed=4117 policy=pct plan=power@12.031,cut@3.5+20(server) zeroed=network workload=1

* ``plan`` is what the world does to the subject and when; None means: as the seed draws it.
* ``zeroed`` names the random streams of which every draw is the harmless one; ``all`` is every stream there is.
* ``workload`` limits how much the scenario does (reports, clients), None means: as the seed draws it.
* ``step`` is a fault at a numbered step of the schedule (a sweep): ``cancel@417``, ``kill@417.3``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chaos.errors import UsageError

ADVICE = "copy a replay line as it was printed: SCENARIO seed=N [policy=…] [plan=…] [zeroed=…] [workload=N] [step=…]"
NS_PER_S = 1_000_000_000
EVERY_STREAM = "all"
_FAULT = re.compile(
    r"(?P<name>[a-z][a-z_.]*)@(?P<at>\d+(?:\.\d+)?)(?:\+(?P<lasts>\d+(?:\.\d+)?))?(?:\((?P<what>[^()]*)\))?"
)
_STEP = re.compile(r"(?P<name>[a-z]+)@(?P<step>\d+)(?:\.(?P<call>[1-9]\d*))?")


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault at ``at_ns`` of virtual time, undone after ``lasts_ns`` (0: it has no end); ``what`` it is done to."""

    name: str
    at_ns: int
    lasts_ns: int = 0
    what: str = ""

    def __str__(self) -> str:
        lasts = f"+{_seconds(self.lasts_ns)}" if self.lasts_ns else ""
        return f"{self.name}@{_seconds(self.at_ns)}{lasts}" + (f"({self.what})" if self.what else "")


@dataclass(frozen=True, slots=True)
class StepFault:
    """A fault at exactly one step of the schedule; ``call``: before that call to the disk in it (0: before all)."""

    name: str
    step: int
    call: int = 0

    def __str__(self) -> str:
        return f"{self.name}@{self.step}" + (f".{self.call}" if self.call else "")


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one scenario in simulated time."""

    scenario: str
    seed: int
    policy: str = "portfolio"
    plan: tuple[PlannedFault, ...] | None = None
    zeroed: frozenset[str] = frozenset()
    workload: int | None = None
    step: StepFault | None = None

    def __str__(self) -> str:
        parts = [self.scenario, f"seed={self.seed}"]
        if self.policy != "portfolio":
            parts.append(f"policy={self.policy}")
        if self.plan is not None:
            parts.append("plan=" + (",".join(map(str, self.plan)) or "none"))
        if self.zeroed:
            parts.append("zeroed=" + ",".join(sorted(self.zeroed)))
        if self.workload is not None:
            parts.append(f"workload={self.workload}")
        if self.step is not None:
            parts.append(f"step={self.step}")
        return " ".join(parts)

    def with_plan(self, plan: Sequence[PlannedFault]) -> Trial:
        """Return the same trial with exactly these faults."""
        return replace(self, plan=tuple(plan))


def parse_trial(line: str) -> Trial:
    """Return the trial behind its one-line form. Raises ``UsageError``."""
    words = line.split()
    if not words or "=" in words[0]:
        raise UsageError("the name of a scenario first", repr(line), ADVICE)
    pairs: dict[str, str] = {}
    for word in words[1:]:
        key, is_pair, value = word.partition("=")
        if not is_pair or key not in _KEYS or key in pairs or not value:
            raise UsageError(f"once each of {', '.join(_KEYS)} as key=value", repr(word), ADVICE)
        pairs[key] = value
    if "seed" not in pairs:
        raise UsageError("seed=N", repr(line), ADVICE)
    return Trial(
        words[0],
        _whole("seed", pairs["seed"]),
        pairs.get("policy", "portfolio"),
        _parse_plan(pairs["plan"]) if "plan" in pairs else None,
        frozenset(pairs["zeroed"].split(",")) if "zeroed" in pairs else frozenset(),
        _whole("workload", pairs["workload"]) if "workload" in pairs else None,
        _parse_step(pairs["step"]) if "step" in pairs else None,
    )


def as_data(trial: Trial) -> Mapping[str, object]:
    """Return the trial as JSON data, for files that outlive a version of the one-line form."""
    return {"line": str(trial), "scenario": trial.scenario, "seed": trial.seed, "policy": trial.policy}


_KEYS = ("seed", "policy", "plan", "zeroed", "workload", "step")


def _parse_plan(text: str) -> tuple[PlannedFault, ...]:
    if text == "none":
        return ()
    found = []
    for part in re.split(r",(?![^()]*\))", text):
        match = _FAULT.fullmatch(part)
        if match is None:
            raise UsageError("a fault as name@seconds[+seconds][(what)]", repr(part), ADVICE)
        lasts_ns = _nanoseconds(match["lasts"]) if match["lasts"] else 0
        found.append(PlannedFault(match["name"], _nanoseconds(match["at"]), lasts_ns, match["what"] or ""))
    return tuple(found)


def _parse_step(text: str) -> StepFault:
    match = _STEP.fullmatch(text)
    if match is None:
        raise UsageError("a fault at a step as name@number[.call]", repr(text), ADVICE)
    return StepFault(match["name"], int(match["step"]), int(match["call"] or 0))


def _whole(key: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{key} as a whole number", repr(text), ADVICE)
    return int(text)


def _seconds(nanoseconds: int) -> str:
    """Return the time in seconds, exactly, without trailing zeros."""
    whole, rest = divmod(nanoseconds, NS_PER_S)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def _nanoseconds(seconds: str) -> int:
    whole, _, rest = seconds.partition(".")
    return int(whole) * NS_PER_S + int(rest[:9].ljust(9, "0"))
