"""How fast reports are accepted durably: our store against ready-made durable queues, as ratios in one run.

Run ``python benchmarks/accept.py [--quick] [--folder DIR] [--peers PYTHON]``. The peers are installed into an
environment of the benchmark's own, or stand in that of ``--peers``; one that is not to be had is named and left out
(sqlite3 is always there). Each candidate runs in a process of its own and they take turns; every run has a new
folder, and nothing is deleted before the end: ext4 without a journal creates files 10 times slower for minutes after
deletions, also those of others (``--folder`` chooses another disk). Medians count, and the raw rate of append and
fdatasync in the same round is the yardstick. With strace on the machine the syncs of every candidate are counted:
only durable ones are compared. Further: accepting at 10,000 pending against 10, starting with 100,000 pending against
none, memory per pending report, and draining against accepting.

Targets: 64 producers at least 4 times the best durable peer, p99 under half of theirs, at most 1/16 sync per report;
one producer at least 0.5 times raw; 10,000 against 10 at most 1.2; 100,000 pending at most 0.5 s more and under 200
bytes each; draining at least 0.5 times accepting.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import uuid
import venv
from collections.abc import Awaitable, Callable
from pathlib import Path

from pywats_reliability.disk import Disk
from pywats_reliability.ports import SystemClock
from pywats_reliability.report import Report, parse_report
from pywats_reliability.store import ReportStore, StoreLimits

PEERS = {
    "persist-queue": "persist-queue", "persist-queue-ack": "persist-queue", "huey": "huey", "diskcache": "diskcache",
    "litequeue": "litequeue",
}  # fmt: skip
OURS = "ours"
PEER_PROGRAM = Path(__file__).with_name("accept_peers.py")
FIELDS = {"pn": "PN", "sn": "SN", "rev": "1", "processCode": 10, "machineName": "M", "location": "L", "purpose": "P"}
Accept = Callable[[Report], Awaitable[object]]


def make_reports(count: int, size: int) -> list[Report]:
    """Return that many reports of about that size in bytes."""
    padding = "x" * max(0, size - 200)
    return [parse_report(json.dumps({"id": str(uuid.uuid4()), **FIELDS, "comment": padding})) for _ in range(count)]


async def produce(accept: Accept, reports: list[Report], producers: int) -> tuple[float, float]:
    """Let ``producers`` hand over the reports, each awaiting durability; return reports per second and p99 in ms."""
    waits: list[float] = []

    async def one(share: list[Report]) -> None:
        for report in share:
            began = time.perf_counter()
            await accept(report)
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(producers):
            group.create_task(one(reports[number::producers]))
    took = time.perf_counter() - began
    return len(reports) / took, sorted(waits)[int(len(waits) * 0.99)] * 1000


async def ours(folder: Path, count: int, size: int, producers: int) -> tuple[float, float]:
    """Measure our store; return reports per second and p99 in ms."""
    reports = make_reports(count, size)
    store = ReportStore(folder, disk=Disk(), clock=SystemClock(), limits=StoreLimits(max_reports=0))
    await store.open()
    try:
        return await produce(store.accept, reports, producers)
    finally:
        await store.close()


def raw(folder: Path, count: int, size: int) -> float:
    """Return the rate of plain append and fdatasync by one writer."""
    with open(folder / "raw", "wb", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(count):
            file.write(b"x" * size)
            os.fdatasync(file.fileno())
        return count / (time.perf_counter() - began)


class Candidates:
    """Runs each candidate in a process of its own, in a new folder under ``root``."""

    def __init__(self, root: Path, python: str, names: list[str]) -> None:
        self.root, self.names = root, names
        self._python = python

    def measure(self, name: str, count: int, size: int, producers: int) -> tuple[float, float]:
        """Return reports per second and p99 in ms."""
        command = self._command(name, count, size, producers)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stderr}")
        rate, p99 = json.loads(done.stdout)
        return float(rate), float(p99)

    def syncs_per_report(self, name: str, producers: int) -> float | None:
        """Return how many sync calls a report costs, counted by strace over 40 each; None without strace.

        What opening and closing cost is counted by a run with fewer reports and taken off.
        """
        if shutil.which("strace") is None:
            return None
        few, many = (self._syncs(self._command(name, share * producers, 2048, producers)) for share in (4, 40))
        return (many - few) / (36 * producers)

    def _syncs(self, command: list[str]) -> int:
        with tempfile.NamedTemporaryFile("r") as log:
            trace = ["strace", "-f", "-o", log.name, "-e", "trace=fsync,fdatasync,syncfs,sync,sync_file_range,msync"]
            subprocess.run([*trace, *command], check=True, capture_output=True)
            return len(re.findall(r"(?:f(?:data)?sync|syncfs|sync|sync_file_range|msync)\(", log.read()))

    def _command(self, name: str, *numbers: int) -> list[str]:
        program = [sys.executable, __file__] if name == OURS else [self._python, str(PEER_PROGRAM)]
        return [*program, name, str(new_folder(self.root)), *map(str, numbers)]


def install(folder: Path) -> str:
    """Make the peers' environment with what can be installed; return its Python."""
    venv.create(folder / "peers", with_pip=True)
    python = str(folder / "peers" / "bin" / "python")
    for package in dict.fromkeys(PEERS.values()):
        subprocess.run([python, "-m", "pip", "install", "-q", package], capture_output=True, check=False)
    return python


def peers_of(python: str) -> list[str]:
    """Return the peers that the environment has, sqlite3 first; name the others."""
    there = ["sqlite3"]
    for name, package in PEERS.items():
        done = subprocess.run([python, "-m", "pip", "show", "-q", package], capture_output=True, check=False)
        if done.returncode == 0:
            there.append(name)
        else:
            print(f"  {name}: could not be installed here; left out")
    return there


def compare(root: Path, python: str, *, rounds: int, count: int) -> None:
    """Print the table of candidates for both sizes and both numbers of producers."""
    candidates = Candidates(root, python, [OURS, *peers_of(python)])
    syncs = {(name, n): candidates.syncs_per_report(name, n) for name in candidates.names for n in (1, 64)}
    for size in (2048, 50 * 1024):
        for producers in (1, 64):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates.names}
            raws = []
            for _ in range(rounds):
                raws.append(raw(new_folder(root), 500, size))
                for name, runs in found.items():
                    several = count if name == OURS and producers > 1 else count // 4
                    runs.append(candidates.measure(name, several, size, producers))
            show(size, producers, raws, found, syncs)


def show(
    size: int,
    producers: int,
    raws: list[float],
    found: dict[str, list[tuple[float, float]]],
    syncs: dict[tuple[str, int], float | None],
) -> None:
    """Print one block of the table, with the ratios that the targets speak of: medians of those of each round."""
    rates = {name: statistics.median(rate for rate, _ in runs) for name, runs in found.items()}
    waits = {name: statistics.median(p99 for _, p99 in runs) for name, runs in found.items()}
    print(f"\n{size} bytes, {producers} producers; raw append + fdatasync {statistics.median(raws):,.0f} /s")
    for name, rate in rates.items():
        counted = syncs[name, producers]
        told = "syncs not counted" if counted is None else f"{counted:.2f} syncs per report"
        print(f"  {name:18} {rate:10,.0f} /s   p99 {waits[name]:7.1f} ms   {told}")
    durable = [name for name in rates if name != OURS and is_durable(syncs[name, 1])]
    best = max(durable, key=lambda name: rates[name])
    rounds = list(zip(found[OURS], found[best], raws, strict=True))
    to_best = statistics.median(ours[0] / theirs[0] for ours, theirs, _ in rounds)
    p99 = statistics.median(ours[1] / theirs[1] for ours, theirs, _ in rounds)
    to_raw = statistics.median(ours[0] / raw_rate for ours, _, raw_rate in rounds)
    print(f"  ours / best durable peer ({best}): {to_best:.2f}   p99: {p99:.2f}   ours / raw: {to_raw:.2f}", flush=True)


def is_durable(syncs: float | None) -> bool:
    """Return whether a lone producer pays for a sync each time, as far as that could be counted."""
    return syncs is None or syncs >= 0.9


async def sizes(root: Path, *, rounds: int, many: int) -> None:
    """Print what a full queue costs: accepting, starting, memory, draining."""
    await filling(root, rounds=3 * rounds)
    await starting(root, many)
    ratios = []
    for _ in range(rounds):
        store = await opened(new_folder(root), [])
        reports = make_reports(5120, 2048)
        accepted, _ = await produce(store.accept, reports, 64)
        ratios.append(await drained(store, len(reports)) / accepted)
        await store.close()
    print(f"draining / accepting: {statistics.median(ratios):.2f} (target at least 0.5)")


async def filling(root: Path, *, rounds: int) -> None:
    """Print what accepting costs at 10,000 pending against 10: two stores in turn, each drained to its level again.

    The processor's time tells what our own code costs; on a disk that others use, too, the clock tells of them as well.
    """
    stores = {pending: await opened(new_folder(root), make_reports(pending, 300)) for pending in (10, 10_000)}
    took: dict[int, list[float]] = {pending: [] for pending in stores}
    worked: dict[int, list[float]] = {pending: [] for pending in stores}
    for _ in range(rounds):
        for pending, store in stores.items():
            reports = make_reports(1280, 2048)
            began, cpu = time.perf_counter(), time.process_time()
            await produce(store.accept, reports, 64)
            took[pending].append(time.perf_counter() - began)
            worked[pending].append(time.process_time() - cpu)
            while store.counts.pending > pending and (record := store.take()) is not None:
                await store.mark_sent(record)
    for store in stores.values():
        await store.close()
    clock, processor = (statistics.median(t[10_000]) / statistics.median(t[10]) for t in (took, worked))
    print(f"\naccepting at 10,000 / at 10 pending: {clock:.2f} of the time, {processor:.2f} of the work (at most 1.2)")


async def starting(root: Path, many: int) -> None:
    """Print what a start costs with many reports pending, in time and memory."""
    empty, full = new_folder(root), new_folder(root)
    await (await opened(empty, [])).close()
    await (await opened(full, make_reports(many, 300))).close()
    took = {}
    for folder in (empty, full):
        began = time.perf_counter()
        store = await opened(folder, make_reports(1, 300))
        took[folder] = time.perf_counter() - began
        await store.close()
    print(f"starting with {many:,} pending: {took[full] - took[empty]:.2f} s more (target at most 0.5)")
    tracemalloc.start()
    store = await opened(full, [])
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"memory per pending report: {used / many:.0f} bytes (target under 200)")
    await store.close()


def new_folder(root: Path) -> Path:
    """Return a new folder for one run."""
    return Path(tempfile.mkdtemp(dir=root))


async def opened(folder: Path, reports: list[Report]) -> ReportStore:
    """Return an open store that holds the reports."""
    store = ReportStore(folder, disk=Disk(), clock=SystemClock(), limits=StoreLimits(max_reports=0))
    await store.open()
    if reports:
        await produce(store.accept, reports, min(64, len(reports)))
    return store


async def drained(store: ReportStore, count: int) -> float:
    """Take and mark all as sent with 64 workers; return reports per second."""

    async def work() -> None:
        while (record := store.take()) is not None:
            await store.read(record)
            await store.mark_sent(record)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(64):
            group.create_task(work())
    return count / (time.perf_counter() - began)


def main() -> None:
    """Run the benchmark in a folder of its own, which is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and reports")
    parser.add_argument("--folder", type=Path, help="where to measure, if not among the system's temporary files")
    parser.add_argument("--peers", metavar="PYTHON", help="the Python of an environment that has the peers")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="pywats-accept-", dir=arguments.folder))
    try:
        print(f"Python {sys.version.split()[0]}, in {root}")
        rounds, count, many = (1, 1280, 20_000) if arguments.quick else (3, 5120, 100_000)
        compare(root, arguments.peers or install(root), rounds=rounds, count=count)
        asyncio.run(sizes(root, rounds=rounds, many=many))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    if sys.argv[1:2] == [OURS]:  # One measurement, in the process that ``Candidates`` started for it.
        print(json.dumps(asyncio.run(ours(Path(sys.argv[2]), *map(int, sys.argv[3:])))))
    else:
        main()
