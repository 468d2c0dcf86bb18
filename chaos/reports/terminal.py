"""What a person at a terminal sees: progress while it runs, then the table of guarantees and what broke, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from chaos.outcome import Outcome, PropertyResult
from chaos.verdict import Verdict

WIDTH_MAX = 120
STYLES: Mapping[Verdict, str] = {
    Verdict.HELD: "green",
    Verdict.BROKEN: "bold red",
    Verdict.UNKNOWN: "yellow",
    Verdict.NOT_EXERCISED: "dim",
    Verdict.NOT_AVAILABLE: "magenta",
}


def show_outcome(outcome: Outcome, titles: Mapping[str, str], promises: Mapping[str, str], console: Console) -> None:
    """Print the whole outcome: proven properties, what broke or is unproven, the totals.

    ``titles`` are the guarantees by id, ``promises`` the properties' texts by id.
    """
    proven = [result for result in outcome.properties if result.findings]
    console.print(_guarantees(outcome, titles, console.width))
    if proven:
        console.print(_properties(proven, promises, console.width))
    for result in outcome.properties:
        if result.findings and result.verdict is not Verdict.HELD:
            console.print(_story(result, promises[result.property_id]))
    console.print(_totals(outcome))


def _guarantees(outcome: Outcome, titles: Mapping[str, str], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", width=min(width, WIDTH_MAX))
    table.add_column("guarantee", no_wrap=True, width=9)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("properties", no_wrap=True, width=15)
    table.add_column("", no_wrap=True, width=10)
    for guarantee_id, title in titles.items():
        results = [r for r in outcome.properties if r.property_id.partition(".")[0] == guarantee_id]
        if not results:
            continue
        held = sum(r.verdict is Verdict.HELD for r in results)
        table.add_row(guarantee_id, escape(title), _bar(results), f"{held}/{len(results)} held")
    return table


def _bar(results: list[PropertyResult]) -> Text:
    bar = Text()
    for result in results:
        filled = result.verdict is not Verdict.NOT_EXERCISED or result.findings
        bar.append("█" if filled else "░", STYLES[result.verdict])
    return bar


def _properties(results: list[PropertyResult], promises: Mapping[str, str], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", width=min(width, WIDTH_MAX))
    table.add_column("property", no_wrap=True, width=9)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("verdict", no_wrap=True, width=13)
    table.add_column("runs", justify="right", no_wrap=True, width=4)
    table.add_column("faults", justify="right", no_wrap=True, width=6)
    for result in results:
        runs = len({id(run) for run, _ in result.findings})
        verdict = Text(str(result.verdict), STYLES[result.verdict])
        promise = escape(promises[result.property_id])
        table.add_row(result.property_id, promise, verdict, str(runs), f"{result.faults_fired:,}")
    return table


def _story(result: PropertyResult, promise: str) -> RenderableType:
    assert result.worst is not None, "a result with findings has a worst one"
    run, finding = result.worst
    head = Text(f"\n{result.property_id} {str(result.verdict).upper()}  ", STYLES[result.verdict])
    head.append(promise, "default")
    rows = Table(box=None, show_header=False, padding=(0, 2), pad_edge=True)
    rows.add_row("expected", escape(finding.expected))
    rows.add_row("found", escape(finding.found))
    if run.error and run.error != finding.found:
        rows.add_row("run", escape(run.error))
    if finding.hint:
        rows.add_row("cause?", escape(finding.hint))
    rows.add_row("replay", Text(run.replay, "bold"))
    return Group(head, rows)


def _totals(outcome: Outcome) -> Text:
    counts = {verdict: outcome.count(verdict) for verdict in Verdict}
    words = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict] or verdict in _ALWAYS]
    fired = sum(sum(run.faults_fired.values()) for run in outcome.runs)
    minutes, seconds = divmod(round(outcome.took_s), 60)
    text = Text(f"\n{len(outcome.properties)} properties: " + ", ".join(words), "bold")
    text.append(f"\n{len(outcome.runs)} runs · {fired:,} faults fired · {minutes} min {seconds} s", "default")
    if outcome.interrupted:
        text.append("\ninterrupted: what had ended by then is shown", "yellow")
    for note in outcome.notes:
        text.append(f"\n{note}", "default")
    return text


_ALWAYS = (Verdict.HELD, Verdict.BROKEN)


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
