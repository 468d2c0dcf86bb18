"""Progress of a campaign: a live display in a terminal, plain lines in CI."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from chaos.outcome import RunResult
from chaos.plan import Run
from chaos.reports.terminal import STYLES
from chaos.runner import Listener


class PlainProgress(Listener):
    """One line per ended run: for logs, where nothing can be redrawn."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._ended = console, total, 0

    def ended(self, run: Run, result: RunResult) -> None:
        """Print how the run ended."""
        self._ended += 1
        line = Text(f"[{self._ended}/{self._total}] ")
        line.append(f"{result.verdict:<13} ", STYLES[result.verdict])
        fired = sum(result.faults_fired.values())
        line.append(f"{run.scenario.name} ({run.world}, {fired:,} faults fired, {result.took_s:.1f} s)")
        self._console.print(line, soft_wrap=True)


class LiveProgress(PlainProgress):
    """The same lines, above a bar that names the runs under way. Use as a context manager."""

    def __init__(self, console: Console, total: int) -> None:
        super().__init__(console, total)
        columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("", total=total)
        self._under_way: list[str] = []

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, run: Run) -> None:
        """Name the run under way."""
        self._under_way.append(run.scenario.name)
        self._describe()

    def ended(self, run: Run, result: RunResult) -> None:
        """Print how the run ended and move the bar."""
        self._under_way.remove(run.scenario.name)
        super().ended(run, result)
        self._progress.advance(self._task)
        self._describe()

    def _describe(self) -> None:
        self._progress.update(self._task, description=", ".join(self._under_way[:4]))
