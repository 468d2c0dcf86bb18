"""The folders of a store, and the questions and errands by hand about what has left ``pending/``.

All functions block: call them in a worker thread.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pywats_reliability.disk import Disk
from pywats_reliability.store.names import Record, history_name, parse_name

FolderName = Literal["pending", "sent", "failed"]


class Folders:
    """Where a store keeps what: the paths, made once.

    ``pending``: kept for sending. ``sent``: what the server has, kept for some days. ``failed``: given up, with its
    story, until somebody retries or discards it. ``quarantine``: what is no report, with the reason.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pending, self.sent, self.failed = root / "pending", root / "sent", root / "failed"
        self.quarantine = root / "quarantine"

    def make(self, disk: Disk) -> None:
        """Make them all, durably, for their owner only."""
        disk.make_folder(self.root, self.pending, self.sent, self.failed, self.quarantine)

    def __repr__(self) -> str:
        return f"Folders({self.root})"


def list_records(disk: Disk, folder: Path) -> list[Record]:
    """Return the records in ``folder`` in the order of their arrival."""
    return [record for name in sorted(disk.list_names(folder)) if (record := parse_name(name))]


def find_records(disk: Disk, folder: Path, report_id: str) -> list[Record]:
    """Return the records of one report id in ``folder`` in the order of their arrival."""
    wanted = report_id.lower()
    return [record for record in list_records(disk, folder) if record.report_id == wanted]


def remove_records(disk: Disk, folder: Path, records: list[Record]) -> int:
    """Remove ``records`` and their sidecars for good; return how many were there."""
    removed = 0
    for record in records:
        removed += disk.remove(folder / record.name)
        disk.remove(folder / history_name(record))
    disk.sync_folder(folder)
    return removed


def prune(disk: Disk, folder: Path, older_than: datetime) -> int:
    """Remove from ``sent/`` what was sent before ``older_than``, and nothing else (H1.11); return how many."""
    names = disk.list_names(folder)
    old = [record for name in names if (record := parse_name(name)) and record.sent_at and record.sent_at < older_than]
    return sum(disk.remove(folder / record.name) for record in old)
