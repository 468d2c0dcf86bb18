"""Progress of a campaign: a live display in a terminal, plain lines in CI; both with rate and time left."""

from __future__ import annotations

import time
from collections import Counter
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from chaos.history import History, Kind
from chaos.outcome import RunResult
from chaos.plan import Run
from chaos.protocols import fault_names
from chaos.reports.headline import duration
from chaos.reports.terminal import STYLES
from chaos.reports.timeline import LOOKS
from chaos.reports.timeline_text import legend, timeline_text
from chaos.runner import Listener

VIEWED_EVENTS_MAX = 1_000
VIEW_WIDTH_MAX = 140


class PlainProgress(Listener):
    """One line per ended run: for logs, where nothing can be redrawn. ``total`` 0: nobody knows how many there are."""

    noun = "runs"

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._ended = console, total, 0
        self._began = time.monotonic()

    def ended(self, run: Run, result: RunResult) -> None:
        """Print how the run ended."""
        words = f"{run.scenario.name} ({run.world}, {result.fired:,} faults fired, {result.took_s:.1f} s)"
        self._tell(str(result.verdict), STYLES[result.verdict], words)

    def _tell(self, verdict: str, style: str, words: str) -> None:
        self._ended += 1
        of = f"/{self._total}" if self._total else ""
        line = Text(f"[{self._ended}{of}] ")
        line.append(f"{verdict:<13} ", style)
        line.append(words)
        line.append(f"  {self.pace()}", "dim")
        self._console.print(line, soft_wrap=True)

    def pace(self) -> str:
        """Return how many runs end in a minute, and about how long the rest will take."""
        took_s = max(time.monotonic() - self._began, 1e-3)
        rate = f"{self._ended / took_s * 60:.0f} {self.noun}/min"
        left = self._total - self._ended
        if left <= 0 or not self._ended:
            return rate
        return f"{rate}, about {duration(took_s / self._ended * left)} left"


class LiveProgress(PlainProgress):
    """The same lines, above a bar that names the runs under way. Use as a context manager."""

    def __init__(self, console: Console, total: int) -> None:
        super().__init__(console, total)
        columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("", total=total or None)
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
        words = f"{self.pace()} · " if self._ended else ""
        self._progress.update(self._task, description=words + ", ".join(self._under_way[:3]))


class LiveView(PlainProgress):
    """The picture of one run while it grows: lanes, the queue, the faults. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, 1)
        self._histories: dict[str, History] = {}
        self._live = Live(console=console, get_renderable=self._view, refresh_per_second=5, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def opened(self, run: Run, history: History) -> None:
        """Show the run from now on."""
        self._histories[run.scenario.name] = history

    def ended(self, run: Run, result: RunResult) -> None:
        """Print how the run ended; its picture goes."""
        self._histories.pop(run.scenario.name, None)
        super().ended(run, result)

    def _view(self) -> RenderableType:
        parts: list[RenderableType] = []
        for name, history in list(self._histories.items()):
            parts += view_of(name, history, min(self._console.width, VIEW_WIDTH_MAX))
        return Group(*parts)


def view_of(name: str, history: History, width: int) -> list[Text]:
    """Return the lines of a run's live view: its name and age, the lanes, what is in the queue, the faults so far."""
    shown = History(lambda: 0)
    shown.events = list(history.events[-VIEWED_EVENTS_MAX:])
    lines = [Text(name, "bold"), *timeline_text(shown, width), legend()]
    done = Counter(str(op.outcome) for op in shown.operations("submit"))
    looks = [event for event in shown.events if event.name in LOOKS]
    held = Counter(str(copy["folder"]) for copy in looks[-1].value["reports"]) if looks else Counter[str]()
    queue = f"submitted {sum(done.values())}, accepted {done[str(Kind.OK)]}"
    queue += "".join(f" · {folder}/ {count}" for folder, count in sorted(held.items()))
    faults = ", ".join(f"{fault} × {times}" for fault, times in fault_names(shown.faults()).items())
    return [*lines, Text(f"  queue   {queue}"), Text(f"  faults  {faults or 'none yet'}")]
