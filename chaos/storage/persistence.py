"""Persistence models: what a file system may leave of what was not synced when the power goes.

Every model is a choice of the same few rules, so that one enumeration serves all of them:

* *names* (and truncations, in a journal): either each change of a name is lost or kept by itself, or the file system
  keeps a journal, and a crash leaves the changes up to some point in their order, and none behind it.
* *data*: a write may be kept, lost, or torn: its first part only or, when it is longer than a sector, its last part
  only. Where the size of a file may reach the disk before its data, a write may also read as zeros.
* *grain*: a torn write is cut in one place, the middle (at a sector where it has several). Finer tearing gives more
  trees and, for a reader that checks its files as a whole, no other verdict.
* a *rename* is one change: after a crash a file never stands under both names, and never under neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chaos.errors import UsageError

SECTOR_BYTES = 512


class Zeros(StrEnum):
    """Where a write may read as zeros after a crash."""

    NEVER = "never"
    BEHIND_THE_END = "behind the old end"
    ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class Persistence:
    """The rules of one file system.

    ``is_journaled``: changes of names and truncations survive in their order, and a sync makes all of them durable up
    to the last that concerns what is synced. ``replacing_orders_data``: a rename over an existing name is never on the
    disk before the data of the file it moves.
    """

    name: str
    is_journaled: bool
    zeros: Zeros
    replacing_orders_data: bool = False

    def __str__(self) -> str:
        return self.name


POSIX = Persistence("posix", is_journaled=False, zeros=Zeros.ANYWHERE)
"""Nothing is durable but what POSIX promises; stricter than any file system in use.

* ``fsync`` of a file: its data and size, and no name of it. ``fsync`` of a folder: the names in it. Every other change
  may be lost by itself, in any combination, which is the same as any order of reaching the disk.
* A rename to another folder is durable once the folder it went *to* is synced; syncing the old one promises nothing.

Source: POSIX.1-2017, ``fsync()`` and its rationale; the folder rule is what Linux adds in fsync(2) ("does not
necessarily ensure that the entry in the directory containing the file has also reached disk").
"""

EXT4_ORDERED = Persistence("ext4-ordered", is_journaled=True, zeros=Zeros.BEHIND_THE_END, replacing_orders_data=True)
"""ext4 as it is mounted by default: ``data=ordered``, delayed allocation, ``auto_da_alloc``.

* Changes of names and truncations are a journal. ``fsync`` commits the transaction that last changed the synced node;
  when it has to allocate blocks for new data first, that is the running one, with all that came before.
* Data that was not synced is written when the kernel likes: a file may be empty, short, or read as zeros behind its old
  end (blocks are allocated unwritten since Linux 5.6, the size may be committed before they are).
* ``auto_da_alloc``: replacing a file by a rename forces the new file's data out before the rename is committed. What is
  renamed to a new name has no such help.

Source: Documentation/filesystems/ext4 (mount options ``data``, ``auto_da_alloc``; "Data Mode"), fs/ext4/fsync.c.
"""

EXT4_WRITEBACK = Persistence("ext4-writeback", is_journaled=True, zeros=Zeros.BEHIND_THE_END)
"""ext4 with ``data=writeback``: names as in ``ext4-ordered``, and no order at all between data and journal.

Replacing by rename starts to write the data, but its commit does not wait: an empty file under the name is possible.

Source: Documentation/filesystems/ext4, "Data Mode: writeback".
"""

XFS = Persistence("xfs", is_journaled=True, zeros=Zeros.NEVER)
"""XFS: changes of names and truncations are a log, which ``fsync`` forces up to the last change of the synced node.

* The size on the disk grows only after the data were written: no zeros at the end of a file, but an empty or a short
  one, and zeros in a gap before a later write that arrived.
* No help for replacing by rename.

Source: XFS FAQ ("Why do I see binary NULLS in some files after recovery"), fs/xfs/xfs_file.c, fs/xfs/xfs_aops.c.
"""

NTFS = Persistence("ntfs", is_journaled=True, zeros=Zeros.BEHIND_THE_END)
"""NTFS, as far as it is documented: names and sizes are logged in their order, file data are not.

* ``FlushFileBuffers`` (what Python's ``os.fsync`` calls there) writes a file's data and metadata, and the log up to it.
* Behind the valid data length a file reads as zeros.
* Windows has no documented way to sync a folder; a folder sync in a log from elsewhere counts as a flush of the log. A
  program that syncs no folders on Windows is judged rightly only by a log recorded without them.

Source: Microsoft, "FlushFileBuffers function", "File Caching", "SetFileValidData"; the order of the log is from
"Windows Internals" and not promised by Microsoft.
"""

MODELS: dict[str, Persistence] = {m.name: m for m in (POSIX, EXT4_ORDERED, EXT4_WRITEBACK, XFS, NTFS)}


def model_named(name: str) -> Persistence:
    """Return the model of that name. Raises ``UsageError``."""
    if name not in MODELS:
        raise UsageError("the name of a persistence model", repr(name), f"there are {', '.join(MODELS)}")
    return MODELS[name]
