"""Converting: finds what is dropped into watched folders, has it converted, and hands the reports to the queue.

* A dropped file is looked for every second, also one that was dropped while the service was down; it is converted when
  it is whole (``items``, ``writers``), step by step, so that it may be cut off anywhere (``conversion``, C1.9).
* From ``stop_accepting`` on the watchers are off and no conversion begins (C1.1); those under way end, and
  ``wait_idle`` returns the instant the last one has (C1.2). Cancelling ``run`` cuts them off: their sources stay, their
  worker processes are killed (C1.3); a thread that goes on is named by ``left_behind`` and holds up nobody (C1.4).
* A full queue and a pause are no errors: what was converted waits, and goes on when there is room (H5.3).
* One converter that cannot be loaded, or a folder that hangs, costs that converter only, and is shown (C2.9); a source
  that hangs costs its slot. A bug met by one conversion counts as its failure; three in a row are raised by ``run``.
* One source is never converted twice at a time. Where two converters want it, it is the more urgent one's, then the
  first one's in the configuration, unless that one skips it: the same one's, therefore, after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pywats_reliability.config.nested import ConverterConfig
from pywats_reliability.converter_pool.conversion import Conversion, Fate, Outcome, Tools
from pywats_reliability.converter_pool.filing import Filing
from pywats_reliability.converter_pool.items import Item, ItemState
from pywats_reliability.converter_pool.looking import Looker, look
from pywats_reliability.converter_pool.protocols import ReportQueue, Submit
from pywats_reliability.converter_pool.reading import Reader
from pywats_reliability.converter_pool.roster import Roster
from pywats_reliability.converter_pool.runners import RunnerFactory, make_runner
from pywats_reliability.converter_pool.settings import PoolSettings
from pywats_reliability.converter_pool.threads import Threads, ThreadStarter
from pywats_reliability.converter_pool.watched import WatchedConverter
from pywats_reliability.converter_pool.writers import WriterCheck, is_open_for_writing
from pywats_reliability.disk import Disk
from pywats_reliability.ports import Heartbeat, WallClock
from pywats_reliability.workers import Workers

BEAT_S = 10.0
WATCH_THREADS = 16
CONVERT_THREADS_MAX = 32
CLOSE_TIMEOUT_S = 5.0
BUGS_IN_A_ROW_MAX = 3
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConverterStats:
    """What happened so far, under the names of ``get_status``: conversions ended, of which well, of which not."""

    total_processed: int
    successful: int
    errors: int
    queue_size: int
    active_conversions: int


@dataclass(frozen=True, slots=True, eq=False)
class _Active:
    converter: WatchedConverter
    item: Item
    path: Path

    def __str__(self) -> str:
        return f"conversion of {self.path.name} by {self.converter.name}"


class AsyncConverterPool:
    """The worker that converts.

    ``data``: what relative folders are in, and where it keeps its memory. ``submit``: how reports of conversions are
    kept, if not by ``queue.submit``; it should take them also while the service is stopping (C1.2). The rest are ports.
    """

    def __init__(
        self,
        converters: Sequence[ConverterConfig],
        queue: ReportQueue,
        *,
        data: Path,
        disk: Disk,
        clock: WallClock,
        settings: PoolSettings | None = None,
        converters_folder: Path | None = None,
        submit: Submit | None = None,
        runner_for: RunnerFactory | None = None,
        threads: Callable[[str, int], ThreadStarter] = Workers,
        looker: Looker = look,
        is_being_written: WriterCheck = is_open_for_writing,
    ) -> None:
        self.paused_reason: str | None = None
        self._settings = settings = settings or PoolSettings()
        self._queue = queue
        self._watch_threads = Threads(threads("pywats-watch", WATCH_THREADS))
        self._threads = Threads(threads("pywats-convert", min(settings.max_concurrent, CONVERT_THREADS_MAX)))
        filing = Filing(disk)
        reader = Reader(disk, bytes_max=settings.source_bytes_max, is_being_written=is_being_written)
        self._tools = Tools(self._threads, reader, filing, submit or queue.submit, clock, settings)
        make = runner_for or partial(make_runner, folder=converters_folder or data)
        self._roster = Roster(
            data=data, disk=disk, filing=filing, threads=self._watch_threads, looker=looker,
            make_runner=lambda config: make(config, self._threads),
        )  # fmt: skip
        self._roster.changed.subscribe(self._rouse)
        self._active: dict[Path, _Active] = {}
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._is_accepting, self._waits_for_room = True, False
        self._successful = self._errors = self._bugs_in_a_row = 0
        self._bug: BaseException | None = None
        self._roster.adopt(converters, settings)

    async def run(self, heartbeat: Heartbeat) -> None:
        """Convert until cancelled; after ``stop_accepting`` only what is under way.

        Raises what a bug raised that is no single source's fault; ``run`` may be called again. Cancelled, it cuts off
        the conversions, ends the worker processes, and passes the cancellation on.
        """
        self._bug, self._bugs_in_a_row = None, 0
        self._roster.begin()
        unsubscribe = self._queue.queue_changed.subscribe(self._queue_changed)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._dispatch(tasks, heartbeat)
        finally:
            unsubscribe()
            for active in list(self._active.values()):
                self._end(active)  # Its task is done; the callback that says so may not have run yet.
            await self._roster.close()
        if self._bug is not None:
            raise self._bug

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """End the threads, once ``run`` has ended; those that do not end in time are ``left_behind``."""
        self.stop_accepting()
        await self._threads.close(timeout_s / 2)
        await self._watch_threads.close(timeout_s / 2)

    def stop_accepting(self) -> None:
        """Look for nothing and begin no conversion, ever; what is under way goes on."""
        self._is_accepting = False
        self._wake.set()

    async def wait_idle(self) -> None:
        """Return the instant no conversion is under way."""
        await self._idle.wait()

    def pause(self, reason: str) -> None:
        """Look for nothing and begin no conversion until ``resume``; what is under way goes on."""
        self.paused_reason = reason

    def resume(self) -> None:
        """End the pause."""
        self.paused_reason = None
        self._wake.set()

    def adopt(self, converters: Sequence[ConverterConfig], settings: PoolSettings | None = None) -> None:
        """Take other converters (and settings) into force; those that are unchanged do not notice.

        ``source_bytes_max`` and more threads than at first need a restart.
        """
        self._settings = settings or self._settings
        self._tools = replace(self._tools, settings=self._settings)
        self._roster.adopt(converters, self._settings)

    def start_converter(self, name: str) -> None:
        """Let a converter work, also a disabled one, until the next start. Raises ``ConverterNotFoundError``."""
        self._roster.start(name)

    def stop_converter(self, name: str) -> None:
        """Let a converter end after what it is converting, until the next start. Raises ``ConverterNotFoundError``."""
        self._roster.stop(name)

    def get_active_count(self) -> int:
        """Return how many conversions are under way."""
        return len(self._active)

    def in_flight(self) -> tuple[str, ...]:
        """Return what is under way, a name for each, for those who must say what a stop waits for."""
        return tuple(str(active) for active in self._active.values())

    def left_behind(self) -> tuple[str, ...]:
        """Return what was told to end and still runs: threads, and processes."""
        return (*self._threads.overdue, *self._watch_threads.overdue, *self._roster.left_behind())

    def failed_converters(self) -> tuple[str, ...]:
        """Return, for each converter that does not do all of its work, why, in one line."""
        return self._roster.failed()

    def describe(self) -> list[dict[str, Any]]:
        """Return each converter as plain JSON values, the most urgent first."""
        return [converter.described() for converter in self._roster.all()]

    @property
    def stats(self) -> ConverterStats:
        """The counts of this instant."""
        every = self._roster.all()
        return ConverterStats(
            total_processed=self._successful + self._errors,
            successful=self._successful,
            errors=self._errors,
            queue_size=sum(converter.waiting for converter in every),
            active_conversions=len(self._active),
        )

    async def _dispatch(self, tasks: asyncio.TaskGroup, heartbeat: Heartbeat) -> None:
        """Start whatever is due whenever there is a reason to, until a bug ended it and the last conversion ended."""
        loop = asyncio.get_running_loop()
        while self._bug is None or self._active:
            self._wake.clear()
            heartbeat()
            now = loop.time()
            wake_at = now + BEAT_S
            if self._is_accepting and self._bug is None:
                is_paused = self.paused_reason is not None
                self._roster.work(tasks, now, is_looking=not is_paused)
                if not is_paused:
                    self._begin_conversions(tasks, now)
                wake_at = min(wake_at, self._next_at(now, is_looking=not is_paused))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(wake_at):
                    await self._wake.wait()

    def _next_at(self, now: float, *, is_looking: bool) -> float:
        instants = [converter.items.next_due(now) for converter in self._roster.all()] if is_looking else []
        instants.append(self._roster.next_at(is_looking=is_looking))
        return min((instant for instant in instants if instant is not None), default=now + BEAT_S)

    def _begin_conversions(self, tasks: asyncio.TaskGroup, now: float) -> None:
        if self._waits_for_room and self._queue.is_full():
            return
        self._waits_for_room = False
        # A thread that hangs keeps the slot of the conversion that was given up for it.
        slots = self._settings.max_concurrent - len(self._active) - len(self._threads.overdue)
        if slots <= 0:
            return
        turns = [
            (converter.config.priority, turn, converter, item)
            for converter in self._roster.all()
            for turn, item in enumerate(itertools.islice(self._ready(converter, now), slots))
        ]
        for _, _, converter, item in sorted(turns, key=lambda each: each[:2])[:slots]:
            if item.path not in self._active:
                self._begin(tasks, converter, item)

    def _ready(self, converter: WatchedConverter, now: float) -> Iterator[Item]:
        """Yield the sources that are this converter's to convert now."""
        earlier = list(itertools.takewhile(lambda other: other is not converter, self._roster.all()))
        for item in converter.ready(now, self._settings.settle_s):
            if item.path not in self._active and not any(
                other.claims(item.path, is_folder=converter.is_folder) for other in earlier
            ):
                yield item

    def _begin(self, tasks: asyncio.TaskGroup, converter: WatchedConverter, item: Item) -> None:
        active = _Active(converter, item, item.path)
        self._active[item.path] = active
        self._idle.clear()
        item.state = ItemState.ACTIVE
        converter.active += 1
        task = tasks.create_task(self._convert(active), name=str(active))
        task.add_done_callback(partial(self._end, active))  # Runs also when the task is cancelled before it began.

    async def _convert(self, active: _Active) -> None:
        try:
            outcome = await Conversion(active.converter, active.item, self._tools).run()
            self._bugs_in_a_row = 0
        except (Exception, SystemExit) as bug:  # noqa: BLE001 - a task ends here; the bug is logged, or raised by run()
            outcome = self._met_bug(active, bug)
        self._settle(active, outcome)

    def _met_bug(self, active: _Active, bug: BaseException) -> Outcome:
        self._bugs_in_a_row += 1
        if self._bugs_in_a_row >= BUGS_IN_A_ROW_MAX and self._bug is None:
            self._bug = bug
        else:
            log.error("%s met a bug", active, exc_info=bug)
        reason = f"expected an outcome, found a bug ({type(bug).__name__}); see the service's log"
        return Outcome(Fate.WAITS, reason, active.converter.config.retry_delay_seconds, is_error=True)

    def _settle(self, active: _Active, outcome: Outcome) -> None:
        """Take what came of a conversion into account, and tell of it."""
        converter, item, now = active.converter, active.item, asyncio.get_running_loop().time()
        self._count(converter, item, outcome)
        level = logging.ERROR if outcome.fate is Fate.ASIDE else logging.WARNING if outcome.is_error else logging.INFO
        log.log(level, "%s: %s%s", active, outcome.fate, f": {outcome.reason}" if outcome.reason else "")
        if item.trouble != outcome.reason:
            item.trouble = None
        match outcome.fate:
            case Fate.FILED | Fate.ASIDE | Fate.GONE:
                converter.items.remove(item)
            case Fate.KEPT:
                item.rest(ItemState.KEPT, now)
            case Fate.SKIPPED:
                item.rest(ItemState.SKIPPED, now)
            case Fate.CHANGED:
                item.settle(now)
            case Fate.WAITS | Fate.STOPPING:
                _wait(converter, item, outcome, now)
            case Fate.UNLOADED:
                item.wait(now, now)
                self._roster.loaded(converter, outcome.reason)
            case Fate.FULL:
                # Where not even an empty report has room all wait for it; else only this one, which is too large.
                self._waits_for_room = self._queue.is_full()
                item.wait(now, now if self._waits_for_room else now + outcome.after_s)

    def _count(self, converter: WatchedConverter, item: Item, outcome: Outcome) -> None:
        is_success = outcome.fate in (Fate.FILED, Fate.KEPT) or (outcome.fate is Fate.GONE and item.filing is not None)
        converter.successful += is_success
        converter.errors += outcome.is_error
        self._successful += is_success
        self._errors += outcome.is_error
        if outcome.is_error:
            converter.last_error = f"{item.path.name}: {outcome.reason}"

    def _end(self, active: _Active, _task: asyncio.Task[None] | None = None) -> None:
        if self._active.get(active.path) is not active:
            return
        del self._active[active.path]
        active.converter.active -= 1
        if active.item.state is ItemState.ACTIVE:  # It was cut off: it comes up again, here or after the next start.
            now = asyncio.get_running_loop().time()
            active.item.wait(now, now)
        if not self._active:
            self._idle.set()
        self._wake.set()

    def _queue_changed(self, *_: object) -> None:
        if self._waits_for_room:
            self._wake.set()

    def _rouse(self) -> None:
        self._wake.set()

    def __repr__(self) -> str:
        state, stats = "at work" if self._is_accepting else "stopping", self.stats
        state = f"paused: {self.paused_reason}" if self.paused_reason else state
        return (
            f"AsyncConverterPool({state}, {stats.active_conversions} active, {stats.queue_size} waiting,"
            f" {stats.successful} successful, {stats.errors} errors, {self._roster!r})"
        )


def _wait(converter: WatchedConverter, item: Item, outcome: Outcome, now: float) -> None:
    """Let a source wait, perhaps in another place."""
    if outcome.moved_to is not None:
        converter.items.remove(item)
        attempts, item = item.attempts, converter.items.add(outcome.moved_to, item.signature, now)
        item.attempts = attempts
    item.wait(now, now + outcome.after_s)
