"""A time axis that gives room to where something happens: a long pause is drawn short, and says so."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

LONG_SHARE = 0.34
"""A pause that would take more of the width than this is drawn only as long as the next shorter one."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A stretch without any event that is drawn shorter than it was."""

    start_ns: int
    end_ns: int


class Scale:
    """Maps nanoseconds to 0…1. ``pauses`` are the stretches that were cut short."""

    def __init__(self, times_ns: Sequence[int], end_ns: int) -> None:
        stops = sorted({0, *times_ns, max(end_ns, 1)})
        gaps = [after - before for before, after in itertools.pairwise(stops)]
        drawn = _drawn(gaps)
        pairs = list(zip(stops, gaps, drawn, strict=False))
        self.pauses = tuple(Pause(before, before + gap) for before, gap, width in pairs if width < gap)
        self._stops, self._places = stops, [0.0, *itertools.accumulate(drawn)]
        self._whole = self._places[-1] or 1.0

    def at(self, time_ns: int) -> float:
        """Return the place of an instant, 0 at the left and 1 at the right."""
        after = min(max(bisect.bisect_right(self._stops, time_ns), 1), len(self._stops) - 1)
        before = after - 1
        span = self._stops[after] - self._stops[before]
        part = min(max((time_ns - self._stops[before]) / span, 0.0), 1.0) if span else 0.0
        reached = self._places[before] + part * (self._places[after] - self._places[before])
        return reached / self._whole

    def ticks(self, count: int) -> list[int]:
        """Return about that many instants with round numbers, and the ends of the pauses, in order."""
        end_ns = self._stops[-1]
        ends = [pause.end_ns for pause in self.pauses]
        found: list[int] = []
        for time_ns in sorted({*range(0, end_ns + 1, _round_step(end_ns, count * 8)), *ends}):
            inside = any(pause.start_ns < time_ns < pause.end_ns for pause in self.pauses)
            near = bool(found) and self.at(time_ns) - self.at(found[-1]) < 0.8 / count
            if near and time_ns in ends and found[-1] not in ends:
                found.pop()
            if not inside and (not near or time_ns in ends):
                found.append(time_ns)
        return found

    def __repr__(self) -> str:
        return f"Scale({self._stops[-1] / 1e9:.3f} s, {len(self.pauses)} pauses)"


def seconds(time_ns: int) -> str:
    """Return an instant in seconds, with as many digits as it needs and three at most."""
    text = f"{time_ns / 1e9:.3f}".rstrip("0").rstrip(".")
    return f"{text} s"


def _drawn(gaps: Sequence[int]) -> list[float]:
    """Return how wide each gap is drawn: the longest are cut to one length, so that something is left for the rest.

    A longer gap is never drawn shorter than a shorter one.
    """
    longest_first = sorted(gaps, reverse=True)
    for cuts, limit in enumerate(longest_first):
        if limit <= LONG_SHARE * (cuts * limit + sum(longest_first[cuts:])):
            return [float(min(gap, limit)) for gap in gaps]
    return [float(longest_first[-1]) for _ in gaps]


def _round_step(span_ns: int, count: int) -> int:
    raw = max(span_ns / max(count, 1), 1)
    power = 10 ** (len(str(int(raw))) - 1)
    return int(next(step * power for step in (1, 2, 5, 10) if step * power >= raw))
