"""Which sources were left in place by post action ``keep``: remembered across restarts, so that none is sent again.

The memory is a small file of names and signatures per converter. Should a crash come between a report's acceptance and
this memory, the source is converted again, to a report of the same id.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

from pywats_reliability.converter_pool.threads import Threads
from pywats_reliability.disk import Disk

BYTES_MAX = 64 * 1024 * 1024


class Kept:
    """The kept sources of one converter."""

    def __init__(self, converter: str, folder: Path, disk: Disk) -> None:
        self._converter, self._disk = converter, disk
        self._path = folder / f"{hashlib.sha256(converter.encode()).hexdigest()[:16]}.kept.json"
        self._names: dict[str, str] = {}
        self._saving: asyncio.Future[None] | None = None

    def load(self) -> None:
        """Read what is remembered; what cannot be read is no memory. Blocks; raises ``DiskError``."""
        if not self._disk.exists(self._path):
            return
        try:
            found = json.loads(self._disk.read(self._path, bytes_max=BYTES_MAX))["kept"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return
        if isinstance(found, dict):
            self._names = {str(name): str(signature) for name, signature in found.items()}

    def knows(self, path: Path, signature: str) -> bool:
        """Return whether a source was left in place just as it is now."""
        return self._names.get(str(path)) == signature

    async def note(self, path: Path, signature: str, threads: Threads, limit_s: float) -> None:
        """Remember a source, durably. Raises ``DiskError`` or ``ConversionTimeoutError``."""
        self._names[str(path)] = signature
        while self._saving is not None:  # One at a time, also when who began it has been cancelled.
            await asyncio.wait([self._saving])
        await threads.call(f"remembering {path.name}", self._save, limit_s, began=self._began)

    def _began(self, saving: asyncio.Future[None]) -> None:
        self._saving = saving
        saving.add_done_callback(self._saved)

    def _saved(self, _saving: asyncio.Future[None]) -> None:
        self._saving = None

    def _save(self) -> None:
        for name in list(self._names):
            if not self._disk.exists(name):
                del self._names[name]
        self._disk.make_folder(self._path.parent)
        document = {"converter": self._converter, "kept": dict(self._names)}
        self._disk.write_atomically(self._path, json.dumps(document, indent=1).encode())

    def __repr__(self) -> str:
        return f"Kept({self._converter}, {len(self._names)} sources)"
