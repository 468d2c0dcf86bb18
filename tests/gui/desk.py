"""A desk with the configurator on it: real Qt, and a real service that tests may start and stop in the same loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QPushButton, QWidget

from chaos.subjects.configurator.stage import play
from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import save_config
from pywats_reliability.disk import Disk
from pywats_reliability.gui.application import application
from pywats_reliability.gui.look import Look
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.window import MainWindow
from pywats_reliability.gui.workplace import Limits
from tests.service.service_world import SETTINGS, ServiceWorld, running, storing

DEADLINE_S = 15.0
W = TypeVar("W", bound=QWidget)


@dataclass
class Desk:
    """The window, and the service behind it."""

    folder: Path
    window: MainWindow
    world: ServiceWorld | None = None
    service: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start_service(self, **settings: Any) -> ServiceWorld:
        """Start a service with these settings, which are also in the desk's configuration file."""
        script = settings.pop("script", storing)
        configure(self.folder, **settings)
        given = {"config_path": self.folder / "config.json", **settings}
        self.world = await self.service.enter_async_context(running(self.folder, script, **given))
        return self.world

    async def stop_service(self) -> None:
        """Stop the service."""
        await self.service.aclose()

    async def page(self, name: str) -> Page:
        """Open a page and wait until it has loaded."""
        page = self.window.open_page(name)
        await self.idle(page)
        return page

    async def idle(self, page: Page) -> None:
        """Wait until the page does nothing."""
        await self.until(lambda: not page.is_busy, f"{page!r} idle")

    async def press(self, page: Page, name: str) -> None:
        """Press a button with the mouse and wait until its action has ended."""
        QTest.mouseClick(self.find(page, QPushButton, name), Qt.MouseButton.LeftButton)
        await asyncio.sleep(0)
        await self.idle(page)

    def fill_in(self, page: Page, name: str, text: str) -> None:
        """Type into a line, in the place of what stands there."""
        line = self.find(page, QLineEdit, name)
        line.setFocus()
        line.selectAll()
        QTest.keyClicks(line, text)

    def find(self, page: QWidget, kind: type[W], name: str) -> W:
        """Return a widget by its name."""
        found = page.findChild(kind, name)
        assert found is not None, f"{page!r} has a {kind.__name__} {name}"
        return found

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds, turn by turn of the loop."""
        async with asyncio.timeout(DEADLINE_S):
            while not holds():  # noqa: ASYNC110 - Qt's widgets have no asyncio events
                await asyncio.sleep(0.005)
        assert holds(), what


@asynccontextmanager
async def _set(folder: Path) -> AsyncIterator[Desk]:
    configure(folder)
    limits = Limits(load_s=5, action_s=5, poll_s=0.2, log_s=0.05, follow_s=0.02)
    window = MainWindow(folder / "config.json", folder / "data", Look(application(), is_dark=False), limits)
    desk = Desk(folder, window)
    try:
        yield desk
    finally:
        window.close()
        async with asyncio.timeout(DEADLINE_S):
            await window.ended.wait()
        await desk.stop_service()
        window.deleteLater()
    assert not window.failures
    assert QApplication.activeModalWidget() is None


def configure(folder: Path, **settings: Any) -> None:
    """Save a configuration with these settings."""
    given = {**SETTINGS, "ipc_socket": str(folder / "s"), **settings}
    save_config(folder / "config.json", ClientConfig(**given), disk=Disk())


def at_a_desk(folder: Path, patch: pytest.MonkeyPatch, story: Callable[[Desk], Awaitable[None]]) -> None:
    """Let ``story`` happen at a desk whose files are all in ``folder``; no service runs until it starts one."""
    secrets = folder / ".config" / "pywats"
    secrets.mkdir(parents=True)
    (folder / "secrets").mkdir(mode=0o700)
    (secrets / "secrets").symlink_to(folder / "secrets")
    patch.setenv("HOME", str(folder))
    patch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    (folder / "stage").mkdir()

    async def happens(_: object) -> None:
        async with _set(folder) as desk:
            desk.window.start()
            desk.window.show()
            await story(desk)

    play(folder / "stage", happens)
