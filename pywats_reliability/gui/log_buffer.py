"""The last thousand lines of a log: of the service, read from the end of its file, or of the configurator itself."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LINES_MAX = 1000
BYTES_MAX = 256 * 1024
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LEVEL = re.compile(r"\b(?:level=|\"level\": ?\")?(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its level; one that continues another has that one's."""

    level: int
    text: str


class LogBuffer:
    """The lines, at most 1,000 of them: the oldest make room."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=LINES_MAX)
        self._level = logging.INFO

    def add(self, text: str, level: int | None = None) -> None:
        """Add a line; its level is read from its text where none is given."""
        found = _LEVEL.search(text[:200]) if level is None else None
        if found is not None:
            level = logging.getLevelNamesMapping()[found[1].upper()]
        self._level = self._level if level is None else level
        self._lines.append(Line(self._level, text))

    def clear(self) -> None:
        """Forget every line."""
        self._lines.clear()

    def texts(self, at_least: int) -> list[str]:
        """Return the lines of that level and above, the oldest first."""
        return [line.text for line in self._lines if line.level >= at_least]

    def __len__(self) -> int:
        return len(self._lines)


class LogTail:
    """Reads what was added to a file since the last look; one that was replaced or cut is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None
        self._offset = 0
        self._rest = b""

    def read(self) -> list[str]:
        """Return the lines that are new, of at most 256 KiB. Raises ``OSError``. It waits for the disk."""
        with self.path.open("rb") as file:
            state = self.path.stat()
            identity = state.st_dev, state.st_ino
            if identity != self._identity or state.st_size < self._offset:
                self._identity, self._offset, self._rest = identity, 0, b""
            if state.st_size - self._offset > BYTES_MAX:
                self._offset, self._rest = state.st_size - BYTES_MAX, b""
            file.seek(self._offset)
            new = file.read(BYTES_MAX)
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        self._rest = self._rest[-BYTES_MAX:]
        return [line.decode(errors="replace").rstrip("\r") for line in lines]


class BufferHandler(logging.Handler):
    """Puts what the configurator itself logs into a buffer."""

    def __init__(self, heard: Callable[[str, int], object]) -> None:
        super().__init__()
        self._heard = heard
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Put one record into the buffer."""
        try:
            self._heard(self.format(record), record.levelno)
        except Exception:  # noqa: BLE001 - whoever logs must not fail because of who listens: logging's own rule
            self.handleError(record)
