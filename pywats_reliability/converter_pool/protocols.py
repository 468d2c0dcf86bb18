"""What converting needs from its neighbours: a queue that keeps reports, and tells when it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pywats_reliability.report import Report


class Notification(Protocol):
    """Something to be woken by."""

    def subscribe(self, observer: Callable[..., object], /) -> Callable[[], None]:
        """Call ``observer`` at every change; return the function that ends it."""
        ...


class ReportQueue(Protocol):
    """The queue as converting sees it; ``QueueManager`` is one."""

    @property
    def queue_changed(self) -> Notification:
        """Tells that there may be room."""
        ...

    async def submit(self, source: Report, *, priority: int = 5) -> str:
        """Keep the report durably and return its id.

        Raises ``QueueFullError``, ``DiskError``, ``ServiceStoppingError`` or ``ReportInvalidError``: it is not kept.
        """
        ...

    def is_full(self) -> bool:
        """Return whether not even an empty report has room."""
        ...


class Submit(Protocol):
    """The way into the queue for reports of conversions; as ``ReportQueue.submit``."""

    async def __call__(self, source: Report, /, *, priority: int) -> str:
        """Keep the report durably and return its id."""
        ...
