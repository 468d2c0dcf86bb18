"""The runner's side of a hang report: what a process waits for, holds and said, gathered before anybody kills it."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import time
from pathlib import Path

from chaos.errors import ProcessEndedError
from chaos.history import History
from chaos.live.process import ChildProcess
from chaos.live.stacks import END

ANSWER_LIMIT_S = 3.0
POLL_S = 0.02
LOG_LINES = 30


async def hang_report(process: ChildProcess, stacks: Path, history: History) -> str:
    """Return the report on a process that was started with ``--stacks``. Never raises for what the process is like."""
    parts = [
        f"{process.describe()}",
        f"wall clock: {dt.datetime.now(dt.UTC).isoformat(timespec='milliseconds')}, {_since(history)} into the run",
        f"last fault: {_last_fault(history)}",
        await _where_it_stands(process, stacks),
        _what_it_holds(process),
        "last lines of its log:",
        *process.log_tail(LOG_LINES),
    ]
    return "\n".join(parts)


async def _where_it_stands(process: ChildProcess, stacks: Path) -> str:
    begin = os.path.getsize(stacks) if os.path.exists(stacks) else 0  # noqa: ASYNC240 - a look at a small file
    try:
        process.send(signal.SIGUSR2)
        async with asyncio.timeout(ANSWER_LIMIT_S):
            while f"{END}\n" not in (text := _read_from(stacks, begin)):  # noqa: ASYNC110 - a file gives no event
                await asyncio.sleep(POLL_S)
    except ProcessEndedError:
        return "it has ended: no thread and no task of it is left"
    except TimeoutError:
        text = _read_from(stacks, begin) or "no thread answered: the process stands still, or does not listen"
        return f"{text}\n(its tasks could not be asked within {ANSWER_LIMIT_S:g} s)"
    return text.removesuffix(f"{END}\n").rstrip()


def _read_from(path: Path, begin: int) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            file.seek(begin)
            return file.read()
    except FileNotFoundError:
        return ""


def _what_it_holds(process: ChildProcess) -> str:
    try:
        ledger = process.resources()
    except ProcessEndedError as error:
        return f"it holds nothing any more: {error.seen}"
    lines = [str(ledger), *(f"  {entry.kind} {entry.name}" for entry in ledger.entries if entry.kind != "thread")]
    return "\n".join(lines)


def _since(history: History) -> str:
    return f"{history.elapsed_ns(time.monotonic_ns()) / 1e9:.3f} s"


def _last_fault(history: History) -> str:
    faults = history.faults()
    if not faults:
        return "none has fired"
    return f"{faults[-1].name} at {faults[-1].time_ns / 1e9:.3f} s {dict(faults[-1].value)}"
