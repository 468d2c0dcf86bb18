"""The names of records: they sort by arrival, cannot collide, and carry all that a listing must know.

``20261123T143005.123456Z_05_7f3a0c1e-…_2048.json``: when it arrived, how urgent it is (01 most, 10 least), its report's
id, its size in bytes. In ``sent/`` a second instant follows: when it was sent.

* The first instant is a sequence in microseconds that only grows: at least one more than the last one, in whichever
  folder that is, and the wall clock where that is ahead. A clock that jumps back neither reorders nor collides (H1.10,
  H1.12, H1.15), and what persists the sequence across restarts is the names themselves.
* An instant of the years 1970 to 2899 is ours; another is foreign, so that no name dropped in can end the sequence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

PRIORITY_MIN, PRIORITY_DEFAULT, PRIORITY_MAX = 1, 5, 10
RECORD_SUFFIX = ".json"
HISTORY_SUFFIX = ".history.json"
REASON_SUFFIX = ".reason.json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STAMP = r"((?:19[7-9]|2[0-8]\d)\d{5}T\d{6}\.\d{6}Z)"
_UUID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_STEM = rf"{_STAMP}_(0[1-9]|10)_{_UUID}_([1-9]\d{{0,11}})"
_RECORD = re.compile(rf"{_STEM}(?:_{_STAMP})?\.json")
_HISTORY = re.compile(rf"({_STEM})\.history\.json")
_LEFTOVER = re.compile(r"\.(.+)\.tmp", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Record:
    """A report in one of the folders, as its name tells it.

    ``accepted_at`` is its place in the order of arrival; ``size`` is in bytes, as it was accepted.
    """

    name: str
    report_id: str
    priority: int
    accepted_at: datetime
    size: int
    sent_at: datetime | None = None

    @property
    def sequence(self) -> int:
        """Its place in the order of arrival, as microseconds since 1970."""
        return sequence_at(self.accepted_at)


def make_record(sequence: int, report_id: str, priority: int, size: int) -> Record:
    """Return the record of that place, report, urgency and size, with the name that a file in ``pending/`` has."""
    arrived = EPOCH + timedelta(microseconds=sequence)
    name = f"{_stamp(arrived)}_{priority:02d}_{report_id}_{size}{RECORD_SUFFIX}"
    return Record(name, report_id, priority, arrived, size)


def parse_name(name: str) -> Record | None:
    """Return the record that ``name`` stands for, or nothing when the name is not ours."""
    match = _RECORD.fullmatch(name)
    if match is None:
        return None
    arrived, priority, report_id, size, sent = match.groups()
    try:
        sent_at = datetime.fromisoformat(sent) if sent else None
        return Record(name, report_id, int(priority), datetime.fromisoformat(arrived), int(size), sent_at)
    except ValueError:  # Such as the 31st of February.
        return None


def parse_pending_name(name: str) -> tuple[int, str, int, int] | None:
    """Return sequence, report id, priority and size in the name of a record in ``pending/``, or nothing if it is none.

    It says the same as ``parse_name`` in half the time: a start asks it for every record.
    """
    match = _RECORD.fullmatch(name)
    if match is None:
        return None
    arrived, priority, report_id, size, sent = match.groups()
    try:
        return None if sent else (sequence_at(datetime.fromisoformat(arrived)), report_id, int(priority), int(size))
    except ValueError:
        return None


def sent_name(record: Record, sent_at: datetime) -> str:
    """Return the name of ``record`` in ``sent/``."""
    return f"{record.name.removesuffix(RECORD_SUFFIX)}_{_stamp(sent_at)}{RECORD_SUFFIX}"


def history_name(record: Record) -> str:
    """Return the name of the sidecar beside ``record`` that keeps its failed attempts."""
    return record.name.removesuffix(RECORD_SUFFIX) + HISTORY_SUFFIX


def record_name_of_history(name: str) -> str | None:
    """Return the name of the record whose sidecar ``name`` is, or nothing when it is none."""
    match = _HISTORY.fullmatch(name)
    return match[1] + RECORD_SUFFIX if match else None


def named(name: str) -> str:
    """Return what the file ``name`` is, in words that say of which report."""
    history_of = record_name_of_history(name)
    record = parse_name(history_of or name)
    if record is None:
        return ascii(name)
    return f"{'the history of ' if history_of else ''}report {record.report_id}"


def is_leftover(name: str) -> bool:
    """Return whether ``name`` is what a crash left of a record, a sidecar or a reason of ours being written aside."""
    match = _LEFTOVER.fullmatch(name)
    return match is not None and (
        parse_name(match[1]) is not None
        or record_name_of_history(match[1]) is not None
        or match[1].endswith(REASON_SUFFIX)
    )


def sequence_at(instant: datetime) -> int:
    """Return ``instant`` as microseconds since 1970."""
    return (instant - EPOCH) // _MICROSECOND


class Sequence:
    """Hands out places in the order of arrival: each greater than every one before and every one ``seen``."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: datetime) -> int:
        """Return the next place: the wall clock's microseconds, or one more than the last place."""
        self._last = max(self._last + 1, sequence_at(now))
        return self._last

    def seen(self, sequence: int) -> None:
        """Note a place that is taken already."""
        self._last = max(self._last, sequence)

    def __repr__(self) -> str:
        return f"Sequence(last={self._last})"


def _stamp(instant: datetime) -> str:
    text = instant.isoformat(timespec="microseconds")
    return f"{text[:4]}{text[5:7]}{text[8:13]}{text[14:16]}{text[17:26]}Z"
