"""The catalogue as a page of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = """# The guarantees, and what proves them

A WATS client service promises: *a test report is on the server or kept locally until the problem is solved; never lost,
never silently stuck.* Eight guarantees, each split into properties that a machine can check; ids are stable.

Engines: **S** simulation in virtual time · **K** enumerated crash states of the disk · **L** live processes ·
**P** property-based fuzzing · **G** real Qt. A property without a scenario is *not exercised*, which is not held.

This page is made by `pywats-chaos list --markdown`; a test fails when it is stale.
"""


def guarantees_page(contents: Mapping[str, Any]) -> str:
    """Return the page for what ``catalogue`` returns."""
    lines = [HEAD]
    for guarantee in contents["guarantees"]:
        critical = " (critical)" if guarantee["critical"] else ""
        lines.append(f"## {guarantee['id']} – {guarantee['title']}{critical}\n")
        lines.append("| id | property | engines | proven by |\n|---|---|---|---|")
        for part in contents["properties"]:
            if part["id"].partition(".")[0] == guarantee["id"]:
                proofs = "<br>".join(f"`{name}`" for name in part["scenarios"]) or "–"
                lines.append(f"| {part['id']} | {_cell(part['promise'])} | {' '.join(part['engines'])} | {proofs} |")
        lines.append("")
    lines.append("## Scenarios\n\n| scenario | what happens | faults that must fire |\n|---|---|---|")
    for story in contents["scenarios"]:
        faults = ", ".join(story["faults"])
        lines.append(f"| `{story['name']}` | {_cell(story['sentence'])} | {_cell(faults)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
