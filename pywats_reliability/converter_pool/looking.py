"""Looking at a folder: which sources stand there, and how each would look if nothing had changed (C1.9).

* A signature is size and time of last change; of a folder, those of everything in it. It is compared for equality only:
  no clock is asked, so a clock that jumps, or lies, means nothing (H1.12).
* Hidden names, and the names that programs give to what is not whole yet, are never sources.
* Links are not followed, and what is neither file nor folder is not looked at.

All functions block: call them in a worker thread. They raise ``DiskError``.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError

UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".crdownload", "~")
Sights = dict[Path, "Sight"]


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look saw of a source. ``is_ready``: what a folder must have (marker, number of files) is there."""

    signature: str
    is_ready: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sources a converter wants: files by pattern, or folders by pattern, marker and number of files.

    ``apart``: folders that are the service's own and no sources.
    """

    patterns: tuple[str, ...]
    is_folders: bool = False
    marker: str = ""
    min_files: int = 0
    apart: tuple[Path, ...] = ()

    def wants(self, name: str) -> bool:
        """Return whether a name is that of a source. ``*.*`` means every name, as where the setting comes from."""
        lower = name.lower()
        if lower.startswith("."):
            return False
        fitting = [each for each in map(str.lower, self.patterns) if each == "*.*" or fnmatch.fnmatchcase(lower, each)]
        unfinished = [ending for ending in UNFINISHED if lower.endswith(ending)]
        return any(not unfinished or each.endswith(tuple(unfinished)) for each in fitting)


def look(disk: Disk, folders: Sequence[Path], wanted: Wanted) -> Sights:
    """Return the sources in ``folders``."""
    found = _folders if wanted.is_folders else _files
    return {path: sight for folder in folders for path, sight in found(disk, folder, wanted)}


def signature_of(disk: Disk, path: Path, *, is_folder: bool) -> str | None:
    """Return a source's signature as it is now, or None when it is no more."""
    if is_folder:
        return _folder_signature(path, list(walk(disk, path))) if _is_folder(path) else None
    return _file_signature(disk, path)


def walk(disk: Disk, folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files in a folder and below, with their signatures, in the order of their names."""
    for name, is_file in sorted(disk.list_kinds(folder)):
        path = folder / name
        if is_file:
            if (signature := _file_signature(disk, path)) is not None:
                yield path, signature
        elif _is_folder(path):
            yield from walk(disk, path)


def _files(disk: Disk, folder: Path, wanted: Wanted) -> Iterator[tuple[Path, Sight]]:
    for name, is_file in disk.list_kinds(folder):
        path = folder / name
        if is_file and wanted.wants(name) and (signature := _file_signature(disk, path)) is not None:
            yield path, Sight(signature)


def _folders(disk: Disk, folder: Path, wanted: Wanted) -> Iterator[tuple[Path, Sight]]:
    for name, is_file in disk.list_kinds(folder):
        path = folder / name
        if is_file or not wanted.wants(name) or path in wanted.apart or not _is_folder(path):
            continue
        files = list(walk(disk, path))
        marker = path / wanted.marker if wanted.marker else None
        names = [file for file, _ in files]
        has_marker = marker is None or marker in names
        is_ready = has_marker and len(names) - (marker in names) >= wanted.min_files
        yield path, Sight(_folder_signature(path, files), is_ready)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DiskError("look at", path, error) from error


def _file_signature(disk: Disk, path: Path) -> str | None:
    try:
        entry = disk.look(path)
    except DiskError as error:
        if error.error_number == errno.ENOENT:
            return None
        raise
    return f"{entry.size} bytes, {entry.modified_ns}" if entry.is_file else None


def _folder_signature(folder: Path, files: list[tuple[Path, str]]) -> str:
    lines = "\n".join(f"{path.relative_to(folder)}\0{signature}" for path, signature in files)
    return f"{len(files)} files, {hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()}"


Looker = Callable[[Disk, Sequence[Path], Wanted], Sights]
"""The port behind which watching stands: anything that can say what is there now. ``look`` is the one that polls."""
