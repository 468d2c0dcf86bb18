"""Verdicts on software that nobody here wrote, by enumeration and by real power cuts, side by side.

    python benchmarks/crash_verdicts.py [CUTS [NAME]]        installs the queues into a temporary folder; cuts need root

A program puts items, one after the other, and says so after each. The promise that is checked: what was said to be put
is there after a crash, and the store opens. *Enumerated* is the verdict under each model; *real* is how many cuts of a
small ext4, at random moments, left the promise broken. The two agree when no cut breaks what was said to hold.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from chaos.crash.check_command import printed
from chaos.crash.log_file import Recording
from chaos.crash.power_cut import Moment, PowerCuts
from chaos.crash.recorder import record
from chaos.crash.recorder.real_folder import fill
from chaos.crash.state_check import Judgement, Options, check_states
from chaos.errors import NotAvailableError
from chaos.storage.crash_states import Limits
from chaos.storage.operations import Visible
from chaos.storage.persistence import EXT4_ORDERED, POSIX, Persistence
from chaos.verdict import Verdict

PACKAGES = ("persist-queue==1.1.0", "litequeue==0.9", "diskcache==5.6.3")
ITEMS = 2
CUT_ITEMS = 12
LIMITS = Limits(2000, 2000, 5_000)
Put = Callable[[str], object]
Read = Callable[[], Iterable[str]]


def sqlite(journal: str, synchronous: str) -> Callable[[str], tuple[Put, Read]]:
    def opened(folder: str) -> tuple[Put, Read]:
        import sqlite3

        base = sqlite3.connect(f"{folder}/rows.db", isolation_level=None)
        base.execute("PRAGMA page_size = 512")  # As the sector of the models: otherwise each page may tear.
        base.execute(f"PRAGMA journal_mode = {journal}")
        base.execute(f"PRAGMA synchronous = {synchronous}")
        base.execute("CREATE TABLE IF NOT EXISTS rows (item TEXT)")
        return (
            lambda item: base.execute("INSERT INTO rows VALUES (?)", (item,)),
            lambda: [item for (item,) in base.execute("SELECT item FROM rows")],
        )

    return opened


def persist_queue_files(folder: str) -> tuple[Put, Read]:
    import persistqueue

    queue = persistqueue.Queue(folder, tempdir=folder, autosave=True)  # Or it renames from another disk.
    return queue.put, lambda: [queue.get(block=False) for _ in range(queue.qsize())]


def persist_queue_sqlite(folder: str) -> tuple[Put, Read]:
    import persistqueue

    queue = persistqueue.SQLiteQueue(folder, auto_commit=True)
    return queue.put, lambda: [queue.get(block=False) for _ in range(queue.qsize())]


def litequeue(folder: str) -> tuple[Put, Read]:
    from litequeue import LiteQueue

    queue = LiteQueue(f"{folder}/lite.db")
    return queue.put, lambda: [queue.pop().data for _ in range(queue.qsize())]


def diskcache(synchronous: int) -> Callable[[str], tuple[Put, Read]]:
    def opened(folder: str) -> tuple[Put, Read]:
        from diskcache import Cache

        cache = Cache(folder, sqlite_synchronous=synchronous)
        return cache.push, lambda: [cache[key] for key in cache]

    return opened


STORES: dict[str, Callable[[str], tuple[Put, Read]]] = {
    "sqlite3 delete EXTRA": sqlite("delete", "extra"),
    "sqlite3 delete FULL (default)": sqlite("delete", "full"),
    "sqlite3 truncate FULL": sqlite("truncate", "full"),
    "sqlite3 wal FULL": sqlite("wal", "full"),
    "sqlite3 wal NORMAL": sqlite("wal", "normal"),
    "sqlite3 delete OFF": sqlite("delete", "off"),
    "persist-queue Queue": persist_queue_files,
    "persist-queue SQLiteQueue": persist_queue_sqlite,
    "litequeue": litequeue,
    "diskcache (default)": diskcache(1),
    "diskcache FULL": diskcache(2),
}


def put_items(name: str, folder: str, count: int) -> None:
    """Be the program under test."""
    put, _ = STORES[name](folder)
    os.sync()  # The store itself was there before; what is judged is the putting.
    os.write(1, b"ready\n")
    for number in range(count):
        put(item_of(number))
        os.write(1, b"put %d\n" % number)
    os._exit(0)  # As a process that dies: nothing is closed.


def item_of(number: int) -> str:
    return f"item {number} " * 20


def promise_of(name: str) -> Callable[[Path, Sequence[Visible]], str]:
    """Return the check: everything that was said to be put is there, read by the store itself."""

    def check(folder: Path, seen: Sequence[Visible]) -> str:
        said = [line for line in printed(seen).decode().splitlines() if line.startswith("put ")]
        try:
            there = {str(item) for item in STORES[name](str(folder))[1]()}
        except Exception as error:  # noqa: BLE001 - whatever a store raises, it did not open
            return f"{type(error).__name__}" if said else ""
        lost = [line for line in said if item_of(int(line.split()[1])) not in there]
        return "an item is lost" if lost else ""

    return check


def recorded(name: str, site: str) -> Recording:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(subject(name, folder, 0, site), stdout=subprocess.DEVNULL, check=True)
        return record(subject(name, folder, ITEMS, site), folder, ("*-shm",))


def subject(name: str, folder: str, count: int, site: str) -> list[str]:
    paths = os.pathsep.join((site, *filter(None, sys.path)))
    program = ("-c", "import sys, crash_verdicts as v; v.put_items(sys.argv[1], sys.argv[2], int(sys.argv[3]))")
    return [
        "env",
        f"PYTHONPATH={paths}",
        "PYTHONDONTWRITEBYTECODE=1",
        sys.executable,
        *program,
        name,
        folder,
        str(count),
    ]


def enumerated(recording: Recording, name: str, model: Persistence) -> str:
    judgement = check_states(recording, model, promise_of(name), Options(LIMITS))
    return f"{judgement.verdict} {judgement.broken}/{judgement.states}{reason_of(judgement)}"


def reason_of(judgement: Judgement) -> str:
    if judgement.verdict is Verdict.UNKNOWN:
        return f" ({(judgement.doubts or judgement.bounds_hit or ['?'])[0][:60]})"
    worst = judgement.smallest
    return f" ({worst.wrong})" if worst else ""


def really_cut(name: str, site: str, cuts: int, draw: random.Random) -> str:
    broken = 0
    with PowerCuts("ext4") as disk, tempfile.TemporaryDirectory() as place:
        for number in range(cuts):
            moment = Moment(
                draw.randrange(2, CUT_ITEMS), draw.random() * 0.003, draw.choice(("nothing", "nothing", "data"))
            )
            cut = disk.cut(subject(name, "{dir}", CUT_ITEMS, site), moment, traced=False)
            folder = Path(place, str(number))
            folder.mkdir()
            fill(str(folder), cut.contents)
            broken += bool(promise_of(name)(folder, cut.seen))
    return f"{broken}/{cuts} broken"


def main(cuts: str = "25", chosen: str = "") -> None:
    draw = random.Random(1)
    sys.unraisablehook = lambda _hint: None  # Stores that could not open complain again when they are collected.
    with tempfile.TemporaryDirectory() as site:
        pip = (sys.executable, "-m", "pip", "install", "-q", "--target", site, *PACKAGES)
        subprocess.run(pip, check=True)
        sys.path.append(site)
        for name in (name for name in STORES if chosen in name):
            recording = recorded(name, site)
            words = [f"{model}: {enumerated(recording, name, model)}" for model in (POSIX, EXT4_ORDERED)]
            try:
                words.append(f"real ext4: {really_cut(name, site, int(cuts), draw)}")
            except NotAvailableError as error:
                words.append(str(error))
            print(f"{name:<30} " + "; ".join(words), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.modules["crash_verdicts"] = sys.modules["__main__"]
    main(*sys.argv[1:])
