"""The timeline of a run in characters, for a terminal and for logs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from chaos.history import History, Kind
from chaos.reports.scale import Scale, seconds
from chaos.reports.timeline import Lane, LaneKind, Timeline, timeline_of

BARS = {"ok": ("━", "green"), "failed": ("╍", "red"), "unknown": ("┅", "yellow"), "life": ("─", "dim")}
MARKS = {Kind.FAULT: ("⚡", "red"), Kind.HEALED: ("✚", "green"), Kind.OBSERVED: ("·", "dim")}
NAME_CHARACTERS = 18
LANES_MAX = 14


def timeline_text(history: History, width: int, *, moment_ns: int | None = None) -> list[Text]:
    """Return the picture as lines of at most ``width`` characters: an axis, the lanes, and the moment of violation."""
    picture = timeline_of(history)
    room = max(width - NAME_CHARACTERS - 2, 20)
    scale = Scale(picture.times_ns, picture.end_ns)
    lines = [_line("", Text(_axis(scale, room), "dim"))]
    lines += [_line(lane.name, _drawn(lane, picture, scale, room)) for lane in picture.lanes[:LANES_MAX]]
    if moment_ns is not None:
        place = _column(scale, moment_ns, room)
        words = f"▲ broken at {seconds(moment_ns)}"
        text = " " * place + words if place + len(words) <= room else words[2:].rjust(place - 1) + " ▲"
        lines.append(_line("", Text(text, "bold red")))
    return lines


def legend() -> Text:
    """Return what the characters mean."""
    words = Text("  ", "dim")
    for outcome, (character, style) in BARS.items():
        words.append(f"{character * 3} ", style).append(f"{'running' if outcome == 'life' else outcome}  ", "dim")
    return words.append("⚡ ", "red").append("fault  ", "dim").append("✚ ", "green").append("healed  · observed", "dim")


def _line(name: str, drawn: Text) -> Text:
    shown = name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…"
    return Text.assemble((f"{shown:>{NAME_CHARACTERS}}  ", "dim"), drawn, no_wrap=True)


def _drawn(lane: Lane, picture: Timeline, scale: Scale, room: int) -> Text:
    cells: list[tuple[str, str]] = [(" ", "")] * room
    if lane.kind is LaneKind.FOLDER:
        _draw_levels(cells, lane.levels, picture, scale)
    for bar in sorted(lane.bars, key=lambda bar: bar.outcome != "life"):
        first, last = _column(scale, bar.start_ns, room), _column(scale, bar.end_ns, room)
        for column in range(first, last + 1):
            cells[column] = BARS.get(bar.outcome, BARS["ok"])
    for mark in sorted(lane.marks, key=lambda mark: mark.kind is not Kind.OBSERVED):
        cells[_column(scale, mark.time_ns, room)] = MARKS[mark.kind]
    return Text.assemble(*cells)


def _draw_levels(
    cells: list[tuple[str, str]], levels: Sequence[tuple[int, int]], picture: Timeline, scale: Scale
) -> None:
    for place, (time_ns, count) in enumerate(levels):
        until = levels[place + 1][0] if place + 1 < len(levels) else picture.end_ns
        first, last = _column(scale, time_ns, len(cells)), _column(scale, until, len(cells))
        cells[first : last + 1] = [("▁" if count else " ", "cyan")] * (last + 1 - first)
        for offset, digit in enumerate(str(count)):
            if first + offset < len(cells):
                cells[first + offset] = (digit, "cyan")


def _axis(scale: Scale, room: int) -> str:
    cells = [" "] * room
    free = 0
    for time_ns in scale.ticks(max(room // 14, 2)):
        column, words = _column(scale, time_ns, room), f"│{seconds(time_ns)}"
        if column >= free and column + len(words) <= room:
            cells[column : column + len(words)] = words
            free = column + len(words) + 1
    return "".join(cells)


def _column(scale: Scale, time_ns: int, room: int) -> int:
    return min(int(scale.at(time_ns) * room), room - 1)
