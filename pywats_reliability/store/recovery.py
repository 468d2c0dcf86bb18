"""What a start finds in the folders: names only, no file is opened, so that 100,000 records take half a second.

* Nothing is in flight in a folder: what was being sent when the last process ended is due at once (C1.6).
* What a crash left while writing aside carries a leftover's name and is removed; it was never acknowledged (H1.8).
* A crash between the steps of a move leaves the record in one folder only, and at most a sidecar in the other, which is
  removed: a sidecar belongs to a record beside it.
* The sequence of arrival goes on behind the last name in any folder (H1.10, H1.15).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError
from pywats_reliability.store.index import IndexEntry
from pywats_reliability.store.names import (
    Sequence,
    is_leftover,
    parse_name,
    parse_pending_name,
    record_name_of_history,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a start found. ``pending`` are due at once, the ``adopted`` included; ``skipped`` were left in place."""

    pending: int = 0
    adopted: int = 0
    quarantined: int = 0
    skipped: int = 0
    leftovers: int = 0
    failed: int = 0


@dataclass(slots=True)
class Oddities:
    """What stands in ``pending/`` beside the records; ``histories`` are sidecars with the names of their records."""

    foreign: list[str] = field(default_factory=list)
    histories: list[tuple[str, str]] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def survey(kinds: Iterable[tuple[str, bool]], on_record: Callable[[IndexEntry], bool]) -> Oddities:
    """Sort what stands in ``pending/``: ``on_record`` gets each record and says whether it takes it."""
    odd = Oddities()
    for name, is_file in kinds:
        place = parse_pending_name(name) if is_file else None
        if place:
            if not on_record(IndexEntry(*place)):
                odd.foreign.append(name)
        elif is_file and (owner := record_name_of_history(name)):
            odd.histories.append((name, owner))
        elif is_file and is_leftover(name):
            odd.leftovers.append(name)
        else:
            odd.foreign.append(name)
    return odd


def note_sequence(names: Iterable[str], sequence: Sequence) -> None:
    """Let ``sequence`` go on behind the last of ``names`` that is ours; names sort by arrival."""
    last = ""
    for name in names:
        if name > last and (record := parse_name(name)):
            sequence.seen(record.sequence)
            last = name


def remove_stale(disk: Disk, folder: Path, names: Iterable[str]) -> int:
    """Remove what a crash left of ours; return how many. What the disk keeps is logged and harms nobody."""
    removed = 0
    for name in names:
        try:
            removed += disk.remove(folder / name)
        except DiskError as error:
            log.warning("a leftover stays: %s", error)
    return removed


def stale_names(names: Iterable[str]) -> list[str]:
    """Return which of the ``names`` in a folder are leftovers, or sidecars without their record."""
    present = set(names)
    return [name for name in present if is_leftover(name) or _is_orphan(name, present)]


def _is_orphan(name: str, present: set[str]) -> bool:
    owner = record_name_of_history(name)
    return owner is not None and owner not in present
