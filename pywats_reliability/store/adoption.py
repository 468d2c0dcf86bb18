"""Judging a file in ``pending/`` whose name is not ours: a report dropped in by hand, or something for the quarantine.

* A report gets a name of ours and keeps every byte. One without an id gets it durably: the new record first, then the
  original goes. Its id comes from the original's name, time and contents, so that a crash in between makes the same
  report again, and not a second one (H1.5, H1.15).
* All else goes to quarantine with its reason: torn, empty, oversized, a link, a folder, a pipe, no permission (H1.6).
* What may be a file still being written is left until it has stopped changing, unless the caller's judgement is final.
* What cannot be moved, or not be read just now, is skipped: named once in the log, tried again by the next scan.
"""

from __future__ import annotations

import enum
import errno
import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from pywats_reliability.disk import Disk, Entry
from pywats_reliability.errors import DiskError, ReportInvalidError
from pywats_reliability.report import Report, parse_report
from pywats_reliability.store.index import IndexEntry
from pywats_reliability.store.names import PRIORITY_DEFAULT, make_record
from pywats_reliability.store.quarantine import Quarantine

NAMESPACE = uuid.UUID("7b0a8a52-63f4-4f0b-9a53-5f1f9d1f2a77")


class Fate(enum.Enum):
    """What became of a file that was judged."""

    ADOPTED = "adopted"
    QUARANTINED = "quarantined"
    GONE = "gone"
    UNSETTLED = "unsettled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The fate of a file, the record it became, or why it became none."""

    fate: Fate
    entry: IndexEntry | None = None
    why: str = ""


class Adoption:
    """Judges files of one ``pending/``. Its methods block: call them in a worker thread."""

    def __init__(self, folder: Path, quarantine: Quarantine, disk: Disk, bytes_max: int) -> None:
        self.folder = folder
        self._quarantine, self._disk, self._bytes_max = quarantine, disk, bytes_max

    def judge(self, found: Entry, sequence: int, *, is_final: bool) -> Judgement:
        """Adopt ``found`` at that place in the order of arrival, or put it into quarantine if that ``is_final``."""
        path = self.folder / found.name
        try:
            contents = self._contents(found)
            if isinstance(contents, bytes):
                return Judgement(Fate.ADOPTED, self._adopt(path, contents, found, sequence))
            why = contents
        except ReportInvalidError as error:
            why = str(error)
        except DiskError as error:
            fate = Fate.GONE if error.error_number == errno.ENOENT else Fate.SKIPPED
            return Judgement(fate, why=str(error))
        return self.reject(path, why) if is_final else Judgement(Fate.UNSETTLED, why=why)

    def reject(self, path: Path, why: str) -> Judgement:
        """Put ``path`` into quarantine, if the disk lets us."""
        try:
            self._quarantine.put(path, why)
        except DiskError as error:
            fate = Fate.GONE if not self._disk.exists(path) else Fate.SKIPPED
            return Judgement(fate, why=f"{why}; {error}")
        return Judgement(Fate.QUARANTINED, why=why)

    def _contents(self, found: Entry) -> bytes | str:
        """Return what the file contains, or why it will never tell."""
        if not found.is_file:
            return "expected a file, found a link, a folder, a pipe or a socket"
        if found.size == 0:
            return "expected a report, found an empty file"
        path = self.folder / found.name
        try:
            return self._disk.read(path, bytes_max=self._bytes_max)
        except DiskError as error:
            if self._disk.is_unreadable(path, error):
                return str(error)
            raise

    def _adopt(self, path: Path, contents: bytes, found: Entry, sequence: int) -> IndexEntry:
        report = _with_derived_id(parse_report(contents), contents, found)
        entry = IndexEntry(sequence, report.id, PRIORITY_DEFAULT, len(report.body))
        target = self.folder / make_record(*entry).name
        if report.body == contents:
            self._disk.sync_file(path)
            self._disk.move(path, target)
        else:
            self._disk.write_atomically(target, report.body)
            self._disk.remove(path)
        self._disk.sync_folder(self.folder)
        return entry


def _with_derived_id(report: Report, contents: bytes, found: Entry) -> Report:
    """Return ``report`` with an id that its file gives every time, if it was given a random one just now."""
    if report.body in (contents, contents.removeprefix(b"\xef\xbb\xbf")):
        return report
    digest = hashlib.sha256(contents).hexdigest()
    derived = str(uuid.uuid5(NAMESPACE, f"{found.modified_ns} {digest} {found.name!a}"))
    return Report(derived, report.body.replace(report.id.encode(), derived.encode(), 1))
