"""What the sending needs from its neighbours: a store to take from, and an observer to tell what became of reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from pywats_reliability.errors import QueueCriticalError, QueueFullError


class QueuedRecord(Protocol):
    """A record as far as the sending must know it."""

    @property
    def name(self) -> str:
        """Its file's name, unlike every other's."""
        ...

    @property
    def report_id(self) -> str:
        """The report's id."""
        ...


R = TypeVar("R", bound=QueuedRecord)


class PendingCounts(Protocol):
    """What a store counts, as far as the sending tells it on."""

    @property
    def pending(self) -> int:
        """Reports kept for sending: waiting, in flight, being retried."""
        ...


class Notification(Protocol):
    """Something to be woken by."""

    def subscribe(self, observer: Callable[..., object], /) -> Callable[[], None]:
        """Call ``observer`` at every change; return the function that ends it."""
        ...


class PendingStore(Protocol[R]):
    """The store as the sending sees it: ``take`` gives a record out; ``release``, ``defer`` or a ``mark`` ends that."""

    @property
    def changed(self) -> Notification:
        """Tells that there may be something to take."""
        ...

    @property
    def counts(self) -> PendingCounts:
        """The numbers of this instant."""
        ...

    def can_accept(self, size_bytes: int = 0) -> QueueFullError | None:
        """Return why no report of that size is taken just now, or nothing."""
        ...

    def take(self) -> R | None:
        """Return the oldest of the most urgent, never one whose report is in flight, and mark it in flight."""
        ...

    async def read(self, record: R) -> bytes:
        """Return the report's bytes; raises ``RecordUnreadableError`` after putting it aside, or ``DiskError``."""
        ...

    def defer(self, record: R) -> None:
        """Mark it as waiting for its retry: not in flight, and not to be taken before it is released."""
        ...

    def release(self, record: R) -> None:
        """Let it be taken again; harmless for one that has left."""
        ...

    async def record_attempt(self, record: R, error: str) -> int:
        """Keep the failed attempt with the record; return how many there have been.

        Raises ``QueueCriticalError`` (or ``DiskError``) when it cannot be kept.
        """
        ...

    async def mark_sent(self, record: R) -> object:
        """Move it out of ``pending/``, delivered. Raises ``DiskError``; it is then still given out."""
        ...

    async def mark_failed(self, record: R, reason: str) -> object:
        """Move it to ``failed/`` with its story.

        Raises ``QueueCriticalError`` (or ``DiskError``); it is then still given out.
        """
        ...

    async def scan(self) -> object:
        """Look at the folder for what was put there or taken away by hand. Raises ``DiskError``."""
        ...


class UploadObserver(Protocol):
    """Who is told what became of the reports. The calls are made in the loop and must not block."""

    def sent(self, report_id: str) -> None:
        """The server has the report, and the record is in ``sent/``."""
        ...

    def failed(self, report_id: str, error: str, *, final: bool) -> None:
        """An attempt failed. ``final``: there will be no other, the record waits in ``failed/`` (or quarantine)."""
        ...

    def critical(self, error: QueueCriticalError) -> None:
        """An outcome could not be saved."""
        ...
