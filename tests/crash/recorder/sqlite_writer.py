"""A program on sqlite3 to be recorded: it inserts rows, one transaction each, and says when each is committed.

Run as ``python sqlite_writer.py DATABASE JOURNAL_MODE SYNCHRONOUS COUNT``.
"""

from __future__ import annotations

import os
import sqlite3
import sys

BODY = "x" * 50


def main() -> None:
    """Insert the rows; the connection is never closed, as in a process that dies."""
    path, journal_mode, synchronous, count = sys.argv[1:]
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA page_size = 512")
    database.execute(f"PRAGMA journal_mode = {journal_mode}")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, body TEXT)")
    for number in range(int(count)):
        database.execute("INSERT INTO rows VALUES (?, ?)", (number, BODY))
        os.write(1, b"committed %d\n" % number)
    os._exit(0)


if __name__ == "__main__":
    main()
