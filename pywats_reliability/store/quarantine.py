"""The place for what is no record: moved as it is, never opened, never deleted, with the reason beside it (H1.6)."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from pywats_reliability.disk import Disk
from pywats_reliability.ports import WallClock
from pywats_reliability.store.names import REASON_SUFFIX

NAME_BYTES_MAX = 200


class Quarantine:
    """The folder ``quarantine/``. Its methods block: call them in a worker thread."""

    def __init__(self, folder: Path, disk: Disk, clock: WallClock) -> None:
        self.folder = folder
        self._disk, self._clock = disk, clock

    def put(self, path: Path, why: str) -> Path:
        """Move ``path`` here and return its new place. Raises ``DiskError``; ``path`` then stays where it is.

        The reason is written first: what is here always has one, whenever the power fails.
        """
        target = self._free_place(path.name)
        reason = {
            "what": "this is no report that could be sent; mend it and submit it again, or delete it",
            "why": why,
            "when": self._clock.now().isoformat(timespec="seconds"),
            "original_name": path.name,
            "original_folder": path.parent.name,
        }
        self._disk.write_atomically(reason_path(target), json.dumps(reason, indent=1).encode() + b"\n")
        self._disk.move(path, target)
        self._disk.sync_folder(self.folder)
        self._disk.sync_folder(path.parent)
        return target

    def count(self) -> int:
        """Return how many files (or folders, pipes …) are here, their reasons not counted."""
        names = set(self._disk.list_names(self.folder))
        return sum(name + REASON_SUFFIX in names for name in names)

    def _free_place(self, name: str) -> Path:
        """Return a path that is free, for the thing and for its reason, by the same name where possible."""
        short = _shortened(name)
        place, number = self.folder / short, 1
        while self._disk.exists(place) or self._disk.exists(reason_path(place)):
            number += 1
            place = self.folder / f"{short}.{number}"
        return place

    def __repr__(self) -> str:
        return f"Quarantine({self.folder})"


def reason_path(path: Path) -> Path:
    """Return where the reason for ``path`` stands."""
    return path.with_name(path.name + REASON_SUFFIX)


def _shortened(name: str) -> str:
    """Return ``name``, cut where the reason's name would become too long for the filesystem."""
    encoded = os.fsencode(name)
    if len(encoded) <= NAME_BYTES_MAX:
        return name
    return f"{os.fsdecode(encoded[: NAME_BYTES_MAX - 20])}-{hashlib.sha256(encoded).hexdigest()[:16]}"
