"""The reports of the crash stories, and how they are found again in what a crash left of the reference's folder."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from chaos.crash.story import FOLDER
from chaos.storage import Contents, Symlink
from pywats_reliability.report import Report, parse_report

DATA = Path(FOLDER) / "data"
FOLDERS: Contents = dict.fromkeys(("data", "data/failed", "data/pending", "data/quarantine", "data/sent"))
KEEPING = ("pending", "sent", "failed")
LOCKS = re.compile(r"data/\.?\.lock.*")
STAMPED = re.compile(r"\d{8}T\d{6}\.\d{6}Z_")


def report_of(number: int, *, serial: str = "") -> Report:
    """Return a small report, always the same for a number."""
    fields = {
        "id": f"00000000-0000-4000-8000-{number:012d}", "pn": "P", "sn": serial or f"S{number}", "rev": "1",
        "processCode": 10, "machineName": "M", "location": "L", "purpose": "P",
    }  # fmt: skip
    return parse_report(json.dumps(fields).encode())


@dataclass(frozen=True, slots=True)
class Reports:
    """The reports of a story, by what the outside calls them."""

    by_name: dict[str, Report]

    def named(self, body: bytes) -> str:
        """Return what the outside calls a report, or a digest when it is none of the story's."""
        return next((name for name, report in self.by_name.items() if report.body == body), _digest(body))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:12]


def abstracted(contents: Contents) -> Contents:
    """Abstract from what grows, or differs, without end: who held the lock, and how often a report was handed over.

    A start neither reads nor believes the file beside the lock, and removes by its name whatever was written aside and
    never renamed, without reading it. A producer that was not answered hands its report over
    again, so that each crash before the answer leaves one more copy; of more than two of the same contents, two count.
    What is in quarantine stays there, under whatever name.
    """
    found: dict[str, Any] = {}
    for path, leaf in contents.items():
        shape, kept, is_counted = _shape(path, leaf)
        if is_counted:
            shape = f"{shape} 2" if f"{shape} 1" in found else f"{shape} 1"
        if shape:
            found[shape] = kept
    return found


@lru_cache(maxsize=65536)
def _shape(path: str, leaf: bytes | Symlink | None) -> tuple[str, bytes | Symlink | None, bool]:
    """Return what a path is called in the abstraction ('' for nothing), its leaf there, whether copies count."""
    folder, _, name = path.rpartition("/")
    if LOCKS.fullmatch(path):
        return "", None, False
    if not isinstance(leaf, bytes):
        return path, leaf, False
    if name.startswith(".") and name.endswith(".tmp"):
        return f"{folder}/a leftover", b"", False
    if folder == "data/quarantine":
        return f"{folder}/{'a reason' if name.endswith('.reason.json') else _digest(leaf)}", leaf, True
    if "Z_" in path:
        return f"{folder}/{STAMPED.sub('', name)} {_digest(leaf)}", leaf, True
    return path, leaf, False


def records_in(contents: Contents, folder: str) -> dict[str, bytes]:
    """Return the records in one of the folders, by name."""
    prefix = f"data/{folder}/"
    return {
        path.removeprefix(prefix): leaf
        for path, leaf in contents.items()
        if path.startswith(prefix) and path.endswith(".json") and not path.endswith((".history.json", ".reason.json"))
        and isinstance(leaf, bytes) and not path.removeprefix(prefix).startswith(".")
    }  # fmt: skip


def names_in(contents: Contents, folder: str, reports: Reports) -> list[str]:
    """Return what the outside calls the records in a folder."""
    return sorted(reports.named(body) for body in records_in(contents, folder).values())
