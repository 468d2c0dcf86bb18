"""What becomes of a source in the end: moved, archived, deleted or put aside; nothing is ever overwritten (C1.9).

* A name that is taken gets a number: ``log.csv``, ``log.2.csv``. Two threads cannot choose the same one.
* The name is gone from the watched folder only when what replaces it is durable: a move is a rename, or, on another
  filesystem, a synced copy and then a removal; an archive is written aside, synced and named before the source goes.
* Somebody may write to a source, or drop another of its name, in the very moment it is filed away. So it is renamed
  first, and looked at once more (``is_same``) where nobody finds it by its name: one that has changed goes back to
  the watched folder, as the source it is now. Nothing is deleted under a name that a writer may be using.
* What is to be deleted has a hidden name until it is gone: a part of a folder can never be taken for a source. What a
  crash leaves of it gets its name back, if it is a file, or goes, if it is a folder.
* Beside what is put aside lies the reason; it is written first, so nothing is ever there without one.

All methods block: call them in a worker thread. They raise ``DiskError``; the source is then where it was. Those that
say so return None, or false, for a source that had changed.
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pywats_reliability.converter_pool.looking import walk
from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError

REASON_SUFFIX = ".reason.json"
NAME_BYTES_MAX = 200
_LEFTOVER = re.compile(r"\.(.+)\.deleted", re.DOTALL)
IsSame = Callable[[Path], bool]
"""Returns whether what is at a path is what was converted."""


class Filing:
    """Files sources away on ``disk``."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._claims: dict[Path, object] = {}

    def move(self, path: Path, folder: Path, is_same: IsSame) -> Path | None:
        """Move a source into ``folder`` and return its new place, or None when it had changed."""
        with self._place(folder, path.name) as place:
            return place if self._relocate(path, place, is_same) else None

    def move_if_free(self, path: Path, folder: Path) -> Path:
        """Move a source into ``folder`` under its own name and return its new place: the old one if that is taken."""
        self._disk.make_folder(folder)
        place = folder / path.name
        if self._disk.exists(place):
            return path
        self._relocate(path, place, lambda _: True)  # It will be looked at there, too.
        return place

    def archive(self, path: Path, folder: Path, is_same: IsSame) -> Path | None:
        """Put a source into a ZIP file in ``folder``, remove it, and return the ZIP file's place, or None."""
        with self._place(folder, f"{path.name}.zip") as place:
            self._write(place, self._zipped(path))
            if self.delete(path, is_same):
                return place
            self._disk.remove(place)
            return None

    def delete(self, path: Path, is_same: IsSame) -> bool:
        """Delete a source; false when it had changed."""
        with self._place(path.parent, f".{path.name}.deleted") as hidden:
            self._disk.move(path, hidden)
            if not self._is_still(hidden, path, is_same):
                return False
            with self._or_back(hidden, path):
                self._disk.sync_folder(path.parent)
                is_folder = _is_folder(hidden)
                if not is_folder:
                    self._disk.remove(hidden)
        if is_folder:
            _remove_tree(hidden)
        return True

    def put_aside(self, path: Path, folder: Path, reason: Mapping[str, Any], is_same: IsSame) -> Path | None:
        """Move a source into ``folder`` with the reason beside it, and return its new place, or None."""
        with self._place(folder, path.name) as place:
            text = json.dumps({**reason, "original_path": str(path)}, indent=1, ensure_ascii=False)
            self._write(reason_path(place), text.encode(errors="backslashreplace") + b"\n")
            try:
                is_aside = self._relocate(path, place, is_same)
            except DiskError:
                self._disk.remove(reason_path(place))
                raise
            if not is_aside:
                self._disk.remove(reason_path(place))
            return place if is_aside else None

    def clean(self, folder: Path) -> None:
        """Mend what a deletion that was cut off has left in ``folder``.

        A file gets its name back, to be converted to reports of the same ids; where another has that name by now, under
        which it would give other ids, it waits for the next start.
        """
        for name in self._disk.list_names(folder):
            if (left := _LEFTOVER.fullmatch(name)) is None:
                continue
            if _is_folder(folder / name):
                _remove_tree(folder / name)
            elif not self._disk.exists(folder / left[1]):
                self._disk.move(folder / name, folder / left[1])

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

    def _relocate(self, path: Path, place: Path, is_same: IsSame) -> bool:
        try:
            self._disk.move(path, place)
        except DiskError as error:
            if error.error_number != errno.EXDEV or _is_folder(path):
                raise
            return self._copy(path, place, is_same)
        if not self._is_still(place, path, is_same):
            return False
        self._disk.sync_folder(place.parent)
        self._disk.sync_folder(path.parent)
        return True

    def _copy(self, path: Path, place: Path, is_same: IsSame) -> bool:
        self._write(place, self._disk.read(path))
        if self.delete(path, is_same):
            return True
        self._disk.remove(place)
        return False

    def _is_still(self, place: Path, path: Path, is_same: IsSame) -> bool:
        """Look once more at a source that was at ``path`` and is at ``place`` now; if it has changed, give it back."""
        with self._or_back(place, path):
            if is_same(place):
                return True
        self._give_back(place, path)
        return False

    @contextmanager
    def _or_back(self, place: Path, path: Path) -> Iterator[None]:
        """Give a source back when something fails, so that it is where it was."""
        try:
            yield
        except DiskError:
            self._give_back(place, path)
            raise

    def _give_back(self, place: Path, path: Path) -> None:
        """Return a source that has changed to where it came from, beside another of its name if there is one by now."""
        with self._place(path.parent, path.name) as free:
            self._disk.move(place, free)

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
