"""The report for people: one HTML file that opens offline, with everything in it and nothing asked from outside.

* It stays under 2 MB: runs that did not hold come first and in full, held ones with their picture while there is room.
* Whatever it says comes out of the outcome, escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from chaos.coverage import columns, disk_calls, empty_cells, table
from chaos.guarantees import properties
from chaos.history import Event
from chaos.outcome import DiskLook, Outcome, PropertyResult, RunResult
from chaos.reports.evidence_json import NO_FILES, Files, absences
from chaos.reports.headline import GLYPHS, counts_line, duration, headline, title_line, unproven_runs
from chaos.reports.matrix import WORLD_TITLES, matrix, worlds_of
from chaos.reports.nearest import nearest_diff
from chaos.reports.plots import detection_costs, durations
from chaos.reports.rhythm import Rhythm, rhythms
from chaos.reports.scale import seconds
from chaos.reports.strength import excluded_one_in, excluded_words, strength_of, tried_by_fault
from chaos.reports.timeline import detail_of, looks_of
from chaos.reports.timeline_svg import Picture, picture_of
from chaos.verdict import Finding, Verdict

CHARACTERS_MAX = 1_200_000
"""For the sections of runs; what frames them is some 400 kB where a release ran everything and hunted every mutant."""
FULL_MAX, EVENTS_MAX, LOOKS_MAX, LINES_MAX = 60, 250, 9, 250


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as its section shows it; without ``picture`` there was no room (or nothing) to draw."""

    anchor: str
    run: RunResult
    findings: tuple[Finding, ...]
    files: Files
    picture: Picture | None
    moment_ns: int | None
    looks: tuple[DiskLook, ...]
    looks_left_out: int
    nearest: str
    events: tuple[Event, ...]


def to_html(outcome: Outcome, files: Sequence[Files] = ()) -> str:
    """Return the page; ``files`` gives for each run the paths of what is kept beside it, to link to."""
    page = _environment(outcome)
    beside = files or [NO_FILES] * len(outcome.runs)
    anchors = {id(run): f"run-{number}" for number, run in enumerate(outcome.runs, 1)}
    kept = {id(run): paths for run, paths in zip(outcome.runs, beside, strict=True)}
    red = unproven_runs(outcome)
    rest = [run for run in outcome.runs if run not in red]
    sections, room = _sections(page, outcome, red, anchors, kept, CHARACTERS_MAX, is_red=True)
    held, _ = _sections(page, outcome, rest, anchors, kept, room, is_red=False)
    return page.get_template("report.html.j2").render(
        outcome=outcome,
        title=title_line(outcome.header),
        headline=headline(outcome),
        counts=counts_line(outcome),
        strength=strength_of(outcome.runs, outcome.mutants),
        blocks=matrix(outcome),
        worlds=worlds_of(outcome),
        sections=sections,
        held=held,
        red=[(result, *result.worst) for result in _red_properties(outcome) if result.worst],
        anchors=anchors,
        faults=_faults(outcome),
        **_coverage(outcome),
        rhythms=[(world, rows, durations(rows)) for world, rows in _rhythms(outcome)],
        costs=detection_costs(outcome.mutants) if outcome.mutants else None,
        absences=absences(outcome),
        style=_text("report.css"),
        script=_text("report.js"),
    )


def _environment(outcome: Outcome) -> Environment:
    loader = PackageLoader("chaos.reports", "page")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters |= {"duration": duration, "seconds": seconds, "detail": detail_of, "prose": _prose}
    page.globals |= {
        "glyphs": GLYPHS,
        "world_titles": WORLD_TITLES,
        "Verdict": Verdict,
        "promises": _promises(outcome),
        "id": id,
    }
    return page


def _promises(outcome: Outcome) -> Mapping[str, str]:
    """Return the promises by id; a line of an experiment is in no registry, it promises what its finding expected."""
    lines = {result.property_id: result.worst[1].expected for result in outcome.properties if result.worst}
    return lines | {part.id: part.promise for part in properties().values()}


def _prose(text: str) -> Markup:
    """Return a sentence in which `words` between backticks are code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _text(name: str) -> Markup:
    """Return a file of ours that goes into the page as it is."""
    return Markup(resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8"))  # noqa: S704 - ours


def _sections(
    page: Environment,
    outcome: Outcome,
    runs: Sequence[RunResult],
    anchors: Mapping[int, str],
    kept: Mapping[int, Files],
    room: int,
    *,
    is_red: bool,
) -> tuple[list[Markup], int]:
    """Return a section for each run, and how much room is left: full ones first, then without pictures."""
    template = page.get_template("run.html.j2")
    done: list[Markup] = []
    is_roomy = True
    for place, run in enumerate(runs):
        for is_full in (True, False):
            if is_full and (place >= FULL_MAX or not is_roomy or not run.history.events):
                continue
            view = _view(run, outcome, anchors[id(run)], kept[id(run)], is_full=is_full, is_red=is_red)
            text = template.render(view=view, is_red=is_red)
            if len(text) <= room or not is_full:
                break
            is_roomy = False
        done.append(Markup(text))  # noqa: S704 - rendered with escaping on
        room -= len(text)
    return done, room


def _view(run: RunResult, outcome: Outcome, anchor: str, files: Files, *, is_full: bool, is_red: bool) -> RunView:
    bad = tuple(f for f in run.findings if f.verdict is not Verdict.HELD)
    moment_ns = next((f.at_ns for f in bad if f.verdict is Verdict.BROKEN and f.at_ns is not None), None)
    looks, left_out = _chosen_looks(looks_of(run), moment_ns)
    events = [event for event in run.history.events if event.name != "log"]
    around = next((i for i, e in enumerate(events) if moment_ns is not None and e.time_ns >= moment_ns), len(events))
    first = max(min(around - EVENTS_MAX // 2, len(events) - EVENTS_MAX), 0)
    return RunView(
        anchor,
        run,
        bad if is_red else run.findings,
        files,
        picture_of(run, moment_ns) if is_full else None,
        moment_ns,
        looks if is_full else (),
        left_out,
        nearest_diff(run, outcome.runs) if is_red else "",
        tuple(events[first : first + EVENTS_MAX]) if is_full and is_red else (),
    )


def _chosen_looks(looks: Sequence[DiskLook], moment_ns: int | None) -> tuple[tuple[DiskLook, ...], int]:
    """Return the looks at which something changed, those before the moment of violation preferred."""
    changed = [
        look for i, look in enumerate(looks) if i == 0 or look.files != looks[i - 1].files or i == len(looks) - 1
    ]
    until = sum(moment_ns is None or look.time_ns <= moment_ns for look in changed) + 1
    first = max(min(until, len(changed)) - LOOKS_MAX, 0)
    return tuple(changed[first : first + LOOKS_MAX]), max(len(changed) - LOOKS_MAX, 0)


def _red_properties(outcome: Outcome) -> list[PropertyResult]:
    """Return what is broken, then what was asked for and is not proven."""
    broken = [r for r in outcome.properties if r.verdict is Verdict.BROKEN]
    unknown = [r for r in outcome.properties if r.verdict is Verdict.UNKNOWN]
    idle = [r for r in outcome.properties if r.asked and r.findings and r.verdict is Verdict.NOT_EXERCISED]
    return [*broken, *unknown, *idle]


def _faults(outcome: Outcome) -> list[tuple[str, int]]:
    fired: dict[str, int] = {}
    for run in outcome.runs:
        for name, times in run.faults_fired.items():
            fired[name] = fired.get(name, 0) + times
    return sorted(fired.items(), key=lambda item: (-item[1], item[0]))


def _rhythms(outcome: Outcome) -> list[tuple[str, list[Rhythm]]]:
    worlds = dict.fromkeys(run.world for run in outcome.runs)
    return [(world, rows) for world in worlds if (rows := rhythms(outcome.runs, world))]


def _coverage(outcome: Outcome) -> dict[str, object]:
    """Return the tables of faults and operations, and of properties and faults, as the template needs them."""
    rows = table(run.met for run in outcome.runs)
    pairs = tried_by_fault(outcome)
    tried = [
        (property_id, [(fault, count, excluded_one_in(count)) for fault, count in faults.items()])
        for property_id, faults in pairs.items()
    ]
    return {
        "table": rows, "columns": columns(rows), "empty": len(empty_cells(rows)), "calls": disk_calls(rows),
        "tried": tried, "excluded": excluded_words(pairs) if pairs else "",
    }  # fmt: skip
