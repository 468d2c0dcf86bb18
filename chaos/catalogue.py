"""What there is: properties, scenarios and faults, and what proves what. Values for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaos.guarantees import ENGINES, find_property, guarantees
from chaos.protocols import Checker, Scenario, checker_name


def catalogue(scenarios: Sequence[Scenario], mutants: Sequence[tuple[str, str, str]] = ()) -> dict[str, Any]:
    """Return guarantees, properties (with what proves them), scenarios, faults and mutants as JSON data.

    ``mutants`` are the property, the name and the sentence of each.
    """
    return {
        "guarantees": [{"id": g.id, "title": g.title, "critical": g.critical} for g in guarantees()],
        "properties": [
            {
                "id": p.id,
                "promise": p.promise,
                "engines": list(p.engines),
                "scenarios": [s.name for s in scenarios if p.id in s.proves],
                "mutants": sum(part == p.id for part, _, _ in mutants),
            }
            for g in guarantees()
            for p in g.properties
        ],
        "scenarios": [
            {
                "name": s.name,
                "sentence": s.sentence,
                "proves": list(s.proves),
                "worlds": [str(world) for world in s.worlds],
                "faults": list(s.faults),
                "judged_by": list(s.judged_by),
            }
            for s in scenarios
        ],
        "faults": sorted({fault for s in scenarios for fault in s.faults}),
        "mutants": [{"property": part, "name": name, "sentence": sentence} for part, name, sentence in mutants],
    }


def explanation(
    property_id: str,
    scenarios: Sequence[Scenario],
    mutants: Sequence[tuple[str, str, str]] = (),
    checkers: Sequence[Checker] = (),
) -> str:
    """Return what the property promises and what puts it to the proof, as lines of text. Raises ``UsageError``.

    ``mutants`` are the property, the name and the sentence of each; ``checkers`` those that judge it.
    """
    found = find_property(property_id)
    guarantee = next(g for g in guarantees() if g.id == found.guarantee_id)
    lines = [
        f"{found.id}  (part of {guarantee.id}: {guarantee.title})",
        f"  promise    {found.promise}",
        f"  faults     {found.faults or '–'}",
        "  engines    " + "; ".join(f"{letter} {ENGINES[letter]}" for letter in found.engines),
    ]
    stories = [s for s in scenarios if found.id in s.proves]
    for story in stories:
        lines.append(f"  scenario   {story.name} ({', '.join(story.worlds)}): {story.sentence}")
        lines.append(f"             pywats-chaos run {story.name}")
    if not stories:
        lines.append("  scenario   none yet: not exercised")
    for check in checkers:
        asking = [story.name for story in stories if checker_name(check) in story.judged_by]
        where = f" (must judge {', '.join(asking)})" if asking else ""
        lines.append(f"  checker    {checker_name(check)}: {_sentence(check)}{where}")
    mine = [(name, sentence) for part, name, sentence in mutants if part == found.id]
    lines += [f"  mutant     {name}: {sentence}" for name, sentence in mine]
    if not mine:
        lines.append("  mutant     none yet: nothing shows that its proof can fail")
    return "\n".join(lines)


def _sentence(check: Checker) -> str:
    """Return what the checker judges, in its own words, without the ids in front."""
    words = (check.__doc__ or "no words").strip().splitlines()[0]
    return words.partition(": ")[2] or words
