"""The stage on which pages play: one Qt application, one joined loop, a scripted service, and fast deadlines."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import shiboken6
from PySide6.QtCore import QEvent, QObject, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from chaos.faults.ipc_answers import ScriptedService
from chaos.subjects.configurator.backend import Backend
from chaos.subjects.configurator.census import FRAMES, Census, Connected, take_census
from pywats_reliability.errors import CleanupError
from pywats_reliability.gui.application import application
from pywats_reliability.gui.event_loop import THREADS, JoinedLoop
from pywats_reliability.gui.look import Look
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.pages import PAGES
from pywats_reliability.gui.queue_signals import QueueSignals
from pywats_reliability.gui.service_link import ServiceLink
from pywats_reliability.gui.workplace import Limits, Workplace
from pywats_reliability.supervisor import Supervisor

T = TypeVar("T")
DEADLINE_S = 10.0
_KNOWN = ("This plugin does not support propagateSizeHints()",)  # Of the offscreen platform: it has no screen to tell.
FAST = Limits(load_s=8.0, action_s=8.0, upload_s=8.0, poll_s=0.5, log_s=0.2, follow_s=0.02)
"""The usual deadlines, about; and rhythms that are worth waiting for."""
SHORT = replace(FAST, load_s=0.25, action_s=0.25, upload_s=0.5)
"""For a request that is never answered, once everything else is through: a busy machine would not keep these."""


class WatchedLink(Connected, ServiceLink):
    """A link that knows where it was connected."""


class WatchedQueue(Connected, QueueSignals):
    """Queue signals that know where they were connected."""


@dataclass(slots=True)
class Stage:
    """Everything that outlives the pages that play on it."""

    folder: Path
    loop: JoinedLoop
    backend: Backend
    service: ScriptedService
    place: Workplace
    draw: random.Random
    complaints: list[str]

    def look(self) -> Look:
        """Return a look for the window; pages are played without: a style sheet doubles the time."""
        return Look(application(), is_dark=False)

    @property
    def senders(self) -> tuple[QObject, ...]:
        """The objects with signals that pages connect to and that outlive them."""
        return self.place.link, self.place.queue

    def open(self, kind: type[Page]) -> Page:
        """Return a page that is shown and has begun to load."""
        page = kind(self.place)
        page.resize(900, 700)
        page.show()
        page.reload()
        return page

    async def idle(self, page: Page) -> None:
        """Wait until no action runs in the page."""
        await self.until(lambda: not page.is_busy, f"{page!r} idle")

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait, turn by turn of the loop, until something holds. Raises ``TimeoutError`` with ``what``."""
        end = self.loop.time() + DEADLINE_S
        while not holds():
            if self.loop.time() > end:
                raise TimeoutError(f"expected {what} within {DEADLINE_S:g} s")
            await asyncio.sleep(0.005)

    async def dispose(self, page: Page) -> list[str]:
        """Wait for the clean-up of a page, then let Qt delete it; return what failed in the clean-up."""
        failures = await failures_of(page)
        if shiboken6.isValid(page):
            page.deleteLater()
            await self.deleted()
        return failures

    async def recover(self) -> None:
        """Let the service be there and answer well again, all its old connections cut."""
        await self.service.go_away()
        await self.service.start()
        self.service.behave()
        self.backend.reset()

    async def deleted(self) -> None:
        """Let Qt delete what is to be deleted later, and tasks end that have nothing left to do."""
        for _ in range(3):
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
            await asyncio.sleep(0)

    def census(self) -> Census:
        """Return what there is now."""
        return take_census(self.loop, self.senders)


def chosen(names: Sequence[str]) -> tuple[type[Page], ...]:
    """Return the pages of those names; no names: all of them."""
    return tuple(kind for kind in PAGES if not names or kind.name in names)


async def failures_of(page: Page) -> list[str]:
    """Clean a page up (again) and return what failed in it."""
    try:
        await page.cleanup()
    except CleanupError as error:
        return [f"{name}: {failure}" for name, failure in error.failures]
    return []


@asynccontextmanager
async def _staged(folder: Path, loop: JoinedLoop, seed: int) -> AsyncIterator[Stage]:
    config_path, socket = folder / "config.json", folder / "gui.sock"
    config_path.write_text(json.dumps({"ipc_socket": str(socket)}), encoding="utf-8")
    backend = Backend(folder / "data")
    service = ScriptedService(socket, backend.answers())
    await service.start()
    # What grows at its leisure and belongs to the loop is there from the start: its threads.
    meeting = threading.Barrier(THREADS)
    await asyncio.gather(*(asyncio.to_thread(meeting.wait, DEADLINE_S) for _ in range(THREADS)))
    link, queue, tasks = WatchedLink(config_path), WatchedQueue(), Supervisor()
    place = Workplace(config_path, folder / "data", link, queue, tasks, FAST)
    complaints: list[str] = []
    qInstallMessageHandler(lambda _, __, words: None if words in _KNOWN else complaints.append(f"Qt says: {words}"))
    loop.set_exception_handler(lambda _, told: complaints.append(f"{told['message']}: {told.get('exception')!r}"))
    try:
        yield Stage(folder, loop, backend, service, place, random.Random(seed), complaints)  # noqa: S311
    finally:
        await service.go_away()
        await tasks.cancel_all(1.0)
        qInstallMessageHandler(None)


@contextmanager
def traced() -> Iterator[None]:
    """Let the census tell where things are made, for as long as the block lasts; everything takes twice as long."""
    if tracemalloc.is_tracing():
        yield
        return
    tracemalloc.start(FRAMES)
    try:
        yield
    finally:
        tracemalloc.stop()


def play(folder: Path, story: Callable[[Stage], Awaitable[T]], *, seed: int = 0) -> T:
    """Set the stage, play the story on it in the joined loop, and return what the story returns."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = application()
    loop = JoinedLoop(app)
    try:
        came_of_it: T = loop.run_until_complete(_played(folder, story, loop, seed))
        return came_of_it
    finally:
        loop.close()
        app.setStyleSheet("")


async def _played(folder: Path, story: Callable[[Stage], Awaitable[T]], loop: JoinedLoop, seed: int) -> T:
    async with _staged(folder, loop, seed) as stage:
        return await story(stage)
