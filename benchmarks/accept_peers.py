"""The ready-made durable queues of ``accept.py``, each with its most durable settings.

    python accept_peers.py NAME FOLDER COUNT SIZE PRODUCERS        prints [reports per second, p99 in ms]

Producers are asyncio tasks, as those of our store are. A peer's call blocks, so one thread makes the calls in turn:
with SQLite below them all, more threads only wait for each other's lock.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Put = Callable[[bytes], object]


def sqlite(folder: Path) -> Put:
    """One table in WAL mode with synchronous=FULL, one transaction per report."""
    base = sqlite3.connect(folder / "queue.db", isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, body BLOB)")
    return lambda body: base.execute("INSERT INTO queue (body) VALUES (?)", (body,))


def persist_queue(folder: Path) -> Put:
    """``SQLiteQueue`` with a commit per report."""
    import persistqueue

    return persistqueue.SQLiteQueue(str(folder), auto_commit=True).put


def persist_ack(folder: Path) -> Put:
    """``SQLiteAckQueue``, whose consumers acknowledge."""
    import persistqueue

    return persistqueue.SQLiteAckQueue(str(folder), auto_commit=True).put


def huey(folder: Path) -> Put:
    """``SqliteStorage`` with ``fsync``."""
    from huey.storage import SqliteStorage

    return SqliteStorage(filename=str(folder / "huey.db"), fsync=True).enqueue


def diskcache(folder: Path) -> Put:
    """``Cache.push`` with synchronous=FULL, everything in the database: its files are never synced."""
    from diskcache import Cache

    return Cache(str(folder), sqlite_synchronous=2, disk_min_file_size=2**30, cull_limit=0).push


def litequeue(folder: Path) -> Put:
    """``LiteQueue`` with synchronous=FULL."""
    from litequeue import LiteQueue

    queue = LiteQueue(str(folder / "lite.db"))
    queue.conn.execute("PRAGMA synchronous=FULL")
    return lambda body: queue.put(body.decode())


QUEUES = {
    "sqlite3": sqlite,
    "persist-queue": persist_queue,
    "persist-queue-ack": persist_ack,
    "huey": huey,
    "diskcache": diskcache,
    "litequeue": litequeue,
}


async def measure(name: str, folder: Path, count: int, size: int, producers: int) -> tuple[float, float]:
    """Let ``producers`` put ``count`` bodies in all; return the rate and the p99 of the waits in ms."""
    waits: list[float] = []
    body = b"x" * size
    with ThreadPoolExecutor(1) as thread:
        loop = asyncio.get_running_loop()
        put = await loop.run_in_executor(thread, QUEUES[name], folder)

        async def produce(share: int) -> None:
            for _ in range(share):
                began = time.perf_counter()
                await loop.run_in_executor(thread, put, body)
                waits.append(time.perf_counter() - began)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(producers):
                group.create_task(produce(count // producers))
        took = time.perf_counter() - began
    return len(waits) / took, sorted(waits)[int(len(waits) * 0.99)] * 1000


if __name__ == "__main__":
    name, place, *numbers = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(name, Path(place), *map(int, numbers)))))
