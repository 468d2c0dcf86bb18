"""Files that no service of ours wrote, for a folder of records: planted before, looked for after."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

OVERSIZED_BYTES = 65 * 1024 * 1024
_CONTENTS: Mapping[str, bytes] = {
    "random.json": bytes(range(256)) * 40,
    "empty.json": b"",
    "torn.json": b'{"id": "7f3a0c1e-0000-4000-8000-000000000000", "pn": "PN-1", "sn"',
    "latin.json": '{"pn": "Prüfplatz"}'.encode("latin-1"),
    "utf16.json": '{"pn": "PN"}'.encode("utf-16"),
    "no-report.json": b'{"hello": "world"}',
    "20261123T143005.123456Z_05_7f3a0c1e-0000-4000-8000-000000000000_2048.json": b'{"id": "7f3a0c1e',
    "deep.json": b"[" * 100_000,
}


def plant(folder: Path) -> dict[str, str]:
    """Put the files into ``folder`` and return their names with what tells whether they were changed."""
    for name, contents in _CONTENTS.items():
        (folder / name).write_bytes(contents)
    with (folder / "oversized.json").open("wb") as file:
        file.truncate(OVERSIZED_BYTES)
    (folder / "link.json").symlink_to("/etc/hostname")
    (folder / "folder.json").mkdir()
    (folder / "folder.json" / "inside").write_text("kept")
    os.mkfifo(folder / "pipe.json")
    names = [*_CONTENTS, "oversized.json", "link.json", "folder.json", "pipe.json"]
    return {name: fingerprint(folder / name) for name in names}


def look(quarantine: Path, planted: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Return for each planted file whether it is in quarantine, unchanged, and what reason stands beside it."""
    found = {}
    for name, known in planted.items():
        place = quarantine / name
        is_there = os.path.lexists(place)
        reason = place.with_name(f"{name}.reason.json")
        why = json.loads(reason.read_text())["why"] if reason.exists() else ""
        found[name] = {
            "is_there": is_there,
            "is_unchanged": is_there and fingerprint(place) == known,
            "reason": why,
        }
    return found


def fingerprint(path: Path) -> str:
    """Return what tells whether a file was changed: its kind, and the hash of what it contains or where it leads."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    if stat.S_ISDIR(mode):
        return f"folder of {sorted(entry.name for entry in path.iterdir())}"
    if not stat.S_ISREG(mode):
        return "pipe"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
