"""What becomes of a source in the end: moved, archived, deleted or put aside; nothing is ever overwritten (C1.9).

* A name that is taken gets a number: ``log.csv``, ``log.2.csv``. Two threads cannot choose the same one.
* The name is gone from the watched folder only when what replaces it is durable: a move is a rename, or, on another
  filesystem, a synced copy and then a removal; an archive is written aside, synced and named before the source goes.
* A folder that is to be deleted is renamed to a hidden name first: a part of it can never be taken for a source.
* Beside what is put aside lies the reason; it is written first, so nothing is ever there without one.

All methods block: call them in a worker thread. They raise ``DiskError``; the source is then where it was.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pywats_reliability.converter_pool.looking import walk
from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError

REASON_SUFFIX = ".reason.json"
NAME_BYTES_MAX = 200
_LEFTOVER = re.compile(r"\..+\.deleted", re.DOTALL)


class Filing:
    """Files sources away on ``disk``."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._claims: dict[Path, object] = {}

    def move(self, path: Path, folder: Path) -> Path:
        """Move a source into ``folder`` and return its new place."""
        with self._place(folder, path.name) as place:
            self._relocate(path, place)
            return place

    def move_if_free(self, path: Path, folder: Path) -> Path:
        """Move a source into ``folder`` under its own name and return its new place: the old one if that is taken."""
        self._disk.make_folder(folder)
        place = folder / path.name
        if self._disk.exists(place):
            return path
        self._relocate(path, place)
        return place

    def archive(self, path: Path, folder: Path) -> Path:
        """Put a source into a ZIP file of its own in ``folder``, remove it, and return the ZIP file's place."""
        with self._place(folder, f"{path.name}.zip") as place:
            self._write(place, self._zipped(path))
        self.delete(path)
        return place

    def delete(self, path: Path) -> None:
        """Delete a source."""
        if not _is_folder(path):
            self._disk.remove(path)
            self._disk.sync_folder(path.parent)
            return
        with self._place(path.parent, f".{path.name}.deleted") as hidden:
            self._disk.move(path, hidden)
            self._disk.sync_folder(path.parent)
        _remove_tree(hidden)

    def put_aside(self, path: Path, folder: Path, reason: Mapping[str, Any]) -> Path:
        """Move a source into ``folder`` with the reason beside it, and return its new place."""
        with self._place(folder, path.name) as place:
            text = json.dumps({**reason, "original_path": str(path)}, indent=1, ensure_ascii=False)
            self._write(reason_path(place), text.encode(errors="backslashreplace") + b"\n")
            try:
                self._relocate(path, place)
            except DiskError:
                self._disk.remove(reason_path(place))
                raise
            return place

    def clean(self, folder: Path) -> None:
        """Remove what a deletion that was cut off has left in ``folder``."""
        for name in self._disk.list_names(folder):
            if _LEFTOVER.fullmatch(name) and _is_folder(folder / name):
                _remove_tree(folder / name)

    @contextmanager
    def _place(self, folder: Path, name: str) -> Iterator[Path]:
        """Claim a free name in ``folder`` while something is given it."""
        self._disk.make_folder(folder)
        claim, number = object(), 1
        place = folder / _numbered(name, number)
        while self._claims.setdefault(place, claim) is not claim or self._is_taken(place):
            if self._claims[place] is claim:
                del self._claims[place]
            number += 1
            place = folder / _numbered(name, number)
        try:
            yield place
        finally:
            del self._claims[place]

    def _is_taken(self, place: Path) -> bool:
        return self._disk.exists(place) or self._disk.exists(reason_path(place))

    def _relocate(self, path: Path, place: Path) -> None:
        try:
            self._disk.move(path, place)
        except DiskError as error:
            if error.error_number != errno.EXDEV or _is_folder(path):
                raise
            self._write(place, self._disk.read(path))
            self._disk.remove(path)
        self._disk.sync_folder(place.parent)
        self._disk.sync_folder(path.parent)

    def _write(self, place: Path, data: bytes) -> None:
        aside = self._disk.write_aside(place, data)
        try:
            self._disk.sync_aside(aside)
            self._disk.publish(aside)
        except DiskError:
            self._disk.discard(aside)
            raise
        self._disk.sync_folder(place.parent)

    def _zipped(self, path: Path) -> bytes:
        files = [file for file, _ in walk(self._disk, path)] if _is_folder(path) else [path]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for file in files:
                name = str(file.relative_to(path.parent)).encode(errors="backslashreplace").decode()
                about = zipfile.ZipInfo.from_file(file, name, strict_timestamps=False)
                about.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(about, self._disk.read(file))
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"Filing({len(self._claims)} under way)"


def reason_path(place: Path) -> Path:
    """Return where the reason for what is at ``place`` stands."""
    return place.with_name(place.name + REASON_SUFFIX)


def _numbered(name: str, number: int) -> str:
    encoded = os.fsencode(name)
    if len(encoded) > NAME_BYTES_MAX:  # Room for the number, the reason's suffix and what is written aside.
        short = os.fsdecode(encoded[: NAME_BYTES_MAX - 20])
        name = f"{short}-{hashlib.sha256(encoded).hexdigest()[:16]}{Path(name).suffix[:20]}"
    stem, dot, suffix = name.rpartition(".")
    if number == 1:
        return name
    return f"{stem}.{number}{dot}{suffix}" if stem else f"{name}.{number}"


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError as error:
        raise DiskError("look at", path, error) from error


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise DiskError("remove", folder, error) from error
