"""The outcome of a campaign in Markdown, short enough for a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.outcome import Outcome, PropertyResult
from chaos.reports.headline import GLYPHS, counts_line, duration, headline, title_line
from chaos.reports.matrix import WORLD_TITLES, Cell, matrix, worlds_of
from chaos.reports.strength import total_words
from chaos.verdict import Verdict

SHOWN_MAX = 20


def to_summary(outcome: Outcome) -> str:
    """Return the text: the headline, what broke with its replay line, the guarantees by world, what changed."""
    lines = [
        f"## {'✓' if outcome.exit_code == 0 else '✗'} {headline(outcome)}\n",
        f"{title_line(outcome.header)} · {duration(outcome.took_s)}\n",
        *_broken(outcome),
        *_table(outcome),
        f"\n{counts_line(outcome)}  ",
        " · ".join(total_words(outcome)),
        *_missed(outcome),
        *_changes(outcome),
        *(f"\nnot the same twice: {divergence}" for divergence in outcome.divergences),
        *(f"\n{note}" for note in outcome.notes),
    ]
    return "\n".join(lines) + "\n"


def _broken(outcome: Outcome) -> Iterator[str]:
    red = [r for r in outcome.properties if r.verdict is Verdict.BROKEN]
    for result in red[:SHOWN_MAX]:
        yield from _story(result)
    if len(red) > SHOWN_MAX:
        yield f"… and {len(red) - SHOWN_MAX} more; the report has them all.\n"


def _story(result: PropertyResult) -> Iterator[str]:
    assert result.worst is not None, "what is broken has a finding"
    run, finding = result.worst
    yield f"### {result.property_id} broken – {_line(finding.expected)}\n"
    yield f"* found: {_line(finding.found)}"
    if finding.hint:
        yield f"* cause? {_line(finding.hint)}"
    if run.plan:
        yield f"* smallest plan: `{_line(run.plan)}`"
    yield f"\n```console\n{run.replay}\n```\n"


def _table(outcome: Outcome) -> Iterator[str]:
    worlds = [world for world in worlds_of(outcome) if any(run.world == world for run in outcome.runs)]
    places = [worlds_of(outcome).index(world) for world in worlds]
    yield "| guarantee | " + " | ".join(WORLD_TITLES.get(world, world) for world in worlds) + " | held |"
    yield "|---|" + "---|" * (len(worlds) + 1)
    for block in matrix(outcome):
        cells = [_cell([row.cells[place] for row in block.rows]) for place in places]
        held = f"{block.held}/{len(block.rows)}"
        yield f"| **{block.guarantee.id}** {_line(block.guarantee.title)} | {' | '.join(cells)} | {held} |"


def _cell(cells: list[Cell]) -> str:
    told = [cell.verdict for cell in cells if cell.verdict is not None]
    return " ".join(f"{told.count(v)} {GLYPHS[v]}" for v in Verdict if v in told) or " "


def _missed(outcome: Outcome) -> Iterator[str]:
    missed = [mutant for mutant in outcome.mutants if not mutant.found]
    if missed:
        yield "\n### Mutants that were not found\n"
    for mutant in missed[:SHOWN_MAX]:
        yield f"* `{mutant.name}` ({mutant.world}, {mutant.runs:,} runs): {_line(mutant.sentence)}"


def _changes(outcome: Outcome) -> Iterator[str]:
    if not outcome.against:
        return
    yield f"\n### Against {_line(outcome.against)}\n"
    for change in outcome.changes[:SHOWN_MAX]:
        allowed = " (allowed)" if change.allowed else ""
        yield f"* **{change.kind}**{allowed} {change.subject}: {_line(change.before)} → {_line(change.after)}"
    if not outcome.changes:
        yield "Nothing changed."


def _line(text: str) -> str:
    """Return the text as one line in which nothing is markup."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
