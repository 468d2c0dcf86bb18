"""The subject's files at each change of a simulated run, kept for a person who replays it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from chaos.outcome import DiskLook
from chaos.sim.disk.volume import Volume

LOOKS_MAX = 2_000
DIGEST_CHARS = 8


class DiskLooks:
    """Looks at one volume whenever it is told that something may have happened; only changes are kept."""

    def __init__(self, volume: Volume) -> None:
        self._volume, self._files = volume, described(volume)
        self._noted = 0
        self.looks: list[DiskLook] = []

    def look(self, now_ns: int) -> None:
        """Keep what changed since the last look, if anything; what comes after ``LOOKS_MAX`` is not kept."""
        log = self._volume.log
        if len(log) == self._noted or len(self.looks) >= LOOKS_MAX:
            return
        when = _said(log[-1]) if log else "power lost"
        self._noted = len(log)
        if (files := described(self._volume)) != self._files:
            self._files = files
            self.looks.append(DiskLook(now_ns, when, files))

    def __repr__(self) -> str:
        return f"DiskLooks({len(self.looks)} changes)"


def described(volume: Volume) -> Mapping[str, str]:
    """Return of each file, by its path, the size in bytes and the beginning of its digest; of others their kind."""
    return {path: _described(content) for path, content in volume.contents().items()}


def _described(content: Any) -> str:
    if content is None:
        return "folder"
    if isinstance(content, bytes):
        return f"{len(content)} bytes {hashlib.sha256(content).hexdigest()[:DIGEST_CHARS]}"
    return "link"


def _said(entry: Any) -> str:
    return f"{entry.actor or 'the world'}: {type(entry.operation).__name__}"
