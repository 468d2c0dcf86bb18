"""What the simulated processes logged: kept with the virtual time and the process, for checkers and for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel

RECORDS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line that a process logged. ``failure`` is the traceback that went with it, if any."""

    time_ns: int
    process: str
    level: int
    logger: str
    text: str
    failure: str

    def as_line(self) -> str:
        """Return it as a line of a log file."""
        name = logging.getLevelName(self.level)
        return f"{self.time_ns / 1e9:12.6f} {self.process} {name} {self.logger}: {self.text}"


class RunLog(logging.Handler):
    """A seam that listens to the root logger while the world is entered; nothing of a run reaches other handlers."""

    def __init__(self, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._kernel: SimKernel | None = None
        self._before: tuple[list[logging.Handler], int] = ([], logging.NOTSET)
        self.records: list[LogRecord] = []
        self.dropped = 0

    def enter(self, kernel: SimKernel) -> None:
        """Listen."""
        root = logging.getLogger()
        self._kernel, self._before = kernel, (root.handlers[:], root.level)
        root.handlers[:] = [self]
        root.setLevel(self.level)

    def leave(self) -> None:
        """Put the root logger back as it was."""
        root = logging.getLogger()
        root.handlers[:], level = self._before
        root.setLevel(level)

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep the record; without a lock, as one thread of the system runs all simulated ones."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record, as text: what it was made of may not outlive the run."""
        kernel = self._kernel
        assert kernel is not None, "it listens while a world is entered"
        process = kernel.current.name if kernel.current is not None else "world"
        failure = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        self._keep(LogRecord(kernel.now_ns, process, record.levelno, record.name, record.getMessage(), failure))

    def said(self, process: str, stream: str, line: str) -> None:
        """Keep a line that a process wrote to its standard output or standard error."""
        assert self._kernel is not None, "it listens while a world is entered"
        self._keep(LogRecord(self._kernel.now_ns, process, logging.INFO, stream, line, ""))

    def _keep(self, record: LogRecord) -> None:
        if len(self.records) < RECORDS_MAX:
            self.records.append(record)
        else:
            self.dropped += 1

    def text(self) -> str:
        """Return everything as one text."""
        lines = [line for record in self.records for line in (record.as_line(), record.failure) if line]
        return "\n".join([*lines, f"({self.dropped} more lines were dropped)"] if self.dropped else lines)

    def as_facts(self, level: int) -> list[Mapping[str, Any]]:
        """Return the records from ``level`` on as JSON data, for the history."""
        return [
            {"time_ns": r.time_ns, "process": r.process, "level": r.level, "text": r.text, "failure": r.failure}
            for r in self.records
            if r.level >= level
        ]

    def __repr__(self) -> str:
        return f"RunLog({len(self.records)} records, {self.dropped} dropped)"
