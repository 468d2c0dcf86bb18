"""What sqlite3 promises after a crash: a sound database with every row whose commit was answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from chaos.crash.check_command import printed
from chaos.storage.operations import Visible
from tests.crash.recorder.sqlite_writer import BODY

WRITER = Path(__file__).with_name("sqlite_writer.py")
DATABASE = "rows.db"


def committed_rows_are_there(folder: Path, seen: Sequence[Visible]) -> str:
    """Check a folder after a crash, as the next process would find it: opening recovers."""
    lines = printed(seen).decode().splitlines()
    committed = {int(line.split()[1]) for line in lines if line.startswith("committed ")}
    if not (folder / DATABASE).exists():
        return "the database is lost" if committed else ""
    try:
        with closing(sqlite3.connect(folder / DATABASE)) as database:
            sound = database.execute("PRAGMA integrity_check").fetchone()[0]
            if sound != "ok":
                return "the database is damaged"
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return "committed rows are lost" if committed else ""
            there = {number for (number,) in database.execute("SELECT number FROM rows WHERE body = ?", (BODY,))}
    except sqlite3.DatabaseError:
        return "the database is damaged"
    return "committed rows are lost" if committed - there else ""
