"""Proves the undo list: a runner is killed by SIGKILL at a moment of its run, and what is left of that run is counted.

* A run's processes are known by a word in their environment and as descendants of the runner, seen before the kill.
* It has a temporary folder of its own, so whatever is in there at the end was left, whoever of it made that; its
  sockets and mounts are known by the runner's pid in their paths, its shared memory by the pids. Nothing here signals
  anything but the runner, which it has started itself.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaos.live import process_table
from chaos.live.undo import PREFIX
from chaos.live.watchdog import temporary_folder

WORD = "PYWATS_CHAOS_PROOF"
LOOK_S = 0.02
GONE_LIMIT_S = 20.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - it is looked at, and nothing is written there


@dataclass(frozen=True, slots=True)
class Killed:
    """One kill: what the run had by then, and how long it took until nothing of it was left.

    ``processes`` (the watchdog among them), ``folders``, ``sockets``: what was there at the kill. ``left`` names what
    still was there 20 s later. ``had_ended``: the run was over before the moment came, and nobody was killed.
    """

    processes: int
    folders: int
    sockets: int
    gone_after_s: float
    left: tuple[str, ...]
    had_ended: bool


def kill_a_run(argv: Sequence[str], after_s: float, log: Path) -> Killed:
    """Start a runner, kill it after so long, and return what came of it; ``log`` takes what it says. Blocks."""
    # Short, as sockets lie in it. What a run has left is named; that it goes now is no part of the proof.
    with tempfile.TemporaryDirectory(prefix="pw-", dir=temporary_folder(), ignore_cleanup_errors=True) as own:
        return _killed(argv, after_s, log, own)


def _killed(argv: Sequence[str], after_s: float, log: Path, own: str) -> Killed:
    word, met = secrets.token_hex(8), dict[int, int]()
    with log.open("ab") as said:
        runner = subprocess.Popen(  # noqa: S603 - our own program, or one of a test
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, WORD: word, "TMPDIR": own},
            start_new_session=True,
        )
    ends_at = time.monotonic() + after_s
    try:
        while time.monotonic() < ends_at and runner.poll() is None:
            met |= _family(word, runner.pid)
            with suppress(subprocess.TimeoutExpired):
                runner.wait(LOOK_S)
        alive = _family(word, runner.pid)
        folders, sockets = os.listdir(own), list(_sockets(runner.pid))
        had_ended = runner.poll() is not None
    finally:
        runner.kill()
        runner.wait()
    began, met = time.monotonic(), {**met, **alive}
    while (left := tuple(_left(word, runner.pid, met, own))) and time.monotonic() - began < GONE_LIMIT_S:
        time.sleep(LOOK_S)  # noqa: TID251 - that nothing is there any more gives no event
    return Killed(len(alive), len(folders), len(sockets), time.monotonic() - began, left, had_ended)


def _family(word: str, runner: int) -> dict[int, int]:
    """Return the living processes of the run, pid and start: by the word, and as descendants; without the runner."""
    table, sought = process_table.read_table(), f"{WORD}={word}".encode()
    family = {runner} | {row.pid for row in table if sought in _environment(row.pid)}
    while children := {row.pid for row in table if row.parent in family} - family:
        family |= children
    return {row.pid: row.started for row in table if row.pid in family and row.pid != runner}


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # It is gone, or somebody else's.
        return []


def _left(word: str, runner: int, met: Mapping[int, int], own: str) -> Iterator[str]:
    alive = _family(word, runner) | {pid: tick for pid, tick in met.items() if process_table.is_alive(pid, tick)}
    yield from (f"process {pid}" for pid in sorted(alive))
    yield from (f"folder {path}" for path in os.listdir(own))
    yield from (f"socket {path}" for path in _sockets(runner))
    yield from (f"mount {line}" for line in _lines("/proc/self/mountinfo", runner))
    if SHARED_MEMORY.is_dir():
        names = {name.rpartition("_")[2]: name for name in os.listdir(SHARED_MEMORY) if "faketime" in name}
        yield from (f"shared memory {name}" for pid, name in names.items() if pid.isdigit() and int(pid) in met)


def _sockets(runner: int) -> Iterator[str]:
    yield from (line.split()[-1] for line in _lines("/proc/net/unix", runner))


def _lines(table: str, runner: int) -> list[str]:
    """Return the lines of a table of the system that name a folder of the run."""
    text = Path(table).read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if f"/{PREFIX}{runner}-" in line]
