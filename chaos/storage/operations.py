"""The operation log: what was done to a file system, as plain data, whoever did it.

The same log comes from the simulated disk and from a real process under strace, and from it follow the crash states.

* A *node* is a file or a folder as such, whatever names lead to it: a small integer, given by the log in the order of
  creation. Node 0 is the root folder. Names are bytes-safe text (``surrogateescape``), one path component each.
* Operations stand in the order in which they *completed*; a sync covers what completed before it began (``began``).
* A *visible event* is something the outside may have seen: bytes sent, an answer received, "accepted" returned, a line
  printed. It changes nothing on the disk, and is a point of crash like any operation: without it, deleting a record
  before its acknowledgement would look harmless.
* Reading is not logged. What is not modelled (mmap stores, io_uring …) is an ``Unmodelled`` entry, which makes every
  verdict that rests on the log *unknown*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Node = int
ROOT: Node = 0


@dataclass(frozen=True, slots=True)
class MakeFile:
    """A new empty file ``node`` under ``name`` in ``folder``."""

    folder: Node
    name: str
    node: Node
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """A new empty folder ``node`` under ``name`` in ``folder``."""

    folder: Node
    name: str
    node: Node
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class MakeSymlink:
    """A symbolic link ``node`` to ``target`` under ``name`` in ``folder``."""

    folder: Node
    name: str
    node: Node
    target: str


@dataclass(frozen=True, slots=True)
class Write:
    """``data`` written into ``node`` at ``offset`` bytes; a gap before it reads as zeros."""

    node: Node
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """``node`` cut, or extended with zeros, to ``size`` bytes."""

    node: Node
    size: int


@dataclass(frozen=True, slots=True)
class Rename:
    """The name moved; what stood under the new one is replaced in the same step."""

    folder: Node
    name: str
    to_folder: Node
    to_name: str


@dataclass(frozen=True, slots=True)
class Link:
    """One more name for ``node``."""

    folder: Node
    name: str
    node: Node


@dataclass(frozen=True, slots=True)
class Unlink:
    """The name of a file or link removed."""

    folder: Node
    name: str


@dataclass(frozen=True, slots=True)
class RemoveFolder:
    """An empty folder removed."""

    folder: Node
    name: str


@dataclass(frozen=True, slots=True)
class Sync:
    """``fsync`` (``data_only``: ``fdatasync``) of a file or folder; covers what completed before entry ``began``."""

    node: Node
    data_only: bool = False
    began: int | None = None


@dataclass(frozen=True, slots=True)
class SyncAll:
    """``sync`` or ``syncfs``: everything that completed before entry ``began``."""

    began: int | None = None


@dataclass(frozen=True, slots=True)
class SyncFailed:
    """A sync of ``node`` that reported an error: what was written stays in the cache, and later syncs skip it."""

    node: Node
    began: int | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """A descriptor of ``node`` closed; it makes nothing durable."""

    node: Node


@dataclass(frozen=True, slots=True)
class Visible:
    """Something the outside may have seen; ``value`` says what, as JSON data."""

    name: str
    value: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unmodelled:
    """A call whose effect on the disk is not known to the model."""

    call: str
    reason: str


Operation = (
    MakeFile
    | MakeFolder
    | MakeSymlink
    | Write
    | Truncate
    | Rename
    | Link
    | Unlink
    | RemoveFolder
    | Sync
    | SyncAll
    | SyncFailed
    | Close
    | Visible
    | Unmodelled
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation and where it came from: ``source`` is a call site or a trace line, ``actor`` a task or thread."""

    operation: Operation
    time_ns: int = 0
    actor: str = ""
    source: str = ""
