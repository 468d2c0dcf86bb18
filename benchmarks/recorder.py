"""What recording costs, and how fast recorded crash states are made and checked.

    python benchmarks/recorder.py            prints two tables; about a minute

* Slowdown: the best of three runs of a program under ``record`` against the best of three bare runs, on the disk of the
  temporary folder (required: below 6) and in memory, where no sync hides what a traced call costs.
* States: per second of one core's time, in memory, a checker in the same process that reads every file; required: 4,000
  a second. On a machine with other work, the clock shows less.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

from chaos.crash.log_file import Recording, to_lines
from chaos.crash.recorder import record
from chaos.crash.recorder.strace import run_traced
from chaos.crash.state_check import Options, check_states, states_of
from chaos.crash.state_folder import fastest_place, workshop
from chaos.storage.operations import Visible
from chaos.storage.persistence import EXT4_ORDERED, POSIX

ROUNDS = 3
FILES = """
    import os, sys
    spool, count, synced = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "synced"
    folder = os.open(spool, os.O_RDONLY)
    for number in range(count):
        f = os.open(f"{spool}/{number}.tmp", os.O_WRONLY | os.O_CREAT)
        os.write(f, b"item %d " % number * 100)
        if synced: os.fsync(f)
        os.close(f)
        os.rename(f"{spool}/{number}.tmp", f"{spool}/{number}")
        if synced: os.fsync(folder)
        os.write(1, b"saved %d\\n" % number)
"""
THREADS = """
    import os, sys, threading
    def save(thread):
        for number in range(50):
            f = os.open(f"{sys.argv[1]}/{thread}-{number}.tmp", os.O_WRONLY | os.O_CREAT)
            os.write(f, b"item " * 200); os.fsync(f); os.close(f)
            os.rename(f"{sys.argv[1]}/{thread}-{number}.tmp", f"{sys.argv[1]}/{thread}-{number}")
    threads = [threading.Thread(target=save, args=(n,)) for n in range(4)]
    [t.start() for t in threads]; [t.join() for t in threads]
"""
SQLITE = """
    import sqlite3, sys
    db = sqlite3.connect(sys.argv[1] + "/db", isolation_level=None)
    db.execute(f"PRAGMA journal_mode = {sys.argv[2]}"); db.execute("CREATE TABLE t (body TEXT)")
    for _ in range(200): db.execute("INSERT INTO t VALUES ('some text')")
"""
PROGRAMS: dict[str, tuple[str, Sequence[str]]] = {
    "300 files, file and folder synced": (FILES, ("300", "synced")),
    "300 files, nothing synced": (FILES, ("300", "unsynced")),
    "4 threads, 50 files each, synced": (THREADS, ()),
    "sqlite3, rollback journal, 200 commits": (SQLITE, ("delete",)),
    "sqlite3, write-ahead log, 200 commits": (SQLITE, ("wal",)),
}


def command(program: str, folder: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-S", "-I", "-c", textwrap.dedent(program), folder, *arguments]


def best(run: Callable[[str], object], where: str | None) -> float:
    """Return the shortest of a few runs, each in a new folder, in seconds."""
    times = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=where) as folder:
            began = time.perf_counter()
            run(folder)
            times.append(time.perf_counter() - began)
    return min(times)


def slowdown(name: str) -> None:
    program, arguments = PROGRAMS[name]
    with tempfile.TemporaryDirectory() as private:
        trace = Path(private, "trace")
        costs = []
        for where in (None, fastest_place()):
            line = partial(command, program, arguments=arguments)
            bare = best(
                lambda folder, line=line: subprocess.run(line(folder=folder), stdout=DEVNULL, check=True), where
            )
            traced = best(lambda folder, line=line: run_traced(line(folder=folder), trace), where)
            costs.append(f"{bare:6.2f} s {traced:6.2f} s {traced / bare:4.1f} x")
        with tempfile.TemporaryDirectory() as folder:
            recording = record(command(program, folder, arguments), folder, ("*-shm",))
        count = len(recording.entries)
        size = sum(map(len, to_lines(recording)))
        sound = "equal" if not recording.doubts else recording.doubts[0][:40]
        tail = f"{count:6,} entries {size / 1e6:5.1f} MB, replay {sound}"
        print(f"{name:<40} disk {costs[0]}   memory {costs[1]}   {tail}", file=sys.stderr)


def every_file_is_whole(folder: Path, seen: Sequence[Visible]) -> str:
    """Read every file, and look at what was said."""
    said = sum(event.name == "printed" for event in seen)
    whole = 0
    for item in folder.iterdir():
        data = item.read_bytes()
        whole += item.suffix != ".tmp" and data.startswith(b"item") and data.endswith(b" ")
    return "" if whole >= said else "something that was said is not there"


def rate(recording: Recording, name: str, options: Options) -> None:
    for model in (POSIX, EXT4_ORDERED):
        began = time.process_time()
        count = sum(1 for _ in states_of(recording, model))
        counted = time.process_time() - began
        began = time.process_time()
        judgement = check_states(recording, model, every_file_is_whole, options)
        checked = time.process_time() - began
        rates = f"{count / counted:8,.0f}/s, with folder and check {judgement.states / checked:7,.0f}/s"
        clock = f"by the clock {judgement.states / judgement.took_s:,.0f}/s"
        words = f"{judgement.states:6,} states, enumerated at {rates} ({clock}); {judgement.verdict}"
        print(f"{name:<30} {model!s:<13} {words}", file=sys.stderr)


def main() -> None:
    print("program, bare, traced, times slower", file=sys.stderr)
    for name in PROGRAMS:
        slowdown(name)
    with workshop() as place:
        (place / "spool").mkdir()
        synced = record(command(FILES, str(place / "spool"), ("10", "synced")), str(place / "spool"))
        (place / "unsynced").mkdir()
        unsynced = record(command(FILES, str(place / "unsynced"), ("3", "unsynced")), str(place / "unsynced"))
    for recording, name in ((synced, "10 files synced"), (unsynced, "3 files not synced")):
        rate(recording, f"{name}, new folders", Options())
        rate(recording, f"{name}, reads only", Options(reads_only=True))


if __name__ == "__main__":
    main()
