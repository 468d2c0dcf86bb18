"""The catalogue as a page of the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """# The guarantees, and what proves them

A WATS client service promises: *a test report is on the server or kept locally until the problem is solved; never lost,
never silently stuck.* Eight guarantees, each split into properties that a machine can check; ids are stable.

Engines: **S** simulation in virtual time · **K** enumerated crash states of the disk · **L** live processes ·
**P** property-based fuzzing · **G** real Qt. A property without a scenario is *not exercised*, which is not held.
*Mutants* counts the planted mistakes that the property's proof must find (the table at the end says which).

This page is made by `pywats-chaos list --markdown`; a test fails when it is stale.
"""


WORLDS = {"sim": "simulation", "crash": "crash states", "live": "live"}


def guarantees_page(contents: Mapping[str, Any]) -> str:
    """Return the page for what ``catalogue`` returns."""
    lines, worlds = [HEAD], {story["name"]: story["worlds"] for story in contents["scenarios"]}
    for guarantee in contents["guarantees"]:
        critical = " (critical)" if guarantee["critical"] else ""
        lines.append(f"## {guarantee['id']} – {guarantee['title']}{critical}\n")
        lines.append("| id | property | engines | proven by | mutants |\n|---|---|---|---|---|")
        for part in contents["properties"]:
            if part["id"].partition(".")[0] == guarantee["id"]:
                cells = (part["id"], _cell(part["promise"]), " ".join(part["engines"]), _proofs(part, worlds))
                lines.append(f"| {' | '.join(cells)} | {part['mutants']} |")
        lines.append("")
    lines.append("## Scenarios\n\n| scenario | what happens | worlds | faults that must fire |\n|---|---|---|---|")
    for story in contents["scenarios"]:
        faults, places = ", ".join(story["faults"]), ", ".join(WORLDS.get(world, world) for world in story["worlds"])
        lines.append(f"| `{story['name']}` | {_cell(story['sentence'])} | {places} | {_cell(faults)} |")
    lines.append("\n## Mutants\n\n| mutant | the mistake, as its author would defend it |\n|---|---|")
    lines += [f"| `{mutant['name']}` | {_cell(mutant['sentence'])} |" for mutant in contents["mutants"]]
    return "\n".join(lines) + "\n"


def _proofs(part: Mapping[str, Any], worlds: Mapping[str, Sequence[str]]) -> str:
    """Return the scenarios of a property, world by world; one that plays in two is named in both."""
    blocks = []
    for world, title in WORLDS.items():
        names = [f"`{name}`" for name in part["scenarios"] if world in worlds[name]]
        if names:
            blocks.append(f"*{title}*: {'<br>'.join(names)}")
    return "<br>".join(blocks) or "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
