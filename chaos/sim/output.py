"""The seam to standard output and standard error: what a process writes there is kept in the log of its run.

* Whole lines, with the process and the virtual time, as a real process's would be found in its journal.
* Whoever is outside of any process writes to the real ones; so does a debugger in a process, once it has been entered.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from chaos.sim.seams import PatchingSeam

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel
    from chaos.sim.run_log import RunLog

STREAMS = ("stdout", "stderr")
LINE_MAX = 10_000


class Output(PatchingSeam):
    """Puts a stream that knows who writes in the place of either."""

    def __init__(self, log: RunLog) -> None:
        super().__init__()
        self._log = log

    def patch(self, kernel: SimKernel) -> None:
        """Replace both."""
        for name in STREAMS:
            self.patches.set(sys, name, ProcessStream(kernel, self._log, name, getattr(sys, name)))

    def leave(self) -> None:
        """Put the real ones back; what no line ended is kept, too."""
        for name in STREAMS:
            stream = getattr(sys, name)
            if isinstance(stream, ProcessStream):
                stream.end_lines()
        super().leave()


class ProcessStream:
    """A text stream: of the process that writes, or the real one. Everything else is asked of the real one."""

    def __init__(self, kernel: SimKernel, log: RunLog, name: str, real: Any) -> None:
        self._kernel, self._log, self._name, self._real = kernel, log, name, real
        self._begun: dict[str, str] = {}

    def write(self, text: str) -> int:
        """Write ``text``; in what is left of a dead process it says nothing."""
        process = self._kernel.current
        if process is None or not self._kernel.is_inside():
            return int(self._real.write(text))
        if process.is_alive:
            *lines, rest = (self._begun.pop(process.name, "") + text).split("\n")
            for line in lines:
                self._log.said(process.name, self._name, line)
            if len(rest) > LINE_MAX:
                self._log.said(process.name, self._name, rest)
            elif rest:
                self._begun[process.name] = rest
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the real one; of a process's nothing waits but the line that it has begun."""
        if not self._kernel.is_inside():
            self._real.flush()

    def isatty(self) -> bool:
        """Return whether a person sees it: never what a process writes."""
        return not self._kernel.is_inside() and bool(self._real.isatty())

    def end_lines(self) -> None:
        """Keep the lines that were begun."""
        for process, line in self._begun.items():
            self._log.said(process, self._name, line)
        self._begun.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __repr__(self) -> str:
        return f"ProcessStream({self._name}, {self._real!r})"
