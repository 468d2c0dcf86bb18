"""A page: it does its job over IPC, says in itself how each action ended, and lets go of all it holds (H2.1, H3.2).

* One action at a time: while it runs the page shows that it is busy, its other actions wait, and it can be cancelled.
  Each has a deadline. Its end is shown: done, failed (what, why, what to do) or cancelled; nothing else counts as done.
* Loading is an action without words of success. A failed load is taken back by the next one that succeeds.
* ``cleanup`` lets go of everything and reports every step that failed; closing the page calls it. Both are harmless to
  repeat and may come at any instant. No window of the page's own ever stands in the way of closing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import ClassVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from pywats_reliability.errors import ActionOverdueError, CleanupError, IPCConnectionError
from pywats_reliability.gui.banner import Banner
from pywats_reliability.gui.busy_strip import BusyStrip
from pywats_reliability.gui.holdings import Holdings
from pywats_reliability.gui.service_link import ServiceClient
from pywats_reliability.gui.trouble import trouble_from
from pywats_reliability.gui.workplace import Workplace

Work = Callable[[], Awaitable[str]]
log = logging.getLogger(__name__)


class Page(QWidget):
    """One of the eleven. A subclass gives ``name``, ``title``, ``purpose``, ``build`` and ``load``."""

    name: ClassVar[str]

    def __init__(self, place: Workplace) -> None:
        super().__init__()
        self.setObjectName(self.name)
        self.place = place
        self.service = ServiceClient(place.config_path)
        self.holdings = Holdings(f"page {self.name}", self, place.tasks)
        self.holdings.own_connection(self.name, self.service)
        self._action: asyncio.Task[None] | None = None
        self._is_load_trouble = False
        self._buttons: list[QPushButton] = []
        self._make_frame()
        self.build(self.content)
        self.content.addStretch(1)
        self.holdings.connect("service came up", place.link.came_up, self.reload)
        self.holdings.connect("service went down", place.link.went_down, self._service_went_down)

    def title(self) -> str:
        """Return the page's name for people."""
        raise NotImplementedError

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        raise NotImplementedError

    def build(self, content: QVBoxLayout) -> None:
        """Make what is in the page."""
        raise NotImplementedError

    async def load(self) -> str:
        """Ask the service for what the page shows, and show it; return nothing, or what has to be said."""
        raise NotImplementedError

    @property
    def is_busy(self) -> bool:
        """True while an action runs."""
        return self._action is not None

    def reload(self) -> None:
        """Load, unless an action runs."""
        if not self.is_busy:
            self.act(self.tr("Loading"), self.load, limit_s=self.place.limits.load_s, is_load=True)

    def act(self, what: str, work: Work, *, limit_s: float | None = None, is_load: bool = False) -> None:
        """Begin an action; ``work`` returns in words what was done, once it certainly was."""
        if self.is_busy:
            return
        limit = self.place.limits.action_s if limit_s is None else limit_s
        self._action = self.holdings.run(what, self._acted(what, work, limit, is_load=is_load))
        if self._action is not None:
            self._show_busy(what)

    def cancel(self) -> None:
        """Cancel the action that runs."""
        if self._action is not None:
            self._action.cancel()

    async def cleanup(self) -> None:
        """Let go of everything the page holds. Raises ``CleanupError`` with every step that failed."""
        await self.holdings.close()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Close at once, and clean up."""
        event.accept()
        self.place.tasks.spawn(f"close page {self.name}", self._cleaned_up())

    def action_button(self, name: str, text: str, clicked: Callable[[], object], *, main: bool = False) -> QPushButton:
        """Return a button that begins an action, and waits while another runs."""
        button = QPushButton(text)
        button.setObjectName(name)
        button.setProperty("main", main)
        button.setProperty("action", True)
        self._buttons.append(button)
        self.holdings.connect(f"click on {name}", button.clicked, clicked)
        return button

    def say_trouble(self, what: str, error: BaseException, *, is_load: bool = False) -> None:
        """Show a failure in the page, and log what only a bug can do."""
        self._is_load_trouble = is_load
        self.banner.show_trouble(trouble_from(what, error, when=datetime.now(UTC)))

    def enable_actions(self) -> None:
        """Let buttons be pressed or not, as it fits what the page shows; a subclass refines it."""
        for button in self._buttons:
            button.setEnabled(not self.is_busy)

    async def _cleaned_up(self) -> None:
        try:
            await self.cleanup()
        except CleanupError:  # Its message names every step that failed.
            log.exception("page %s was closed, but not all of it was let go of", self.name)

    async def _acted(self, what: str, work: Work, limit_s: float, *, is_load: bool) -> None:
        try:
            async with asyncio.timeout(limit_s):
                words = await work()
        except asyncio.CancelledError:
            if self.holdings.is_open:
                words = self.tr("{}: cancelled. Whether it had an effect is not known; reload the page to see.")
                self.banner.show_warning(words.format(what))
            raise
        except TimeoutError:
            self.say_trouble(self._failed(what), ActionOverdueError(what, limit_s), is_load=is_load)
        except Exception as error:  # Where a task ends: whatever it was, the person must see it.
            log.debug("page %s: %s failed", self.name, what, exc_info=True)
            self.say_trouble(self._failed(what), error, is_load=is_load)
            if isinstance(error, IPCConnectionError):
                self.place.link.suspect()
        else:
            self._done(words, is_load=is_load)
        finally:
            self._action = None
            if self.holdings.is_open:
                self._show_idle()

    def _failed(self, what: str) -> str:
        return self.tr("{}: failed").format(what)

    def _done(self, words: str, *, is_load: bool) -> None:
        if words:
            self.banner.show_success(words)
        elif not is_load or self._is_load_trouble:
            self.banner.clear()
        self._is_load_trouble = False

    def _service_went_down(self, _: str) -> None:
        if not self.is_busy and self.banner.kind != "error":
            self.reload()  # It fails, and says so in the page's own words.

    def _show_busy(self, what: str) -> None:
        self.busy.begin(what)
        self.enable_actions()

    def _show_idle(self) -> None:
        self.busy.end()
        self.enable_actions()

    def _make_frame(self) -> None:
        heading = QLabel(self.title())
        heading.setObjectName("heading")
        purpose = QLabel(self.purpose())
        purpose.setObjectName("purpose")
        purpose.setWordWrap(True)
        self.banner, self.busy = Banner(self), BusyStrip(self)
        self.holdings.connect("copy details", self.banner.copy.clicked, self.banner.copy_details)
        self.holdings.connect("dismiss banner", self.banner.dismiss.clicked, self.banner.clear)
        self.holdings.connect("cancel action", self.busy.cancel.clicked, self.cancel)
        inner = QWidget()
        inner.setObjectName("inner")
        self.content = QVBoxLayout(inner)
        self.content.setContentsMargins(0, 0, 8, 0)
        self.content.setSpacing(12)
        self.scroller = QScrollArea()
        self.scroller.setWidgetResizable(True)
        self.scroller.setFrameShape(QFrame.Shape.NoFrame)
        self.scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scroller.setWidget(inner)
        frame = QVBoxLayout(self)
        frame.setContentsMargins(22, 18, 14, 14)
        frame.setSpacing(8)
        for widget in (heading, purpose, self.banner, self.busy):
            frame.addWidget(widget)
        frame.addWidget(self.scroller, 1)
        self.footer = QHBoxLayout()
        frame.addLayout(self.footer)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'busy' if self.is_busy else 'idle'}, banner {self.banner.kind or 'empty'})"
