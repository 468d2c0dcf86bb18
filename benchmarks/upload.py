"""How long 1,000 reports take to a server that answers in 20 ms, with 10 slots: the queue against bare httpx.

Run ``python benchmarks/upload.py``. The server is a process of its own; the candidates take turns, and the medians
count. The queue reads each report from the real store, sends it, and moves it to ``sent/``; bare httpx posts the same
bytes from memory. Target: at most 1.15 times the ideal (2 s) plus what the same requests cost bare httpx when the
server does not wait.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import httpx

from pywats_reliability.disk import Disk
from pywats_reliability.errors import QueueCriticalError
from pywats_reliability.pending_queue import AsyncPendingQueue, UploadSettings
from pywats_reliability.ports import SystemClock, system_randomness
from pywats_reliability.report import Report, parse_report
from pywats_reliability.store import ReportStore
from pywats_reliability.wats_client import REPORT_PATH, WatsClient

TARGET = 1.15


class Silent:
    """An observer that has nothing to say."""

    def sent(self, report_id: str) -> None:
        """Ignore it."""

    def failed(self, report_id: str, error: str, *, final: bool) -> None:
        """Tell what must not happen here."""
        print(f"{report_id}: {error} ({final=})")

    def critical(self, error: QueueCriticalError) -> None:
        """Tell what must not happen here."""
        print(error)


async def serve(answer_after_s: float) -> None:
    """Answer every request after a while, on a port that is printed first."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                await reader.readexactly(next(int(line[15:]) for line in lines if line[:15] == b"content-length:"))
                await asyncio.sleep(answer_after_s)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def start_server(answer_after_s: float) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, __file__, "--serve", str(answer_after_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, f"http://127.0.0.1:{int(process.stdout.readline())}"


def make_reports(count: int, size: int) -> list[Report]:
    texts = dict.fromkeys(("pn", "sn", "rev", "machineName", "location", "purpose"), "X")
    fields = {**texts, "processCode": 10}
    padding = "x" * max(0, size - 200)
    return [parse_report(json.dumps({"id": str(uuid.uuid4()), **fields, "comment": padding})) for _ in range(count)]


async def with_httpx(url: str, reports: list[Report], slots: int) -> float:
    waiting = iter(reports)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Authorization": "Basic dTpw"}
    async with httpx.AsyncClient(headers=headers, timeout=30.0) as client:

        async def post() -> None:
            for report in waiting:
                (await client.post(url + REPORT_PATH, content=report.body)).raise_for_status()

        started = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(slots)))
        return time.perf_counter() - started


async def with_queue(url: str, reports: list[Report], slots: int, folder: Path) -> float:
    store = ReportStore(folder, disk=Disk(), clock=SystemClock())
    await store.open()
    await asyncio.gather(*(store.accept(report) for report in reports))
    client = WatsClient(url, "dTpw", clock=SystemClock(), max_concurrent=slots)
    queue = AsyncPendingQueue(
        store, client, settings=UploadSettings(max_concurrent=slots), observer=Silent(), randomness=system_randomness()
    )
    changed = asyncio.Event()
    store.changed.subscribe(changed.set)
    async with asyncio.TaskGroup() as tasks:
        started = time.perf_counter()
        run = tasks.create_task(queue.run(lambda: None))
        while store.counts.pending:
            changed.clear()
            await changed.wait()
        await queue.wait_idle()
        took = time.perf_counter() - started
        run.cancel()
    await client.aclose()
    await store.close()
    assert len(list((folder / "sent").iterdir())) == len(reports)
    return took


def measure(count: int, size: int, slots: int, rounds: int, answer_after_s: float) -> None:
    waiting_server, waiting_url = start_server(answer_after_s)
    prompt_server, prompt_url = start_server(0.0)
    took: dict[str, list[float]] = {"bare httpx": [], "bare httpx, no waiting": [], "queue": []}
    try:
        for _ in range(rounds):
            reports = make_reports(count, size)
            took["bare httpx"].append(asyncio.run(with_httpx(waiting_url, reports, slots)))
            took["bare httpx, no waiting"].append(asyncio.run(with_httpx(prompt_url, reports, slots)))
            with tempfile.TemporaryDirectory(prefix="pywats-upload-") as folder:
                took["queue"].append(asyncio.run(with_queue(waiting_url, reports, slots, Path(folder))))
    finally:
        for process in (waiting_server, prompt_server):
            process.kill()
            process.communicate()
    median = {name: statistics.median(times) for name, times in took.items()}
    ideal_s = count * answer_after_s / slots
    bound_s = ideal_s + median["bare httpx, no waiting"]
    print(f"{count} reports of {size} bytes, {slots} slots, {answer_after_s * 1000:g} ms: ideal {ideal_s:.2f} s")
    for name, value in median.items():
        print(f"  {name:24} {value:6.2f} s   ({', '.join(f'{t:.2f}' for t in took[name])})")
    print(f"  queue / (ideal + bare cost) {median['queue'] / bound_s:.3f}   target <= {TARGET}")
    print(f"  queue / bare httpx          {median['queue'] / median['bare httpx']:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--reports", type=int, default=1000)
    parser.add_argument("--bytes", type=int, default=2048)
    parser.add_argument("--slots", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--answer-ms", type=float, default=20.0)
    chosen = parser.parse_args()
    if chosen.serve is not None:
        asyncio.run(serve(chosen.serve))
    else:
        measure(chosen.reports, chosen.bytes, chosen.slots, chosen.rounds, chosen.answer_ms / 1000)


if __name__ == "__main__":
    main()
