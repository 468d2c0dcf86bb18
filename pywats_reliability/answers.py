"""What an answer of the WATS server means for the report that was sent (H1.3, H1.7, H1.13): values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer proves receipt. ``duplicate``: the server had the report already, which is just as good."""

    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Nothing proves receipt; try again. ``not_before_s``: the server's own wish (Retry-After), in seconds from now."""

    reason: str
    not_before_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server refuses this report for good; ``reason`` carries its words."""

    reason: str


@dataclass(frozen=True, slots=True)
class PauseForCredentials:
    """The server does not accept our credentials (401, 403): nothing can be sent, and no report loses an attempt."""

    reason: str


Decision = Sent | RetryLater | Rejected | PauseForCredentials
