"""The evidence folder of a campaign: the outcome for programs, and per run that did not hold what a person needs."""

from __future__ import annotations

from pathlib import Path

from chaos.errors import UsageError
from chaos.outcome import Outcome
from chaos.reports.evidence_json import to_json
from chaos.reports.junit import write_junit
from chaos.verdict import Verdict


def write_evidence(outcome: Outcome, folder: Path) -> None:
    """Write ``evidence.json``, ``junit.xml`` and a folder for each run that did not hold. Raises ``UsageError``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evidence.json").write_text(to_json(outcome), encoding="utf-8")
        write_junit(outcome, folder / "junit.xml")
        for run in outcome.runs:
            if run.verdict is Verdict.HELD:
                continue
            place = folder / "runs" / f"{run.scenario.replace('/', '-')}-{run.world}-{run.seed}"
            place.mkdir(parents=True, exist_ok=True)
            (place / "replay.txt").write_text(f"{run.replay}\n", encoding="utf-8")
            (place / "history.jsonl").write_text(run.history.to_lines(), encoding="utf-8")
            (place / "service.log").write_text(run.log, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"a folder to write to at {folder}", str(error.strerror or error), "name another") from error
