"""What recording costs, and how fast recorded crash states are made and checked.

    python benchmarks/recorder.py            prints two tables; a few minutes

* Slowdown: the best of three runs of a program under ``record`` against the best of three bare runs, on the disk of the
  temporary folder (required: below 6; its file system is named) and in memory, where no sync hides what a traced call
  costs: two stops of the program, whatever the call does.
* The service: from the first of 80 reports, handed over by eight clients at a time, until the last is in ``sent/``.
* States: per second of one core's time, in memory, a checker in the same process that reads every file; required: 4,000
  a second. On a machine with other work, the clock shows less.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

import psutil

from chaos.crash.log_file import Recording, to_lines
from chaos.crash.recorder import record
from chaos.crash.recorder.strace import command_line, end_traced, run_traced, signal_traced, strace_available
from chaos.crash.state_check import Options, check_states, states_of
from chaos.crash.state_folder import fastest_place, workshop
from chaos.live.wats_server import MODULE, Announcement
from chaos.protocols import Site
from chaos.sample_reports import sample_report
from chaos.storage.operations import Visible
from chaos.storage.persistence import EXT4_ORDERED, POSIX
from chaos.subjects.reference import ReferenceSubject

ROUNDS = 3
REPORTS, CLIENTS = 80, 8  # The service takes 100 requests a minute.
LIMIT_S = 60
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
    for _ in range(int(sys.argv[3])): db.execute("INSERT INTO t VALUES ('some text')")
"""
PROGRAMS: dict[str, tuple[str, Sequence[str]]] = {
    "300 files, file and folder synced": (FILES, ("300", "synced")),
    "300 files, nothing synced": (FILES, ("300", "unsynced")),
    "4 threads, 50 files each, synced": (THREADS, ()),
    "sqlite3, rollback journal, 200 commits": (SQLITE, ("delete", "200")),
    "sqlite3, rollback journal, 2,000 commits": (SQLITE, ("delete", "2000")),
    "sqlite3, write-ahead log, 200 commits": (SQLITE, ("wal", "200")),
    "sqlite3, write-ahead log, 2,000 commits": (SQLITE, ("wal", "2000")),
}


def command(program: str, folder: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-S", "-I", "-c", textwrap.dedent(program), folder, *arguments]


def file_system(folder: str) -> str:
    """Return the type of the file system of a folder."""
    holding = [part for part in psutil.disk_partitions(all=True) if Path(folder).is_relative_to(part.mountpoint)]
    return max(holding, key=lambda part: len(part.mountpoint)).fstype


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


def service_slowdown() -> None:
    reports = [sample_report(random.Random(number)) for number in range(REPORTS)]
    costs = []
    for where in (None, fastest_place()):
        bare, traced = (
            min(asyncio.run(service_time(reports, where, is_traced=is_traced)) for _ in range(ROUNDS))
            for is_traced in (False, True)
        )
        costs.append(f"{bare:6.2f} s {traced:6.2f} s {traced / bare:4.1f} x")
    name = f"the service, {REPORTS} reports"
    print(f"{name:<40} disk {costs[0]}   memory {costs[1]}", file=sys.stderr)


async def service_time(reports: Sequence[bytes], where: str | None, *, is_traced: bool) -> float:
    """Return how long a service takes for the reports, in seconds; its start and its end do not count."""
    subject = ReferenceSubject()
    with tempfile.TemporaryDirectory(dir=where) as folder, wats_server() as url:
        site = Site(Path(folder), url, {})
        site.data.mkdir()
        with service(subject, site, is_traced=is_traced):
            await until(lambda: Path(subject.ipc_address(site)).exists())
            began = time.perf_counter()
            waiting = iter(reports)
            await asyncio.gather(*(hand_over(subject, site, waiting) for _ in range(CLIENTS)))
            await until(lambda: len(subject.kept_reports(site, "sent")) == len(reports))
            return time.perf_counter() - began


@contextmanager
def service(subject: ReferenceSubject, site: Site, *, is_traced: bool) -> Iterator[None]:
    start = subject.start_line(site)
    line = [sys.executable, "-m", start.module, *start.arguments]
    if is_traced:
        line = command_line(strace_available(), site.folder / "trace", line)
    with subprocess.Popen(line, env=start.environment, stdout=DEVNULL, stderr=DEVNULL) as process:
        try:
            yield
        finally:
            if is_traced:
                signal_traced(process, signal.SIGTERM)
            else:
                process.terminate()
            try:
                process.wait(LIMIT_S)
            finally:
                end_traced(process)


@contextmanager
def wats_server() -> Iterator[str]:
    line = [sys.executable, "-m", MODULE, "--announce", "-"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Announcement(**json.loads(process.stdout.readline())).data_url
        finally:
            process.terminate()


async def hand_over(subject: ReferenceSubject, site: Site, waiting: Iterator[bytes]) -> None:
    client = subject.client(site)
    for report in waiting:
        await client.submit(report)
    await client.close()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not is_so():  # noqa: ASYNC110 - nobody rings for what another process does in a folder
            await asyncio.sleep(0.01)


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
    print(f"program, bare, traced, times slower; the disk is {file_system(tempfile.gettempdir())}", file=sys.stderr)
    for name in PROGRAMS:
        slowdown(name)
    service_slowdown()
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
