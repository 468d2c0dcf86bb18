"""The outcome in one sentence, and when it happened: what every report says first, in the same words."""

from __future__ import annotations

from chaos.outcome import ExitCode, Header, Outcome, RunResult
from chaos.verdict import Verdict

GLYPHS = {
    Verdict.HELD: "✓",
    Verdict.BROKEN: "✗",
    Verdict.UNKNOWN: "?",
    Verdict.NOT_EXERCISED: "○",
    Verdict.NOT_AVAILABLE: "–",
}


def title_line(header: Header) -> str:
    """Return the line that opens every report."""
    shard = f"shard {header.shard}" if header.shard else ""
    parts = (header.subject, f"profile {header.profile}", shard, f"Python {header.python}", header.platform)
    words = " · ".join(part for part in (*parts, f"seed {header.seed}") if part)
    return f"pywats-reliability {header.version} · {words}"


def headline(outcome: Outcome) -> str:
    """Return what a person in a hurry must know."""
    broken, asked = outcome.count(Verdict.BROKEN), [r for r in outcome.properties if r.asked]
    if broken:
        return f"{_properties(broken)} broken"
    if outcome.exit_code is ExitCode.BROKEN:
        return "Worse or weaker than before"
    if different := len(outcome.divergences):
        words = "1 run was" if different == 1 else f"{different} runs were"
        return f"{words} not the same when repeated: the harness is at fault, and no verdict counts"
    held = sum(result.verdict is Verdict.HELD for result in asked)
    if outcome.interrupted:
        return f"Interrupted: {held} of {_properties(len(asked))} had held by then"
    if outcome.exit_code is ExitCode.NOT_PROVEN:
        missed = sum(not mutant.found for mutant in outcome.mutants)
        words = f"{held} of {len(asked)} properties held, the rest is not proven"
        return f"{missed} planted bugs were not found" if missed and held == len(asked) else words
    return f"All {held} properties that were asked for held" if held != 1 else "The property that was asked for held"


def counts_line(outcome: Outcome) -> str:
    """Return how many properties have which verdict."""
    shown = [v for v in Verdict if outcome.count(v) or v in (Verdict.HELD, Verdict.BROKEN)]
    return f"{_properties(len(outcome.properties))}: " + ", ".join(f"{outcome.count(v)} {v}" for v in shown)


def unproven_runs(outcome: Outcome) -> list[RunResult]:
    """Return the runs that did not hold, broken ones first; those that could not be had here are left out."""
    order = (Verdict.BROKEN, Verdict.UNKNOWN, Verdict.NOT_EXERCISED)
    return sorted((run for run in outcome.runs if run.verdict in order), key=lambda run: order.index(run.verdict))


def duration(seconds: float) -> str:
    """Return a duration in words: ``1 min 52 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _properties(number: int) -> str:
    return f"{number} {'property' if number == 1 else 'properties'}"
