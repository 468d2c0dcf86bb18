"""What a person at a terminal sees: progress while it runs, then the table of guarantees and what broke, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from chaos.outcome import ChangeKind, ExitCode, Outcome, PropertyResult, RunResult
from chaos.reports.evidence_json import absences
from chaos.reports.headline import counts_line, duration, headline
from chaos.reports.matrix import WORLD_TITLES, Block, matrix, worlds_of
from chaos.reports.scale import seconds
from chaos.reports.strength import total_words
from chaos.reports.timeline_text import legend, timeline_text
from chaos.verdict import Finding, Verdict

WIDTH_MAX = 120
STYLES: Mapping[Verdict, str] = {
    Verdict.HELD: "green",
    Verdict.BROKEN: "bold red",
    Verdict.UNKNOWN: "yellow",
    Verdict.NOT_EXERCISED: "dim",
    Verdict.NOT_AVAILABLE: "magenta",
}
CHANGED: Mapping[ChangeKind, str] = {
    ChangeKind.WORSE: "bold red",
    ChangeKind.WEAKER: "red",
    ChangeKind.SLOWER: "yellow",
    ChangeKind.BETTER: "green",
}
FEW, PICTURES_MAX = 12, 5
ID_WIDTH, BAR_WIDTH, HELD_WIDTH, WORLD_WIDTH_MIN, TITLE_WIDTH_MIN = 9, 15, 10, 10, 18


def show_outcome(outcome: Outcome, promises: Mapping[str, str], console: Console) -> None:
    """Print the whole outcome: the guarantees by world, what broke or is unproven with its picture, the totals.

    ``promises`` are the properties' texts by id.
    """
    spoken = [result for result in outcome.properties if result.findings]
    if matrix(outcome):  # The lines of an experiment belong to no guarantee of ours.
        console.print(_guarantees(outcome, console.width))
    if len(spoken) <= FEW:
        console.print(_properties(spoken, promises, console.width))
    shown: set[int] = set()
    for result in _reddest_first(spoken):
        assert result.worst is not None, "a result with findings has a worst one"
        run, finding = result.worst
        console.print(_story(result, run, finding, promises[result.property_id]))
        replay = Text.assemble("  replay      ", (run.replay, "bold"))
        console.print(replay, soft_wrap=True)  # One line, however narrow the terminal: it is there to be copied.
        if id(run) not in shown and run.history.events and len(shown) < PICTURES_MAX:
            console.print(_picture(run, console.width))
            shown.add(id(run))
    console.print(_totals(outcome))


def _reddest_first(results: Sequence[PropertyResult]) -> list[PropertyResult]:
    order = (Verdict.BROKEN, Verdict.UNKNOWN, Verdict.NOT_EXERCISED, Verdict.NOT_AVAILABLE)
    return sorted((r for r in results if r.verdict in order), key=lambda result: order.index(result.verdict))


def _guarantees(outcome: Outcome, width: int) -> Table:
    worlds = [world for world in worlds_of(outcome) if any(run.world == world for run in outcome.runs)]
    columns = [(WORLD_TITLES.get(world, world), WORLD_WIDTH_MIN) for world in worlds]
    columns += [("mutants", 12)] if outcome.mutants else []
    widths = [max(len(title), least) for title, least in columns]
    table = Table(box=None, pad_edge=False, header_style="dim", width=min(width, WIDTH_MAX))
    table.add_column("guarantee", no_wrap=True, width=ID_WIDTH)
    left = table.width - ID_WIDTH - BAR_WIDTH - HELD_WIDTH - sum(widths) - len(widths) - 3 if table.width else 0
    has_titles = left >= TITLE_WIDTH_MIN  # A title of three letters says nothing: a narrow terminal goes without.
    if has_titles:
        table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("properties", no_wrap=True, width=BAR_WIDTH)
    table.add_column("", no_wrap=True, width=HELD_WIDTH)
    for (title, _), wide in zip(columns, widths, strict=True):
        table.add_column(title, no_wrap=True, width=wide)
    for block in matrix(outcome):
        results = [row.result for row in block.rows]
        cells: list[Text | str] = [block.guarantee.id, *([escape(block.guarantee.title)] if has_titles else [])]
        cells += [_bar(results), f"{block.held}/{len(results)} held", *(_in_world(results, world) for world in worlds)]
        table.add_row(*cells, *([_mutants(block)] if outcome.mutants else []))
    return table


def _mutants(block: Block) -> Text:
    found = sum(row.strength.mutants_found for row in block.rows)
    tried = sum(row.strength.mutants for row in block.rows)
    return Text(f"{found}/{tried} found" if tried else "–", "green" if found == tried else "bold red")


def _in_world(results: Sequence[PropertyResult], world: str) -> Text:
    """Return how many of the properties held there, of those that a run there spoke of."""
    parts = [part for result in results if (part := result.within(world)).findings]
    worst = next((v for v in STYLES if v is not Verdict.HELD and any(p.verdict is v for p in parts)), Verdict.HELD)
    held = sum(part.verdict is Verdict.HELD for part in parts)
    return Text(f"{held}/{len(parts)} held" if parts else "–", STYLES[worst] if parts else "dim")


def _bar(results: Sequence[PropertyResult]) -> Text:
    bar = Text()
    for result in results:
        filled = result.verdict is not Verdict.NOT_EXERCISED or result.findings
        bar.append("█" if filled else "░", STYLES[result.verdict])
    return bar


def _properties(results: Sequence[PropertyResult], promises: Mapping[str, str], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", width=min(width, WIDTH_MAX))
    longest = max((len(result.property_id) for result in results), default=0)
    table.add_column("property", no_wrap=True, overflow="ellipsis", width=max(9, min(longest, width // 3)))
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("verdict", no_wrap=True, width=13)
    table.add_column("runs", justify="right", no_wrap=True, width=6)
    table.add_column("faults", justify="right", no_wrap=True, width=6)
    for result in results:
        verdict = Text(str(result.verdict), STYLES[result.verdict])
        promise = escape(promises[result.property_id])
        table.add_row(result.property_id, promise, verdict, f"{result.schedules:,}", f"{result.faults_fired:,}")
    return table


def _story(result: PropertyResult, run: RunResult, finding: Finding, promise: str) -> RenderableType:
    head = Text(f"\n{result.property_id} {str(result.verdict).upper()}  ", STYLES[result.verdict])
    head.append(promise, "default")
    rows = Table(box=None, show_header=False, padding=(0, 2), pad_edge=True)
    rows.add_row("expected", escape(finding.expected))
    rows.add_row("found", escape(finding.found))
    if finding.checker:
        rows.add_row("judged by", escape(finding.checker))
    if finding.at_ns is not None:
        rows.add_row("seen", f"{seconds(finding.at_ns)} after the start of the run")
    if run.plan:
        rows.add_row("smallest", escape(run.plan))
    if run.error and finding.expected not in run.error and run.error != finding.found:
        rows.add_row("run", escape(run.error))
    if finding.hint:
        rows.add_row("cause?", escape(finding.hint))
    return Group(head, rows)


def _picture(run: RunResult, width: int) -> RenderableType:
    bad = (finding.at_ns for finding in run.findings if finding.verdict is Verdict.BROKEN)
    moment_ns = next((at_ns for at_ns in bad if at_ns is not None), None)
    return Group("", *timeline_text(run.history, min(width, WIDTH_MAX), moment_ns=moment_ns), legend())


def _totals(outcome: Outcome) -> Text:
    style = "bold green" if outcome.exit_code is ExitCode.HELD else "bold red"
    text = Text.assemble("\n", (headline(outcome), style), f"\n{counts_line(outcome)}")
    for absence in absences(outcome):
        ids = " ".join(absence["properties"])
        text.append(f"\nnot available here ({ids}): {absence['what']}: {absence['reason']}", "magenta")
    for mutant in (mutant for mutant in outcome.mutants if not mutant.found):
        text.append(f"\nmutant not found: {mutant.name} ({mutant.world}): {mutant.sentence}", "red")
    for divergence in outcome.divergences:
        text.append(f"\nnot the same twice: {divergence}", "bold red")
        text.append(f"\nsee it with: pywats-chaos replay '{divergence.trial}' --trace", "red")
    for change in outcome.changes:
        allowed = " (allowed)" if change.allowed else ""
        text.append(
            f"\n{change.kind}{allowed}: {change.subject}: {change.before} → {change.after}", CHANGED[change.kind]
        )
    text.append(f"\n{' · '.join(total_words(outcome))} · {duration(outcome.took_s)}", "default")
    if outcome.interrupted:
        text.append("\ninterrupted: what had ended by then is shown", "yellow")
    for note in outcome.notes:
        text.append(f"\n{note}", "default")
    return text


def show_catalogue(contents: Mapping[str, Any], console: Console) -> None:
    """Print what ``catalogue`` returns: properties with what proves them, then scenarios with their faults."""
    table = Table("property", "promise", "proven by", box=None, pad_edge=False, header_style="dim")
    for part in contents["properties"]:
        proofs = "\n".join(part["scenarios"]) or "–"
        table.add_row(part["id"], escape(part["promise"]), escape(proofs))
    console.print(table)
    stories = Table("scenario", "what happens", "faults that must fire", box=None, pad_edge=False, header_style="dim")
    for story in contents["scenarios"]:
        stories.add_row(escape(story["name"]), escape(story["sentence"]), escape(", ".join(story["faults"])))
    console.print("")
    console.print(stories)
