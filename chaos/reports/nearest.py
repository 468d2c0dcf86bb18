"""How a run that broke differs from the nearest run of the same scenario that held, as the lines of a diff."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence

from chaos.history import Event, Kind
from chaos.outcome import RunResult
from chaos.reports.timeline import LOOKS, QUIET
from chaos.verdict import Verdict

EVENTS_MAX = 400
"""Comparing costs the square of this in the worst case."""


def nearest_diff(run: RunResult, runs: Sequence[RunResult]) -> str:
    """Return what the run's engine knows, else the difference to the most similar passing run in ``runs``; or ""."""
    if run.nearest:
        return run.nearest
    passing = [r for r in runs if r.scenario == run.scenario and r.verdict is Verdict.HELD and r.history.events]
    if not passing or not run.history.events:
        return ""
    mine = _said(run)
    near = max(passing, key=lambda r: (r.world == run.world, difflib.SequenceMatcher(None, mine, _said(r)).ratio()))
    held, broke = f"held: {near.world}, seed {near.seed}", f"broke: {run.world}, seed {run.seed}"
    return "\n".join(difflib.unified_diff(_said(near), mine, held, broke, n=2, lineterm=""))


def _said(run: RunResult) -> list[str]:
    """Return the events in words that two runs can have in common: no times, ids or pids."""
    events = [event for event in run.history.events if event.name not in QUIET]
    return [_words(event) for event in events[:EVENTS_MAX]]


def _words(event: Event) -> str:
    if event.name in LOOKS:
        counts = Counter(str(copy["folder"]) for copy in event.value["reports"])
        return "folders: " + (", ".join(f"{name} {counts[name]}" for name in sorted(counts)) or "empty")
    if event.name == "deliveries":
        reports = event.value["reports"].values()
        times, effects = (sum(item[key] or 0 for item in reports) for key in ("deliveries", "effects"))
        return f"server: {len(reports)} reports, {times} deliveries, {effects} effects"
    if event.name == "status":
        return f"status: {event.value.get('status')}"
    told = event.value.get("outcome") or event.value.get("code") or event.value.get("place") or ""
    kind = "" if event.kind is Kind.OBSERVED else f" {event.kind}"
    return f"{event.name}{kind}" + (f" ({told})" if told else "")
