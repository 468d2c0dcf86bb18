"""Taking a source: read whole, its contents summed up, and only if it still is what the looks saw (C1.9)."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pywats_reliability.converter_pool.looking import signature_of, walk
from pywats_reliability.converter_pool.writers import WriterCheck
from pywats_reliability.converters import ConverterSource
from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Taken:
    """A source as it was read; ``digest`` stands for its contents."""

    source: ConverterSource
    digest: str


class Reader:
    """Takes sources from a disk. Its methods block: call them in a worker thread."""

    def __init__(self, disk: Disk, *, bytes_max: int, is_being_written: WriterCheck) -> None:
        self._disk, self._bytes_max, self._is_being_written = disk, bytes_max, is_being_written

    def take(self, path: Path, signature: str, *, is_folder: bool, with_content: bool) -> Taken | None:
        """Return the source, or None when it is not whole: it has changed, is gone, or somebody is writing.

        Raises ``DiskError``; ``EFBIG`` for one that is too large.
        """
        if not self.is_settled(path, signature, is_folder=is_folder):
            return None
        modified_at = _instant(self._disk.look(path).modified_ns)
        if is_folder:
            digest, content = self._folder_digest(path), None
        else:
            data = self._disk.read(path, bytes_max=self._bytes_max)
            digest, content = hashlib.sha256(data).hexdigest(), data if with_content else None
        if not self.is_settled(path, signature, is_folder=is_folder):
            return None
        return Taken(ConverterSource(path, modified_at, is_folder=is_folder, content=content), digest)

    def is_settled(self, path: Path, signature: str, *, is_folder: bool) -> bool:
        """Return whether the source still is as it was seen, and nobody is known to be writing to it."""
        if signature_of(self._disk, path, is_folder=is_folder) != signature:
            return False
        files = [file for file, _ in walk(self._disk, path)] if is_folder else [path]
        return not any(map(self._is_being_written, files))

    def _folder_digest(self, folder: Path) -> str:
        digest, left = hashlib.sha256(), self._bytes_max
        for path, _ in walk(self._disk, folder):
            data = self._disk.read(path, bytes_max=left)
            left -= len(data)
            digest.update(f"{path.relative_to(folder)}\0{len(data)}\0".encode(errors="surrogateescape"))
            digest.update(data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"Reader(at most {self._bytes_max} bytes)"


def _instant(modified_ns: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=modified_ns // 1000)
    except OverflowError:  # A file may claim to be of any time.
        return EPOCH


def is_gone(error: DiskError) -> bool:
    """Return whether an error means that the file is not there any more."""
    return error.error_number == errno.ENOENT
