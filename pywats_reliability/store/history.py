"""The story of a record that failed: a sidecar beside it, replaced atomically; the record itself is never rewritten.

Attempts survive restarts in it (H1.3) and it goes to ``failed/`` with the record (H1.4). It is read when it is needed,
never by a listing; one that cannot be read counts as none, for a report is worth more than its story.
"""

from __future__ import annotations

import errno
import json
import logging
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError

log = logging.getLogger(__name__)
EVENTS_MAX = 100
WORDS_MAX = 500
HISTORY_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """Something that happened to a record. ``what``: attempt, failed or retry; ``at``: ISO 8601, UTC."""

    at: str
    what: str
    words: str


@dataclass(frozen=True, slots=True)
class History:
    """Failed attempts since the record was last queued, and its last ``EVENTS_MAX`` events."""

    attempts: int = 0
    events: tuple[HistoryEvent, ...] = ()

    def with_attempt(self, now: datetime, error: str) -> History:
        """Return the history with one more failed attempt."""
        return replace(self._with("attempt", now, error), attempts=self.attempts + 1)

    def with_failure(self, now: datetime, reason: str) -> History:
        """Return the history with the reason for which it was given up."""
        return self._with("failed", now, reason)

    def with_retry(self, now: datetime) -> History:
        """Return the history of a record queued again by hand: its attempts begin anew."""
        return replace(self._with("retry", now, "queued again by hand"), attempts=0)

    @property
    def last_error(self) -> str | None:
        """The words of the last failure."""
        return next((event.words for event in reversed(self.events) if event.what != "retry"), None)

    def encoded(self) -> bytes:
        """Return it as the sidecar's JSON."""
        return json.dumps(asdict(self), indent=1).encode() + b"\n"

    def _with(self, what: str, now: datetime, words: str) -> History:
        event = HistoryEvent(now.isoformat(), what, words[:WORDS_MAX])
        return replace(self, events=(*self.events, event)[-EVENTS_MAX:])


def parse_history(data: bytes) -> History:
    """Return the history in a sidecar; raises ``ValueError`` when it is none."""
    fields: Any = json.loads(data)
    try:
        events = tuple(HistoryEvent(str(e["at"]), str(e["what"]), str(e["words"])) for e in fields["events"])
        return History(max(0, int(fields["attempts"])), events)
    except (KeyError, TypeError) as error:
        raise ValueError(f"expected attempts and events, found {error!r}") from error


def read_history(disk: Disk, path: Path) -> History:
    """Return the history in the sidecar ``path``; an empty one when there is none, or none that will ever be read.

    Raises ``DiskError`` for a fault that may pass: the story is not to be overwritten for that.
    """
    try:
        return parse_history(disk.read(path, bytes_max=HISTORY_BYTES_MAX))
    except DiskError as error:
        if error.error_number == errno.ENOENT:
            return History()
        if not disk.is_unreadable(path, error):
            raise
        log.warning("history lost, attempts begin anew: %s", error)
    except (ValueError, RecursionError):
        log.warning("history lost, attempts begin anew: expected a history in %s, found something else", path)
    return History()
