"""The ready-made durable queues of ``accept.py``, each with its durable settings; run in an environment that has them.

    python accept_peers.py NAME FOLDER COUNT SIZE PRODUCERS        prints [reports per second, p99 in ms]
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

Put = Callable[[bytes], object]


def sqlite(folder: Path) -> Put:
    """One table in WAL mode with synchronous=FULL, one transaction per report."""
    lock = threading.Lock()
    base = sqlite3.connect(folder / "queue.db", check_same_thread=False, isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, body BLOB)")

    def put(body: bytes) -> None:
        with lock:
            base.execute("INSERT INTO queue (body) VALUES (?)", (body,))

    return put


def persist_queue(folder: Path) -> Put:
    """``SQLiteQueue`` with a commit per report."""
    import persistqueue

    return persistqueue.SQLiteQueue(str(folder), auto_commit=True, multithreading=True).put


def huey(folder: Path) -> Put:
    """``SqliteStorage`` with ``fsync``."""
    from huey.storage import SqliteStorage

    return SqliteStorage(filename=str(folder / "huey.db"), fsync=True).enqueue


def diskcache(folder: Path) -> Put:
    """``Deque`` as shipped."""
    from diskcache import Deque

    return Deque(directory=str(folder)).append


def litequeue(folder: Path) -> Put:
    """``LiteQueue`` as shipped."""
    from litequeue import LiteQueue

    queue = LiteQueue(str(folder / "lite.db"))
    return lambda body: queue.put(body.decode())


QUEUES = {
    "sqlite3": sqlite,
    "persist-queue": persist_queue,
    "huey": huey,
    "diskcache": diskcache,
    "litequeue": litequeue,
}


def measure(put: Put, count: int, size: int, producers: int) -> tuple[float, float]:
    """Let ``producers`` threads put ``count`` bodies in all; return the rate and the p99 of the waits in ms."""
    waits: list[float] = []
    body = b"x" * size

    def produce(share: int) -> None:
        for _ in range(share):
            began = time.perf_counter()
            put(body)
            waits.append(time.perf_counter() - began)

    threads = [threading.Thread(target=produce, args=(count // producers,)) for _ in range(producers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    return len(waits) / took, sorted(waits)[int(len(waits) * 0.99)] * 1000


if __name__ == "__main__":
    name, place, *numbers = sys.argv[1:]
    print(json.dumps(measure(QUEUES[name](Path(place)), *map(int, numbers))))
