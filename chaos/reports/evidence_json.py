"""The outcome of a campaign as JSON, for programs."""

from __future__ import annotations

import json
from typing import Any

from chaos.outcome import Outcome, PropertyResult, RunResult

SCHEMA_VERSION = 1


def to_json(outcome: Outcome) -> str:
    """Return the outcome as a JSON text; histories are left out (they are in the evidence folder)."""
    header = outcome.header
    document = {
        "schema_version": SCHEMA_VERSION,
        "version": header.version,
        "subject": header.subject,
        "profile": header.profile,
        "python": header.python,
        "platform": header.platform,
        "seed": header.seed,
        "commit": header.commit,
        "exit_code": int(outcome.exit_code),
        "interrupted": outcome.interrupted,
        "took_s": round(outcome.took_s, 3),
        "properties": [_property(result) for result in outcome.properties],
        "runs": [_run(run) for run in outcome.runs],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _property(result: PropertyResult) -> dict[str, Any]:
    return {
        "id": result.property_id,
        "verdict": str(result.verdict),
        "asked": result.asked,
        "runs": len({id(run) for run, _ in result.findings}),
        "faults_fired": result.faults_fired,
    }


def _run(run: RunResult) -> dict[str, Any]:
    return {
        "scenario": run.scenario,
        "world": run.world,
        "seed": run.seed,
        "verdict": str(run.verdict),
        "took_s": round(run.took_s, 3),
        "faults_fired": dict(run.faults_fired),
        "error": run.error,
        "replay": run.replay,
        "findings": [
            {"property": f.property_id, "verdict": str(f.verdict), "expected": f.expected, "found": f.found}
            for f in run.findings
        ],
    }
