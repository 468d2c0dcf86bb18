"""What tests of converting share: a pool in virtual time over real files, a queue in memory, a converter's script."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pywats_reliability.config.nested import ConverterConfig
from pywats_reliability.converter_pool import AsyncConverterPool, PoolSettings, never_known
from pywats_reliability.converter_pool.runners import Runner
from pywats_reliability.converter_pool.threads import Threads
from pywats_reliability.converters import ConverterContext, ConverterResult, ConverterSource, StationInfo
from pywats_reliability.disk import Aside, Disk
from pywats_reliability.events import Event
from pywats_reliability.report import Report
from tests.service.store_world import FIELDS, SetClock
from tests.service.virtual_clock import now

T = TypeVar("T")
REPORT = json.dumps(FIELDS).encode()
STATION = StationInfo("Station 1", "Lab", "Test")


class InlineThreads:
    """Does every job at once, in the loop: what virtual time needs."""

    def __init__(self, _name: str = "", _count: int = 0) -> None:
        self.is_closed = False

    def start(self, job: Callable[[], T], _doing: str, /) -> asyncio.Future[T]:
        """Do the job and return its ended future."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future

    async def close(self, _timeout_s: float = 0.0, /) -> bool:
        """Note that it is closed."""
        self.is_closed = True
        return True


class Crash(BaseException):
    """The end of the process, as far as a test can have it: nothing but ``finally`` runs after it."""


class MemoryQueue:
    """Keeps reports in memory, as a ``ReportQueue``; ``before`` and ``after`` the keeping a test may raise."""

    def __init__(self) -> None:
        self.queue_changed: Event[[]] = Event("queue_changed")
        self.kept: list[tuple[str, bytes, int]] = []
        self.limit: int | None = None
        self.before: Callable[[Report], object] = lambda _: None
        self.after: Callable[[Report], object] = lambda _: None
        self.delay_s = 0.0

    @property
    def ids(self) -> list[str]:
        """The ids of what was accepted, in order."""
        return [report_id for report_id, _, _ in self.kept]

    async def submit(self, source: Report, *, priority: int = 5) -> str:
        """Keep the report."""
        await asyncio.sleep(self.delay_s)
        self.before(source)
        self.kept.append((source.id, source.body, priority))
        self.after(source)
        return source.id

    def is_full(self) -> bool:
        """Return whether the limit is reached."""
        return self.limit is not None and len(self.kept) >= self.limit

    def make_room(self, limit: int | None = None) -> None:
        """Raise the limit and tell."""
        self.limit = limit
        self.queue_changed.emit()


Script = Callable[[ConverterSource, int], "ConverterResult | Awaitable[ConverterResult]"]


def succeed(source: ConverterSource, _attempt: int) -> ConverterResult:
    """Make one report of any source: the script of a converter that has no trouble."""
    return ConverterResult.success_result({**FIELDS, "sn": source.name[:50]})


@dataclass(eq=False)
class ScriptedRunner:
    """Converts as its script says, and remembers what it was asked."""

    script: Script = succeed
    load_error: Exception | None = None
    begun: list[tuple[float, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    loads: int = 0
    closes: int = 0
    under_way: int = 0
    most: int = 0

    async def load(self) -> None:
        """Load, or raise what the test says."""
        self.loads += 1
        if self.load_error is not None:
            raise self.load_error

    async def convert(self, source: ConverterSource, _context: ConverterContext, _limit_s: float) -> ConverterResult:
        """Follow the script."""
        self.begun.append((now(), source.name))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            result = self.script(source, [name for _, name in self.begun].count(source.name))
            return result if isinstance(result, ConverterResult) else await result
        except asyncio.CancelledError:
            self.cancelled.append(source.name)
            raise
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        """Count it."""
        self.closes += 1

    def left_behind(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def names(self) -> list[str]:
        """Return what was converted, in order."""
        return [name for _, name in self.begun]


def taking(seconds: float) -> Script:
    """Return the script of a converter that needs some time."""

    async def convert(source: ConverterSource) -> ConverterResult:
        await asyncio.sleep(seconds)
        return succeed(source, 1)

    return lambda source, _: convert(source)


class World:
    """A pool, its folders and everything around it. ``drop`` a file, then wait ``until`` something is so."""

    def __init__(self, folder: Path, *configs: dict[str, Any], script: Script = succeed, **more: Any) -> None:
        self.data = folder
        self.queue = more.pop("queue", None) or MemoryQueue()
        self.runners: dict[str, ScriptedRunner] = {}
        self.script = script
        self.beats: list[float] = []
        self.run: asyncio.Task[None] | None = None
        (folder / "in").mkdir(exist_ok=True)
        self.disk: Disk = more.pop("disk", None) or Disk()
        settings = PoolSettings(station=STATION, **{key: more.pop(key) for key in list(more) if key in SETTINGS})
        converters = [make_config(**config) for config in configs or ({},)]
        self.pool = AsyncConverterPool(
            converters, self.queue, data=folder, disk=self.disk, clock=SetClock(), settings=settings,
            runner_for=more.pop("runner_for", self.runner), threads=more.pop("threads", InlineThreads),
            is_being_written=more.pop("is_being_written", never_known), **more,
        )  # fmt: skip

    def runner(self, config: ConverterConfig, _threads: Threads) -> Runner:
        """Return the scripted runner of a converter."""
        return self.runners.setdefault(config.name, ScriptedRunner(self.script))

    @property
    def converter(self) -> ScriptedRunner:
        """The one runner there is."""
        (runner,) = self.runners.values()
        return runner

    def drop(self, name: str, content: bytes = b"contents", folder: str = "in") -> Path:
        """Drop a file."""
        path = self.data / folder / name
        path.write_bytes(content)
        return path

    def names(self, folder: str = "in") -> list[str]:
        """Return the names of the files in a folder that is there."""
        path = self.data / folder
        return sorted(entry.name for entry in path.iterdir() if entry.is_file()) if path.is_dir() else []

    async def until(self, is_so: Callable[[], bool], within_s: float = 5000.0) -> None:
        """Return once ``is_so``."""
        looks = itertools.count()
        async with asyncio.timeout(within_s):
            while not is_so():  # noqa: ASYNC110 - in virtual time a look costs nothing
                await asyncio.sleep(0.05 if next(looks) < 1000 else 1.0)

    async def later(self, seconds: float) -> None:
        """Let (virtual) time pass."""
        await asyncio.sleep(seconds)

    async def until_converted(self, count: int = 1) -> None:
        """Return once so many sources were converted well."""
        await self.until(lambda: self.pool.stats.successful >= count)

    @asynccontextmanager
    async def running(self, *, is_last: bool = True) -> AsyncIterator[World]:
        """Run the pool for as long as the block lasts; a bug that ends it early ends the block too."""
        async with asyncio.TaskGroup() as tasks:
            self.run = run = tasks.create_task(self.pool.run(lambda: self.beats.append(now())), name="converter_pool")
            yield self
            run.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await run
        if is_last:
            await self.pool.close()
        assert self.pool.get_active_count() == 0
        assert not self.pool.left_behind()


SETTINGS = tuple(PoolSettings.__dataclass_fields__)


def make_config(**more: Any) -> ConverterConfig:
    """Return the configuration of a converter of files in ``in``."""
    return ConverterConfig(**{"name": "c", "module_path": "theirs.py", "watch_folder": "in", **more})


class QuickDisk(Disk):
    """A disk that syncs nothing: for the many runs in which the process ends and the computer does not."""

    def sync_aside(self, aside: Aside) -> None:
        """Do nothing."""

    def sync_folder(self, path: Path | str) -> None:
        """Do nothing."""


class InterruptedDisk(QuickDisk):
    """A disk at whose n-th call something happens: ``interrupt(call)``, which may raise, before it or after it."""

    CALLS = (
        "write_aside", "sync_aside", "publish", "move", "remove", "sync_folder", "make_folder", "read", "list_kinds",
        "list_names", "look",
    )  # fmt: skip

    def __init__(self, at: int, interrupt: Callable[[str], object], *, after: bool = False) -> None:
        super().__init__()
        self.at, self.interrupt, self.after, self.calls = at, interrupt, after, 0
        for name in self.CALLS:
            setattr(self, name, partial(self._call, name, getattr(self, name)))

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **more: Any) -> Any:
        number, self.calls = self.calls, self.calls + 1
        if number == self.at and not self.after:
            self.interrupt(name)
        result = real(*args, **more)
        if number == self.at and self.after:
            self.interrupt(name)
        return result
