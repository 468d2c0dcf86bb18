"""The outcome of a campaign as a JSON document, and back; its shape is published in ``evidence.schema.json``.

* The same outcome gives the same bytes. Times are in fields that end in ``_s``, ``_at`` or ``_ns``.
* Histories, traces, logs and disks are files beside the document; ``files`` of a run names them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from typing import Any

from chaos.errors import UsageError
from chaos.history import History
from chaos.outcome import (
    Change,
    ChangeKind,
    DiskLook,
    Divergence,
    Fact,
    Header,
    MutantResult,
    Outcome,
    PropertyResult,
    RunResult,
    by_property,
)
from chaos.reports.strength import excluded_one_in, strength_of, tried_by_fault
from chaos.verdict import Finding, Verdict

SCHEMA_VERSION = 2
Files = Mapping[str, str]
NO_FILES: Files = {}


def schema() -> dict[str, Any]:
    """Return the JSON schema of the document."""
    text = resources.files(__package__).joinpath("evidence.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def to_json(outcome: Outcome, files: Sequence[Files] = ()) -> str:
    """Return the outcome as a JSON text; ``files`` gives for each run the paths of what is kept beside it."""
    return json.dumps(to_document(outcome, files), indent=2, ensure_ascii=False) + "\n"


def to_document(outcome: Outcome, files: Sequence[Files] = ()) -> dict[str, Any]:
    """Return the outcome as JSON data."""
    header = outcome.header
    tried = tried_by_fault(outcome)
    kept = files or [NO_FILES] * len(outcome.runs)
    return {
        "schema_version": SCHEMA_VERSION,
        "version": header.version,
        "subject": header.subject,
        "profile": header.profile,
        "shard": header.shard,
        "seed": header.seed,
        "commit": header.commit,
        "python": header.python,
        "platform": header.platform,
        "versions": dict(sorted(header.versions.items())),
        "limits": dict(sorted(header.limits.items())),
        "began_at": header.began_at,
        "took_s": round(outcome.took_s, 3),
        "exit_code": int(outcome.exit_code),
        "interrupted": outcome.interrupted,
        "totals": _totals(outcome),
        "properties": [_property(result, tried.get(result.property_id, {})) for result in outcome.properties],
        "runs": [_run(run, beside) for run, beside in zip(outcome.runs, kept, strict=True)],
        "mutants": [_mutant(mutant) for mutant in outcome.mutants],
        "not_available": absences(outcome),
        "against": outcome.against,
        "changes": [_change(change) for change in outcome.changes],
        "notes": list(outcome.notes),
    }


def absences(outcome: Outcome) -> list[dict[str, Any]]:
    """Return what was not available, why, and which properties it would have been needed for."""
    found: dict[tuple[str, str], list[str]] = {}
    for result in outcome.properties:
        for _, finding in result.findings:
            if finding.verdict is Verdict.NOT_AVAILABLE:
                needs = found.setdefault((finding.expected, finding.found), [])
                if result.property_id not in needs:
                    needs.append(result.property_id)
    return [{"what": what, "reason": reason, "properties": ids} for (what, reason), ids in found.items()]


def from_document(document: Mapping[str, Any], read: Sequence[Files] = ()) -> Outcome:
    """Return the outcome that a document was written from; ``read`` gives the texts of each run's files.

    Raises ``UsageError`` for a document of another version.
    """
    if document.get("schema_version") != SCHEMA_VERSION:
        found = repr(document.get("schema_version"))
        raise UsageError(f"evidence of version {SCHEMA_VERSION}", found, "run `pywats-chaos verify` again")
    header = Header(
        **{key: document[key] for key in ("version", "subject", "profile", "python", "platform", "seed", "commit")},
        **{key: document[key] for key in ("began_at", "shard", "versions", "limits")},
    )
    texts = read or [NO_FILES] * len(document["runs"])
    runs = tuple(_run_back(item, beside) for item, beside in zip(document["runs"], texts, strict=True))
    items = document["properties"]
    ids, asked = [p["id"] for p in items], [p["id"] for p in items if p["asked"]]
    told = by_property(ids, asked, runs, excused=[p["id"] for p in items if p["excused"]])
    mutants = tuple(MutantResult(**item) for item in document["mutants"])
    changes = tuple(Change(**{**item, "kind": ChangeKind(item["kind"])}) for item in document["changes"])
    return Outcome(
        header,
        told,
        runs,
        document["took_s"],
        interrupted=document["interrupted"],
        notes=tuple(document["notes"]),
        mutants=mutants,
        against=document["against"],
        changes=changes,
    )


def _totals(outcome: Outcome) -> dict[str, Any]:
    strength = strength_of(outcome.runs, outcome.mutants)
    return {
        "properties": {str(verdict): outcome.count(verdict) for verdict in Verdict},
        "runs": strength.runs,
        "schedules": strength.schedules,
        "faults_fired": strength.faults_fired,
        "marks_reached": strength.marks,
        "mutants": strength.mutants,
        "mutants_found": strength.mutants_found,
        "excluded_one_in": strength.excluded_one_in,
        "facts": {str(fact): total for fact in Fact if (total := outcome.total(fact))},
    }


def _property(result: PropertyResult, tried: Mapping[str, int]) -> dict[str, Any]:
    worlds = sorted({run.world for run in result.runs})
    return {
        "id": result.property_id,
        "verdict": str(result.verdict),
        "asked": result.asked,
        "excused": result.excused,
        **_counts(result),
        "faults": {
            fault: {"schedules": count, "excluded_one_in": excluded_one_in(count)} for fault, count in tried.items()
        },
        "checkers": {name: str(verdict) for name, verdict in result.checkers.items()},
        "worlds": {
            world: {"verdict": str(part.verdict), **_counts(part)}
            for world, part in ((world, result.within(world)) for world in worlds)
        },
    }


def _counts(result: PropertyResult) -> dict[str, Any]:
    simulated = sum(run.stands_for for run in result.runs if run.world == "sim")
    return {
        "runs": len(result.runs),
        "schedules": result.schedules,
        "faults_fired": result.faults_fired,
        "excluded_one_in": excluded_one_in(simulated),
    }


def _run(run: RunResult, files: Files) -> dict[str, Any]:
    return {
        "scenario": run.scenario,
        "world": run.world,
        "seed": run.seed,
        "verdict": str(run.verdict),
        "policy": run.policy,
        "plan": run.plan,
        "shrunk_from": run.shrunk_from,
        "stands_for": run.stands_for,
        "took_s": round(run.took_s, 3),
        "faults_fired": dict(sorted(run.faults_fired.items())),
        "marks": dict(sorted(run.marks.items())),
        "met": dict(sorted(run.met.items())),
        "tried": dict(sorted(run.tried.items())),
        "facts": dict(sorted(run.facts.items())),
        "error": run.error,
        "replay": run.replay,
        "findings": [_finding(finding) for finding in run.findings],
        "divergences": [asdict(divergence) for divergence in run.divergences],
        "files": dict(files),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "property": finding.property_id,
        "verdict": str(finding.verdict),
        "expected": finding.expected,
        "found": finding.found,
        "hint": finding.hint,
        "at_ns": finding.at_ns,
        "checker": finding.checker,
        "idle": finding.is_idle,
    }


def _run_back(item: Mapping[str, Any], texts: Mapping[str, str]) -> RunResult:
    findings = tuple(map(_finding_back, item["findings"]))
    same = ("scenario", "world", "seed", "faults_fired", "took_s", "error", "policy", "plan", "shrunk_from")
    return RunResult(
        **{key: item[key] for key in (*same, "marks", "facts", "stands_for")},
        met=item.get("met", {}),  # Evidence written before there were these tables can still be a baseline.
        tried=item.get("tried", {}),
        findings=findings,
        divergences=tuple(Divergence(**found) for found in item.get("divergences", ())),
        history=History.from_lines(texts.get("history", "")),
        log=texts.get("log", ""),
        trace=texts.get("trace", ""),
        nearest=texts.get("nearest", ""),
        disk=looks_from_json(texts.get("disk", "[]")),
        replay_line=item["replay"],
    )


def _finding_back(item: Mapping[str, Any]) -> Finding:
    same = {key: item[key] for key in ("expected", "found", "hint", "at_ns")}
    who, is_idle = item.get("checker", ""), item.get("idle", False)  # Earlier evidence does not say who judged.
    return Finding(item["property"], Verdict(item["verdict"]), **same, checker=who, is_idle=is_idle)


def looks_to_json(run: RunResult) -> str:
    """Return the run's disk, step by step, as JSON."""
    looks = [{"time_ns": look.time_ns, "when": look.when, "files": dict(look.files)} for look in run.disk]
    return json.dumps(looks, indent=1, ensure_ascii=False) + "\n"


def looks_from_json(text: str) -> tuple[DiskLook, ...]:
    """Return what ``looks_to_json`` wrote."""
    return tuple(DiskLook(**look) for look in json.loads(text))


def _mutant(mutant: MutantResult) -> dict[str, Any]:
    return {
        "name": mutant.name,
        "property_id": mutant.property_id,
        "world": mutant.world,
        "found": mutant.found,
        "runs": mutant.runs,
        "took_s": round(mutant.took_s, 3),
        "sentence": mutant.sentence,
        "replay": mutant.replay,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": str(change.kind),
        "subject": change.subject,
        "before": change.before,
        "after": change.after,
        "allowed": change.allowed,
    }
