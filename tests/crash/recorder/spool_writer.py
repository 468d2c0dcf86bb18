"""A program to be recorded: it saves items one after the other and says so; its fault is its second argument.

Run as ``python spool_writer.py FOLDER FAULT COUNT``; it imports nothing but ``os`` and ``sys``, to start quickly.
"""

from __future__ import annotations

import os
import sys

FAULTS = ("none", "no file sync", "no folder sync", "in place", "said too early")


def sync(path: str) -> None:
    """Sync a file or folder by its path."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def content(number: int) -> bytes:
    """Return what an item consists of."""
    return b"item %d " % number * 100


def save(spool: str, number: int, fault: str) -> None:
    """Save one item and say so."""
    name = f"{spool}/item-{number}"
    aside = name if fault == "in place" else name + ".tmp"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(descriptor, content(number))
    if fault == "said too early":
        say(f"saved {number}")
    if fault != "no file sync":
        os.fsync(descriptor)
    os.close(descriptor)
    if aside != name:
        os.rename(aside, name)  # noqa: TID251 - the program under test, not part of the toolkit
    if fault != "no folder sync":
        sync(spool)
    if fault != "said too early":
        say(f"saved {number}")


def say(line: str) -> None:
    """Print a line with one system call."""
    os.write(1, line.encode() + b"\n")


def main() -> None:
    """Save as many items as asked."""
    spool, fault, count = sys.argv[1:]
    say("ready")
    for number in range(int(count)):
        save(spool, number, fault)


if __name__ == "__main__":
    main()
