"""Looking whether a line of the steady state holds: by the server, HTTP, a folder, the log, the end, or a command."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.errors import DeadlineError
from chaos.experiment.model import HttpLine, Line, LogLine, ProcessLine, ServerLine
from chaos.experiment.stage import Stage

ASKED_TIMES = 20
COMMAND_LIMIT_S = 10.0
NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. ``holds`` is None when there was nothing to be looked at."""

    holds: bool | None
    found: str


async def look(line: Line, stage: Stage) -> Look:
    """Look once. Costs at most a few seconds; raises only for errors of our own."""
    if line.server is not None:
        return await _server(line.server, stage)
    if line.http is not None:
        return await _http(line.http, stage)
    if line.folder is not None:
        return _folders(line, stage)
    if line.log is not None:
        return _log(line.log, stage)
    return await _others(line, stage)


async def _others(line: Line, stage: Stage) -> Look:
    if line.process is not None:
        return _process(line.process, stage)
    assert line.command is not None, "a line is of one kind"
    return await _command(line.command, stage)


async def _command(argv: Sequence[str], stage: Stage) -> Look:
    try:
        status, said = await stage.command(argv, COMMAND_LIMIT_S)
    except DeadlineError as error:
        return Look(False, str(error))
    return Look(status.code == 0, f"{status}, said {said}")


async def _server(line: ServerLine, stage: Stage) -> Look:
    if not stage.accepted:
        return Look(None, "no report was accepted")
    known = await stage.server.control.deliveries()
    if line.effect is not None:
        effects = {i: known[i].effects for i in stage.accepted if i in known and known[i].stored}
        wrong = {report_id: count for report_id, count in effects.items() if count != 1}
        named = ", ".join(f"{report_id} {count} times" for report_id, count in list(wrong.items())[:NAMED_MAX])
        if not effects:
            return Look(None, "no report is at the server")
        return Look(not wrong, f"{len(wrong)} of {len(effects)} more than once: {named}" if wrong else "each once")
    missing = [i for i, sha256 in stage.accepted.items() if i not in known or sha256 not in known[i].sha256[-1:]]
    there = f"{len(stage.accepted) - len(missing)} of {len(stage.accepted)} accepted reports are at the server"
    more = f" and {len(missing) - NAMED_MAX} more" if len(missing) > NAMED_MAX else ""
    return Look(not missing, f"{there}; missing: {', '.join(missing[:NAMED_MAX])}{more}" if missing else there)


async def _http(line: HttpLine, stage: Stage) -> Look:
    url = line.url or stage.experiment.subject.ready.http
    assert url is not None, "the file was checked for one"
    took_s = []
    for _ in range(ASKED_TIMES if line.p99 is not None else 1):
        began = time.perf_counter()
        status = await stage.answer(url)
        took_s.append(time.perf_counter() - began)
        if status != line.status:
            return Look(False, "no answer" if status is None else f"status {status}")
    slowest_ms = max(took_s) * 1000
    is_fast = line.p99 is None or max(took_s) <= line.p99
    return Look(is_fast, f"status {line.status}, {slowest_ms:.1f} ms at most in {len(took_s)}")


def _folders(line: Line, stage: Stage) -> Look:
    found, holds = [], True
    for name, wanted in (line.folder or {}).items():
        try:
            count = sum(path.is_file() for path in stage.folder(name).iterdir())
        except OSError as error:
            return Look(False, f"{name}: {error.strerror}")
        holds = holds and count == (0 if wanted == "empty" else wanted)
        found.append(f"{name} has {count} files")
    return Look(holds, ", ".join(found))


def _log(line: LogLine, stage: Stage) -> Look:
    words = line.says or line.never or ""
    said = next((text.strip() for text in stage.log_text().splitlines() if words in text), None)
    return Look(
        (said is None) == (line.never is not None), "it never said so" if said is None else f"said: {said[:200]}"
    )


def _process(line: ProcessLine, stage: Stage) -> Look:
    if stage.ended is None:
        return Look(False, "it did not end when it was told to stop")
    if line.leaves is not None:
        return Look(not stage.left, f"left: {', '.join(stage.left)}" if stage.left else "nothing left")
    return Look(stage.ended.code == line.exit, str(stage.ended))
