"""What can be asked and done about the reports in the folders: over IPC, and by hand on a folder that nobody uses.

* The command line uses the same handlers where no service runs, on a store that it has opened: it holds the folder's
  lock then, so that it can never race a service (H1.9).
* Reports are told of by id, place, size and story. Their contents do not travel: who may ask may read the file, whose
  path is in the answer (H3.5).
* A record may move while it is looked for: it is then looked for once more, and told of where it was found last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError, ReportInvalidError, ReportNotFoundError, SettingTypeError
from pywats_reliability.ipc import CommandHandler
from pywats_reliability.queue_manager import QueueManager
from pywats_reliability.store import FolderName, Record
from pywats_reliability.store.folders import list_records
from pywats_reliability.store.history import read_history
from pywats_reliability.store.names import REASON_SUFFIX, history_name, parse_name
from pywats_reliability.store.quarantine import reason_path
from pywats_reliability.workers import Workers

QUARANTINE = "quarantine"
RECORD_FOLDERS: tuple[FolderName, ...] = get_args(FolderName)
FOLDERS = (*RECORD_FOLDERS, QUARANTINE)
LIST_MAX = 500
REASON_BYTES_MAX = 64 * 1024
NO_REASON = "the reason beside it cannot be read"


class QueueCommands:
    """The handlers for the reports of one data folder; ``queue`` stands in front of its open store.

    What may block runs in threads of ``workers``, which are their owner's to close.
    """

    def __init__(self, queue: QueueManager, data: Path, workers: Workers, disk: Disk | None = None) -> None:
        self._queue, self._data, self._workers, self._disk = queue, data, workers, disk or Disk()

    def handlers(self) -> dict[str, CommandHandler]:
        """Return the handler of each command."""
        return {
            "get_data_folder": self.get_data_folder,
            "get_queue": self.get_queue,
            "show_report": self.show_report,
            "retry_failed": self.retry_failed,
            "discard_failed": self.discard_failed,
        }

    async def get_data_folder(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Return the folder in which the reports are."""
        return {"data": str(self._data.absolute())}

    async def get_queue(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return the oldest records of ``folder`` (pending, sent, failed, quarantine), at most 500, and their count."""
        folder = args.get("folder", "pending")
        if folder not in FOLDERS:
            raise SettingTypeError("args.folder", f"one of {', '.join(FOLDERS)}", "another")
        if folder == QUARANTINE:
            names = await self._workers.run("listing quarantine/", _quarantined, self._disk, self._data)
            first = names[:LIST_MAX]
            shown = await self._workers.run("reading reasons in quarantine/", _reasons, self._disk, self._data, first)
            return {"folder": folder, "count": len(names), "records": shown}
        records = await self._queue.list_records(folder)
        return {"folder": folder, "count": len(records), "records": [_told(r) for r in records[:LIST_MAX]]}

    async def show_report(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return every place where a report is, by its ``id`` (in quarantine/ also by the file's name), and its story.

        Raises ``ReportNotFoundError``.
        """
        wanted = _report_id(args)
        for _ in range(2):
            if places := await self._workers.run("looking for a report", _places, self._disk, self._data, wanted):
                return {"id": wanted, "places": places}
        raise ReportNotFoundError(ascii(wanted), "pending, sent, failed or quarantine")

    async def retry_failed(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Queue a report from ``failed/`` again, by its ``id``."""
        return {"retried": await self._queue.retry_failed(_report_id(args))}

    async def discard_failed(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Delete a report from ``failed/`` for good, by its ``id``."""
        return {"discarded": await self._queue.discard_failed(_report_id(args))}

    def __repr__(self) -> str:
        return f"QueueCommands({self._data}, {len(self.handlers())} commands)"


def _report_id(args: Mapping[str, Any]) -> str:
    report_id = args.get("id")
    if not isinstance(report_id, str):
        raise ReportInvalidError("args.id as the id of a report", "none")
    return report_id


def _told(record: Record) -> dict[str, Any]:
    sent_at = {"sent_at": record.sent_at.isoformat()} if record.sent_at else {}
    return {
        "id": record.report_id, "priority": record.priority, "accepted_at": record.accepted_at.isoformat(),
        "size": record.size, "file": record.name, **sent_at,
    }  # fmt: skip


def _places(disk: Disk, data: Path, wanted: str) -> list[dict[str, Any]]:
    """Return where the report is, the newest record first; one that was seen moving is told of at its last place."""
    found: dict[int, dict[str, Any]] = {}
    for folder in ("failed", "pending", "sent"):
        for record in list_records(disk, data / folder):
            if record.report_id == wanted.lower():
                history = read_history(disk, data / folder / history_name(record))
                story = {"attempts": history.attempts, "last_error": history.last_error}
                events = {"history": list(asdict(history)["events"])}
                place = {"folder": folder, "path": str((data / folder / record.name).absolute())}
                found[record.sequence] = place | _told(record) | story | events
    names = [name for name in _quarantined(disk, data) if _is_meant(name, wanted)]
    records = [found[sequence] for sequence in sorted(found, reverse=True)]
    return [*records, *({"folder": QUARANTINE, **told} for told in _reasons(disk, data, names))]


def _is_meant(name: str, wanted: str) -> bool:
    record = parse_name(name)
    return name == wanted or (record is not None and record.report_id == wanted.lower())


def _quarantined(disk: Disk, data: Path) -> list[str]:
    """Return the names of the files in ``quarantine/``, those of their reasons not counted."""
    names = set(disk.list_names(data / QUARANTINE))
    return sorted(name for name in names if name + REASON_SUFFIX in names)


def _reasons(disk: Disk, data: Path, names: list[str]) -> list[dict[str, Any]]:
    told = []
    for name in names:
        path = data / QUARANTINE / name
        try:
            reason = json.loads(disk.read(reason_path(path), bytes_max=REASON_BYTES_MAX))
            why, when = str(reason["why"]), str(reason["when"])
        except (DiskError, ValueError, KeyError, TypeError, RecursionError):
            why, when = NO_REASON, ""
        told.append({"file": name, "path": str(path.absolute()), "why": why, "when": when})
    return told
