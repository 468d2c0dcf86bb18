"""The interface of a converter: it takes a source and a context, and returns a result; it never moves or sends.

* ``convert(source, context) -> ConverterResult`` is all there is to implement. It reads the source and returns; what
  becomes of reports and source afterwards is the service's business (C1.9).
* It may be called again for the same source, also after a crash: it should then return the same reports.
* A report without an ``id`` gets one that is derived from the source, so that converting it again is one report in
  effect. A converter that knows a better identity writes the ``id`` (a UUID) itself.

Names are those of the public client's converters, so that porting one is changing its imports.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

RETRY_AFTER_S = 60.0
ReportLike = bytes | str | Mapping[str, Any]
"""A report: WSJF as JSON text (kept byte for byte), or its fields."""


class ConversionStatus(enum.StrEnum):
    """What a converter says of a source.

    ``failed``: tried again, then put aside. ``suspended``: not yet, and no error. ``skipped``: not mine; it stays where
    it is. ``rejected``: mine, and trying again is no use; it is put aside at once.
    """

    SUCCESS = "success"
    FAILED = "failed"
    SUSPENDED = "suspended"
    SKIPPED = "skipped"
    REJECTED = "rejected"


class PostAction(enum.StrEnum):
    """What becomes of a source whose reports are accepted; ``ZIP`` is another name for ``ARCHIVE``."""

    MOVE = "move"
    DELETE = "delete"
    ARCHIVE = "archive"
    ZIP = ARCHIVE
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class ConverterSource:
    """A file (or a folder) to convert.

    ``content`` is there when the service has read the file already; ``read_bytes`` works either way.
    """

    path: Path
    modified_at: datetime
    is_folder: bool = False
    content: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The source's own name."""
        return self.path.name

    def read_bytes(self) -> bytes:
        """Return the file's contents. Raises ``OSError``."""
        return self.path.read_bytes() if self.content is None else self.content

    def read_text(self, encoding: str = "utf-8-sig") -> str:
        """Return the file's text with its line ends as they are. Raises ``OSError`` or ``UnicodeDecodeError``."""
        return self.read_bytes().decode(encoding)


@dataclass(frozen=True, slots=True)
class StationInfo:
    """The station as configured; what is empty is not configured."""

    name: str = ""
    location: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class ConverterContext:
    """What a converter may know: its name, its arguments from the configuration, the station."""

    converter: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    station: StationInfo = StationInfo()

    def get_argument(self, name: str, default: Any = None) -> Any:
        """Return an argument, or ``default`` where it is not configured."""
        return self.arguments.get(name, default)


@dataclass(frozen=True, slots=True)
class ConverterResult:
    """What a converter returns; made by the functions below.

    ``error`` is the reason of every status but success, in one line. ``post_action`` of None: as configured.
    ``confidence`` (0 to 1) is judged by the configuration's thresholds. ``details`` go into the reason file only.
    """

    status: ConversionStatus
    reports: tuple[ReportLike, ...] = field(default=(), repr=False)
    error: str = ""
    post_action: PostAction | None = None
    retry_after_s: float = RETRY_AFTER_S
    confidence: float = 1.0
    details: str = field(default="", repr=False)

    @classmethod
    def success_result(
        cls,
        report: ReportLike | None = None,
        reports: Sequence[ReportLike] = (),
        *,
        post_action: PostAction | None = None,
        confidence: float = 1.0,
    ) -> ConverterResult:
        """Return a success with one report or several."""
        every = tuple(reports) if report is None else (report, *reports)
        return cls(ConversionStatus.SUCCESS, every, post_action=post_action, confidence=confidence)

    @classmethod
    def failed_result(cls, error: str) -> ConverterResult:
        """Return a failure, to be tried again."""
        return cls(ConversionStatus.FAILED, error=error)

    @classmethod
    def suspended_result(cls, reason: str, retry_after: timedelta | float = RETRY_AFTER_S) -> ConverterResult:
        """Return "not yet", with the time (in seconds, if a number) after which to ask again."""
        seconds = retry_after.total_seconds() if isinstance(retry_after, timedelta) else float(retry_after)
        return cls(ConversionStatus.SUSPENDED, error=reason, retry_after_s=seconds)

    @classmethod
    def skipped_result(cls, reason: str) -> ConverterResult:
        """Return "not mine": the source stays, for another converter or for somebody."""
        return cls(ConversionStatus.SKIPPED, error=reason)

    @classmethod
    def rejected_result(cls, reason: str) -> ConverterResult:
        """Return "never": the source is put aside with the reason."""
        return cls(ConversionStatus.REJECTED, error=reason)


class Converter(Protocol):
    """Turns sources into reports. One instance serves one configured converter, one call at a time or several."""

    def convert(self, source: ConverterSource, context: ConverterContext, /) -> ConverterResult:
        """Convert ``source``; whatever is raised counts as a failure of this source."""
        ...
