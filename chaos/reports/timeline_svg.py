"""The timeline of a run as SVG: places are in percent, so that it fits any width and can be zoomed without a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from chaos.history import Kind
from chaos.outcome import RunResult
from chaos.reports.scale import Scale, seconds
from chaos.reports.steps import StepLane, step_lanes, thinned
from chaos.reports.timeline import Band, Bar, Lane, LaneKind, Mark, Timeline, timeline_of

ROW_PX, LANE_GAP_PX, AXIS_PX, BANDS_PX, STEPS_PX = 15, 9, 24, 16, 20
TICKS_LEAST = 0.004
LEFT, RIGHT = 1.2, 97.6
"""Where the axis begins and ends, in percent of the width."""
ROWS_MAX = 8
DRAWN_MAX = 300
SHAPES = {
    Kind.FAULT: "M0-6 5 4-5 4Z",
    Kind.HEALED: "M-1.5-5h3v3.5H5v3H1.5V5h-3V1.5H-5v-3h3.5Z",
    Kind.OBSERVED: "M0-4 4 0 0 4-4 0Z",
}


@dataclass(frozen=True, slots=True)
class LaneLabel:
    """The name beside a lane, with the height it needs."""

    name: str
    kind: str
    height_px: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn timeline: the labels for its lanes, the picture itself, and what was left out of it."""

    labels: tuple[LaneLabel, ...]
    svg: Markup
    left_out: int
    pauses: int


def picture_of(run: RunResult, moment_ns: int | None) -> Picture:
    """Draw the run's history; ``moment_ns`` is where the promise was first seen broken."""
    timeline = timeline_of(run.history)
    scale = Scale(timeline.times_ns, timeline.end_ns)
    lanes, left_out = _bounded(timeline.lanes)
    steps = step_lanes(run.trace)
    heights = [_height(lane) for lane in lanes]
    height = AXIS_PX + BANDS_PX + sum(heights) + STEPS_PX * len(steps)
    parts = [
        *_axis(scale, timeline, height),
        *(_band(band, scale, height) for band in timeline.bands),
        *_lanes(lanes, heights, scale, timeline),
        *_steps(steps, AXIS_PX + BANDS_PX + sum(heights), scale),
        *_moment(moment_ns, scale, height),
    ]
    inside = Markup("").join(parts)
    title = escape(f"What happened in {run.scenario}, over {seconds(timeline.end_ns)}")
    svg = Markup('<svg class="plot" width="100%" height="{}" role="img" aria-label="{}">{}</svg>').format(
        height, title, inside
    )
    labels = tuple(LaneLabel(lane.name, str(lane.kind), px) for lane, px in zip(lanes, heights, strict=True))
    labels += tuple(LaneLabel(lane.name, "task", STEPS_PX) for lane in steps)
    return Picture(labels, svg, left_out, len(scale.pauses))


def _bounded(lanes: Sequence[Lane]) -> tuple[list[Lane], int]:
    """Return the lanes with at most so many things each; what ended badly and what comes last is kept."""
    shown, left_out = [], 0
    for lane in lanes:
        bars = [bar for bar in lane.bars if bar.row < ROWS_MAX]
        keep = [bar for bar in bars if bar.outcome != "ok"][-DRAWN_MAX:]
        well = [bar for bar in bars if bar.outcome == "ok"]
        keep += well[-(DRAWN_MAX - len(keep)) :] if len(keep) < DRAWN_MAX else []
        marks = lane.marks[-DRAWN_MAX:]
        left_out += len(lane.bars) + len(lane.marks) - len(keep) - len(marks)
        shown.append(Lane(lane.name, lane.kind, keep, marks, lane.levels[-DRAWN_MAX:]))
    return shown, left_out


def _height(lane: Lane) -> int:
    return lane.rows * ROW_PX + LANE_GAP_PX


def _x(scale: Scale, time_ns: int) -> str:
    return f"{LEFT + scale.at(time_ns) * (RIGHT - LEFT):.2f}%"


def _width(scale: Scale, start_ns: int, end_ns: int, *, least: float = 0.0) -> str:
    return f"{max((scale.at(end_ns) - scale.at(start_ns)) * (RIGHT - LEFT), least):.2f}%"


def _axis(scale: Scale, timeline: Timeline, height: int) -> Iterator[Markup]:
    for pause in scale.pauses:
        words = f"{seconds(pause.end_ns - pause.start_ns)} without an event, drawn short"
        yield Markup('<rect class="pause" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
            _x(scale, pause.start_ns), AXIS_PX, _width(scale, pause.start_ns, pause.end_ns), height, words
        )
    for time_ns in scale.ticks(9):
        x = _x(scale, time_ns)
        yield Markup('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(x, AXIS_PX - 6, height)
        edge = " end" if scale.at(time_ns) > 0.96 else ""
        yield Markup('<text class="tick{}" x="{}" y="12">{}</text>').format(edge, x, seconds(time_ns))
    if not timeline.lanes:
        yield Markup('<text class="tick" x="50%" y="32">nothing was recorded</text>')


def _band(band: Band, scale: Scale, height: int) -> Markup:
    lasts = "at once" if band.end_ns == band.start_ns else f"for {seconds(band.end_ns - band.start_ns)}"
    words = f"fault {band.name} at {seconds(band.start_ns)}, {lasts}"
    words += f" · {band.detail}" if band.detail else ""
    kind = "instant" if band.end_ns == band.start_ns else "lasting"
    return Markup(
        '<g class="item band {}" data-t="{}"><rect x="{}" y="{}" width="{}" height="{}"/>'
        '<svg x="{}" y="{}" overflow="visible"><path d="{}"/></svg><title>{}</title></g>'
    ).format(
        kind,
        band.start_ns,
        _x(scale, band.start_ns),
        AXIS_PX,
        _width(scale, band.start_ns, band.end_ns),
        height - AXIS_PX,
        _x(scale, band.start_ns),
        AXIS_PX + 9,
        SHAPES[Kind.FAULT],
        words,
    )


def _lanes(lanes: Sequence[Lane], heights: Sequence[int], scale: Scale, timeline: Timeline) -> Iterator[Markup]:
    top = AXIS_PX + BANDS_PX
    for lane, height in zip(lanes, heights, strict=True):
        yield Markup('<line class="rule" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(top)
        first = top + LANE_GAP_PX // 2
        if lane.kind is LaneKind.FOLDER:
            yield from _levels(lane, first, scale, timeline)
        for bar in lane.bars:
            yield _bar(bar, first + bar.row * ROW_PX, scale)
        for mark in lane.marks:
            yield _mark(mark, first + ROW_PX // 2, scale)
        top += height


def _steps(lanes: Sequence[StepLane], top: int, scale: Scale) -> Iterator[Markup]:
    """Draw a tick for each moment at which a task took a step, those that cannot be told apart as one."""
    for lane in lanes:
        places = {time_ns: scale.at(time_ns) for time_ns in lane.times_ns}
        tick = Markup('<line x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>')
        shown = thinned(lane.times_ns, places, TICKS_LEAST)
        ticks = Markup("").join(tick.format(_x(scale, time_ns), top + 5, top + STEPS_PX - 2) for time_ns in shown)
        yield Markup('<line class="rule" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(top)
        yield Markup('<g class="steps">{}<title>{}</title></g>').format(ticks, f"{lane.name}: {lane.steps:,} steps")
        top += STEPS_PX


def _bar(bar: Bar, y: int, scale: Scale) -> Markup:
    took = f"{seconds(bar.start_ns)} – {seconds(bar.end_ns)}, took {seconds(bar.end_ns - bar.start_ns)}"
    outcome = "no end seen" if bar.is_open and bar.outcome != "life" else bar.outcome.replace("life", "process")
    words = f"{bar.title}: {outcome} · {took}" + (f" · {bar.detail}" if bar.detail else "")
    shape = Markup(
        '<g class="item bar {}" data-t="{}"><rect x="{}" y="{}" width="{}" height="{}" rx="2"/><title>{}</title></g>'
    ).format(
        bar.outcome,
        bar.start_ns,
        _x(scale, bar.start_ns),
        y + (ROW_PX - 5 if bar.outcome == "life" else 1),
        _width(scale, bar.start_ns, bar.end_ns, least=0.15),  # One without any width would not be drawn at all.
        3 if bar.outcome == "life" else ROW_PX - 4,
        words,
    )
    if scale.at(bar.end_ns) - scale.at(bar.start_ns) < 0.012 * len(bar.title):
        return shape
    text = Markup('<text class="name {}" x="{}" dx="4" y="{}">{}</text>')
    return shape + text.format(
        bar.outcome, _x(scale, bar.start_ns), y + (9 if bar.outcome == "life" else 10), bar.title
    )


def _mark(mark: Mark, y: int, scale: Scale) -> Markup:
    words = f"{mark.kind} {mark.title} at {seconds(mark.time_ns)}" + (f" · {mark.detail}" if mark.detail else "")
    return Markup(
        '<g class="item mark {}" data-t="{}"><svg x="{}" y="{}" overflow="visible"><path d="{}"/></svg>'
        "<title>{}</title></g>"
    ).format(mark.kind, mark.time_ns, _x(scale, mark.time_ns), y, SHAPES[mark.kind], words)


def _levels(lane: Lane, y: int, scale: Scale, timeline: Timeline) -> Iterator[Markup]:
    highest = max((count for _, count in lane.levels), default=0)
    for place, (time_ns, count) in enumerate(lane.levels):
        until = lane.levels[place + 1][0] if place + 1 < len(lane.levels) else timeline.end_ns
        tall = round((ROW_PX - 2) * count / highest) if highest else 0
        words = f"{lane.name} holds {count} from {seconds(time_ns)}, as observed"
        yield Markup(
            '<g class="item level" data-t="{}"><rect x="{}" y="{}" width="{}" height="{}"/>'
            '<text class="count" x="{}" dx="3" y="{}">{}</text><title>{}</title></g>'
        ).format(
            time_ns,
            _x(scale, time_ns),
            y + ROW_PX - 1 - tall,
            _width(scale, time_ns, until),
            tall,
            _x(scale, time_ns),
            y + ROW_PX - 4,
            count,
            words,
        )


def _moment(moment_ns: int | None, scale: Scale, height: int) -> Iterator[Markup]:
    if moment_ns is None:
        return
    anchor = "end" if scale.at(moment_ns) > 0.5 else "start"
    yield Markup(
        '<g class="item moment" data-t="{0}"><line x1="{1}" x2="{1}" y1="{2}" y2="{3}"/>'
        '<text x="{1}" dx="{4}" y="{5}" text-anchor="{6}">seen broken: {7}</text><title>{8}</title></g>'
    ).format(
        moment_ns,
        _x(scale, moment_ns),
        AXIS_PX - 4,
        height,
        -6 if anchor == "end" else 6,
        AXIS_PX + 12,
        anchor,
        seconds(moment_ns),
        f"from {seconds(moment_ns)} on the promise is seen broken",
    )
