"""The plots of the report, as SVG in percent of the width: durations on a logarithmic axis, costs of detection."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from chaos.outcome import MutantResult
from chaos.reports.rhythm import Rhythm

TOP_PX, ROW_PX = 22, 20
LEFT, RIGHT = 2.0, 97.0
FOUND = Markup('<circle cx="{0}" cy="{1}" r="4.5"/>')
MISSED = Markup('<svg x="{0}" y="{1}" overflow="visible"><path d="M-5-5 5 5M5-5-5 5"/></svg>')


class LogAxis:
    """A logarithmic axis with a tick at every power of ten."""

    def __init__(self, values: Sequence[float], *, least: float) -> None:
        positive = [max(value, least) for value in values] or [least]
        self.low = math.floor(math.log10(min(positive)))
        self.high = max(math.ceil(math.log10(max(positive))), self.low + 1)
        self._least = least

    def at(self, value: float) -> float:
        """Return the place of a value in percent."""
        share = (math.log10(max(value, self._least)) - self.low) / (self.high - self.low)
        return LEFT + share * (RIGHT - LEFT)

    def drawn(self, height: int, unit: str) -> Iterator[Markup]:
        """Yield the grid with its labels."""
        for power in range(self.low, self.high + 1):
            x = f"{self.at(10.0**power):.2f}%"
            yield Markup('<line class="grid" x1="{0}" x2="{0}" y1="16" y2="{1}"/>').format(x, height)
            yield Markup('<text class="tick" x="{}" y="11">{}</text>').format(x, _power(power, unit))

    def __repr__(self) -> str:
        return f"LogAxis(10^{self.low} to 10^{self.high})"


def durations(rows: Sequence[Rhythm]) -> Markup:
    """Draw for each row a line from the median to the longest, with dots at median, 95 % and longest."""
    axis = LogAxis([took for row in rows for took in row.took_s], least=1e-6)
    height = TOP_PX + ROW_PX * len(rows)
    parts = list(axis.drawn(height, "s"))
    for place, row in enumerate(rows):
        y = TOP_PX + ROW_PX * place + ROW_PX // 2
        points = [row.quantile(share) for share in (0.5, 0.95, 1.0)]
        middle, high, most = (f"{axis.at(point):.2f}%" for point in points)
        words = "{}, {} faults: median {:.3g} s, 95 % {:.3g} s, longest {:.3g} s".format(row.name, row.phase, *points)
        parts.append(
            Markup(
                '<g class="range {0}"><line x1="{1}" x2="{3}" y1="{4}" y2="{4}"/><circle cx="{1}" cy="{4}" r="4.5"/>'
                '<circle class="high" cx="{2}" cy="{4}" r="3"/><circle class="most" cx="{3}" cy="{4}" r="2"/>'
                "<title>{5}</title></g>"
            ).format(row.phase, middle, high, most, y, words)
        )
    return _svg(parts, height, "How long operations took, by phase")


def detection_costs(mutants: Sequence[MutantResult]) -> Markup:
    """Draw for each mutant after how many runs it was found; one that was not found is a cross at its last run."""
    axis = LogAxis([float(mutant.runs) for mutant in mutants], least=1.0)
    height = TOP_PX + ROW_PX * len(mutants)
    parts = list(axis.drawn(height, "runs"))
    for place, mutant in enumerate(mutants):
        y, x = TOP_PX + ROW_PX * place + ROW_PX // 2, f"{axis.at(mutant.runs):.2f}%"
        words = f"{mutant.name}: {'found after' if mutant.found else 'not found in'} {mutant.runs:,} runs"
        shape = FOUND.format(x, y) if mutant.found else MISSED.format(x, y)
        frame = Markup('<g class="mutant {2}"><line x1="{3}%" x2="{0}" y1="{1}" y2="{1}"/>{4}<title>{5}</title></g>')
        parts.append(frame.format(x, y, "found" if mutant.found else "missed", LEFT, shape, words))
    return _svg(parts, height, "After how many runs each mutant was found")


def _svg(parts: Sequence[Markup], height: int, title: str) -> Markup:
    frame = Markup('<svg class="chart" width="100%" height="{}" role="img" aria-label="{}">{}</svg>')
    return frame.format(height, title, Markup("").join(parts))


def _power(power: int, unit: str) -> str:
    if unit != "s":
        return f"{10**power:,}"
    return {-6: "1 µs", -5: "10 µs", -4: "100 µs", -3: "1 ms", -2: "10 ms", -1: "100 ms"}.get(power, f"{10**power:,} s")
