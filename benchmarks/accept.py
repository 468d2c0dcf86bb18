"""How fast reports are accepted durably: our store against ready-made durable queues, as ratios in one run.

Run ``python benchmarks/accept.py [--quick]``. The peers are installed into an environment of the benchmark's own; one
that cannot be installed is named and left out (sqlite3 is always there). Candidates take turns, every run has a new
folder (file creation slows down near recent deletions), medians count, and the raw rate of append and fdatasync in the
same run is the yardstick. With strace on the machine the syncs of every candidate are counted: only durable ones are
compared. Further: accepting at 10,000 pending against 10, starting with 100,000 pending against none, bytes of memory
per pending report, and draining against accepting.

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

PEERS = {"persist-queue": "persist-queue", "huey": "huey", "diskcache": "diskcache", "litequeue": "litequeue"}
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


async def ours(folder: Path, reports: list[Report], producers: int) -> tuple[float, float]:
    """Measure our store."""
    store = ReportStore(folder, disk=Disk(), clock=SystemClock(), limits=StoreLimits(max_reports=0))
    await store.open()
    try:
        return await produce(store.accept, reports, producers)
    finally:
        await store.close()


def raw(folder: Path, reports: list[Report]) -> float:
    """Return the rate of plain append and fdatasync, 4 KiB each, by one writer."""
    with open(folder / "raw", "wb", buffering=0) as file:
        began = time.perf_counter()
        for _ in reports:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
        return len(reports) / (time.perf_counter() - began)


def peer(python: str, name: str, folder: Path, count: int, size: int, producers: int) -> tuple[float, float]:
    """Measure a peer in its own process; return reports per second and p99 in ms."""
    arguments = [python, str(PEER_PROGRAM), name, str(folder), str(count), str(size), str(producers)]
    rate, p99 = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    return float(rate), float(p99)


def syncs_per_report(command: list[str], count: int) -> float | None:
    """Return how many sync calls ``command`` makes per report, counted by strace; None without strace."""
    if shutil.which("strace") is None:
        return None
    calls = "fsync,fdatasync,syncfs,sync,sync_file_range,msync"
    with tempfile.NamedTemporaryFile("r") as log:
        trace = ["strace", "-f", "-o", log.name, "-e", f"trace={calls}"]
        subprocess.run([*trace, *command], check=True, capture_output=True)
        return len(re.findall(r"(?:sync|syncfs)\(", log.read())) / count


def install(folder: Path) -> tuple[str, list[str]]:
    """Make the peers' environment; return its Python and the peers that could be installed, sqlite3 first."""
    venv.create(folder / "peers", with_pip=True)
    python = str(folder / "peers" / "bin" / "python")
    there = ["sqlite3"]
    for name, package in PEERS.items():
        command = [python, "-m", "pip", "install", "-q", "--retries", "0", package]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0:
            there.append(name)
        else:
            print(f"  {name}: could not be installed here; left out")
    return python, there


def compare(root: Path, *, rounds: int, count: int) -> None:
    """Print the table of candidates for both sizes and both numbers of producers."""
    python, names = install(root)
    durable = {}
    for name in names:
        folder = Path(tempfile.mkdtemp(dir=root))
        command = [python, str(PEER_PROGRAM), name, str(folder), "100", "2048", "1"]
        durable[name] = syncs_per_report(command, 100)
    for size in (2048, 50 * 1024):
        for producers in (1, 64):
            reports = make_reports(count, size)
            found: dict[str, list[tuple[float, float]]] = {}
            raws = []
            for _ in range(rounds):
                raws.append(raw(Path(tempfile.mkdtemp(dir=root)), reports[:500]))
                run = asyncio.run(ours(Path(tempfile.mkdtemp(dir=root)), reports, producers))
                found.setdefault("ours", []).append(run)
                for name in names:
                    run = peer(python, name, Path(tempfile.mkdtemp(dir=root)), count // 4, size, producers)
                    found.setdefault(name, []).append(run)
            show(size, producers, statistics.median(raws), found, durable)


def show(
    size: int,
    producers: int,
    raw_rate: float,
    found: dict[str, list[tuple[float, float]]],
    durable: dict[str, float | None],
) -> None:
    """Print one block of the table, with the ratios that the targets speak of."""
    rates = {name: statistics.median(rate for rate, _ in runs) for name, runs in found.items()}
    waits = {name: statistics.median(p99 for _, p99 in runs) for name, runs in found.items()}
    print(f"\n{size} bytes, {producers} producers; raw append + fdatasync {raw_rate:,.0f} /s")
    for name, rate in rates.items():
        syncs = durable.get(name)
        told = "" if name == "ours" else "  syncs not counted" if syncs is None else f"  {syncs:.2f} syncs per report"
        print(f"  {name:15} {rate:10,.0f} /s   p99 {waits[name]:7.1f} ms{told}")
    peers = [name for name in rates if name != "ours" and (durable[name] is None or (durable[name] or 0) >= 0.9)]
    best = max(peers, key=lambda name: rates[name])
    print(f"  ours / best durable peer ({best}): {rates['ours'] / rates[best]:.2f}", end="")
    print(f"   p99 ours / theirs: {waits['ours'] / waits[best]:.2f}   ours / raw: {rates['ours'] / raw_rate:.2f}")


async def sizes(root: Path, *, many: int) -> None:
    """Print what a full queue costs: accepting, starting, memory, draining."""
    rates = {}
    for pending in (10, 10_000):
        store = await opened(Path(tempfile.mkdtemp(dir=root)), make_reports(pending, 300))
        rates[pending], _ = await produce(store.accept, make_reports(2000, 2048), 64)
        await store.close()
    print(f"\naccepting at 10 / at 10,000 pending: {rates[10] / rates[10_000]:.2f} (target at most 1.2)")
    empty, full = Path(tempfile.mkdtemp(dir=root)), Path(tempfile.mkdtemp(dir=root))
    await (await opened(full, make_reports(many, 300))).close()
    await (await opened(empty, [])).close()
    took = {}
    for name, folder in (("empty", empty), ("full", full)):
        began = time.perf_counter()
        store = await opened(folder, make_reports(1, 300))
        took[name] = time.perf_counter() - began
        await store.close()
    print(f"starting with {many:,} pending: {took['full'] - took['empty']:.2f} s more (target at most 0.5)")
    tracemalloc.start()
    store = await opened(full, [])
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"memory per pending report: {used / many:.0f} bytes (target under 200)")
    await store.close()
    store = await opened(Path(tempfile.mkdtemp(dir=root)), [])
    reports = make_reports(4000, 2048)
    accepted, _ = await produce(store.accept, reports, 64)
    print(f"draining / accepting: {await drained(store, len(reports)) / accepted:.2f} (target at least 0.5)")
    await store.close()


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
    quick = parser.parse_args().quick
    root = Path(tempfile.mkdtemp(prefix="pywats-accept-", dir=os.environ.get("TMPDIR")))
    try:
        print(f"Python {sys.version.split()[0]}, in {root}")
        compare(root, rounds=1 if quick else 3, count=1000 if quick else 4000)
        asyncio.run(sizes(root, many=20_000 if quick else 100_000))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
