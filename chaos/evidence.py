"""The evidence folder of a campaign: reports for people and programs, and per run that did not hold all it left.

```
report.html  summary.md  evidence.json  junit.xml  metrics.txt
failures/<scenario>-<world>-<seed>/   replay.txt  history.jsonl  trace.txt  nearest.diff  disk.json  service.log
histories/<scenario>-<world>-<seed>.jsonl            the history of each run that held
```

* ``evidence.json`` is written last and in one step: what it names is there. It is also the checkpoint of a soak.
* Files of an earlier campaign in the same folder are removed, but only those that its ``evidence.json`` names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from chaos.errors import UsageError
from chaos.outcome import Outcome, RunResult
from chaos.reports.evidence_json import Files, from_document, looks_to_json, to_json
from chaos.reports.html import to_html
from chaos.reports.junit import write_junit
from chaos.reports.openmetrics import to_openmetrics
from chaos.reports.summary import to_summary
from chaos.verdict import Verdict

DOCUMENT = "evidence.json"
FOLDERS = ("failures", "histories")
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def write_evidence(outcome: Outcome, folder: Path) -> str:
    """Write everything; return the text of ``evidence.json``. Raises ``UsageError`` where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = _named_files(folder)
        files = _write_runs(outcome, folder)
        (folder / "report.html").write_text(to_html(outcome, files), encoding="utf-8")
        (folder / "summary.md").write_text(to_summary(outcome), encoding="utf-8")
        (folder / "metrics.txt").write_text(to_openmetrics(outcome), encoding="utf-8")
        write_junit(outcome, folder / "junit.xml")
        document = to_json(outcome, files)
        _write_at_once(folder / DOCUMENT, document)
        _remove(folder, earlier - {path for beside in files for path in beside.values()})
        return document
    except OSError as error:
        raise UsageError(f"a folder to write to at {folder}", str(error.strerror or error), "name another") from error


def tell_ci(outcome: Outcome) -> None:
    """Append the summary to the file that GitHub shows with a job, where there is one. Raises ``UsageError``."""
    if not (target := os.environ.get(STEP_SUMMARY)):
        return
    try:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(to_summary(outcome))
    except OSError as error:
        raise UsageError(f"a file to append to in {STEP_SUMMARY}", str(error), "set it to a writable file") from error


def read_evidence(place: Path) -> Outcome:
    """Return the outcome that was written to a folder (or to its ``evidence.json``). Raises ``UsageError``.

    Files that are no longer beside the document are left out: histories, traces and disks are then empty.
    """
    path = place / DOCUMENT if place.is_dir() else place
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        texts = [_texts(path.parent, run["files"]) for run in document["runs"]]
        return from_document(document, texts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        advice = "name a folder that `pywats-chaos verify --out` has written"
        raise UsageError(f"evidence at {path}", f"{type(error).__name__}: {error}", advice) from error


def _write_runs(outcome: Outcome, folder: Path) -> list[Files]:
    files: list[Files] = []
    taken: set[str] = set()
    for run in outcome.runs:
        name = stem = re.sub(r"[^\w.=-]+", "-", f"{run.scenario}-{run.world}-{run.seed}")
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        files.append(_write_run(run, folder, name))
    return files


def _write_run(run: RunResult, folder: Path, name: str) -> Files:
    held = run.verdict in (Verdict.HELD, Verdict.NOT_AVAILABLE)
    files = {}
    for kind, file_name, text in _contents(run):
        if not text or (held and kind != "history"):
            continue
        relative = f"histories/{name}.jsonl" if held else f"failures/{name}/{file_name}"
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_text(text, encoding="utf-8")
        files[kind] = relative
    return files


def _contents(run: RunResult) -> Iterator[tuple[str, str, str]]:
    yield "replay", "replay.txt", f"{run.replay}\n"
    yield "history", "history.jsonl", run.history.to_lines()
    yield "trace", "trace.txt", run.trace
    yield "nearest", "nearest.diff", run.nearest
    yield "disk", "disk.json", looks_to_json(run) if run.disk else ""
    yield "log", "service.log", run.log


def _texts(folder: Path, files: Mapping[str, str]) -> Files:
    there = {kind: folder / relative for kind, relative in files.items() if _is_ours(relative)}
    return {kind: path.read_text(encoding="utf-8") for kind, path in there.items() if path.is_file()}


def _write_at_once(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.new")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def _named_files(folder: Path) -> set[str]:
    """Return the files that an earlier document in this folder names; none when there is no readable one."""
    try:
        runs = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))["runs"]
        return {path for run in runs for path in run["files"].values() if _is_ours(path)}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _is_ours(relative: str) -> bool:
    parts = Path(relative).parts
    return bool(parts) and parts[0] in FOLDERS and ".." not in parts


def _remove(folder: Path, names: set[str]) -> None:
    for name in sorted(names):
        path = folder / name
        path.unlink(missing_ok=True)
        if path.parent.name not in FOLDERS and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
