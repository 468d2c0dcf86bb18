"""The main window: the list of pages, the page that is open, and whether the service is there.

* The window owns what all pages share: the connection monitor and the watch over the queue, both under supervision.
* A page is made when it is first opened. Pages inside a stack get no close event of their own: the window cleans them
  up, every one of them, whatever fails on the way (H2.3, H2.5).
* Closing hides the window at once and asks nothing; ``ended`` is set when everything has been let go of.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QListWidget, QMainWindow, QPushButton, QVBoxLayout, QWidget
from PySide6.QtWidgets import QStackedWidget as Stack

from pywats_reliability.errors import CleanupError, ReliabilityError, described
from pywats_reliability.gui.holdings import Holdings
from pywats_reliability.gui.look import Look
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.pages import PAGES
from pywats_reliability.gui.queue_signals import LOOK_S, QueueSignals, QueueWatch
from pywats_reliability.gui.service_answers import settings_in
from pywats_reliability.gui.service_link import CHECK_S, ServiceClient, ServiceLink
from pywats_reliability.gui.workplace import Limits, Workplace
from pywats_reliability.supervisor import Supervisor, TaskSpec

CLOSE_LIMIT_S = 8.0
TASKS_LIMIT_S = 2.0
OPTIONAL = {
    "Converters": "show_converters_tab", "SerialNumberHandler": "show_sn_handler_tab", "Location": "show_location_tab",
    "ProxySettings": "show_proxy_tab", "Software": "show_software_tab",
}  # fmt: skip
"""The pages that a setting can hide."""
log = logging.getLogger(__name__)


class MainWindow(QMainWindow):
    """The configurator. It needs a running loop; ``start`` begins its work."""

    def __init__(self, config_path: Path, data: Path, look: Look, limits: Limits | None = None) -> None:
        super().__init__()
        self.setObjectName("window")
        self.setWindowTitle(self.tr("pyWATS configurator"))
        self.supervisor = Supervisor()
        self.link, self.queue = ServiceLink(config_path, self), QueueSignals(self)
        self.watch = QueueWatch(self.queue, config_path)
        self.place = Workplace(config_path, data, self.link, self.queue, self.supervisor, limits or Limits())
        self.pages: dict[str, Page] = {}
        self.failures: list[str] = []
        self.ended = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._look = look
        self.holdings = Holdings("window", self, self.supervisor)
        self._client = ServiceClient(config_path)
        self.holdings.own_connection("window", self._client)
        self._make()
        self._connect()

    def start(self) -> None:
        """Start the monitor and the watch, and open the first page."""
        specs = (
            TaskSpec("connection_monitor", self.link.monitor, critical=False, heartbeat_interval_s=2 * CHECK_S),
            TaskSpec("queue_watch", self.watch.run, critical=False, heartbeat_interval_s=2 * LOOK_S),
        )
        self.holdings.scope.push("connection of the monitor", self.link.client.aclose)
        self.holdings.scope.push("connection of the watch", self.watch.client.aclose)
        self.holdings.scope.push("background tasks", self._end_tasks)
        for spec in specs:
            self.supervisor.add(spec)
        self.supervisor.start()
        self.navigation.setCurrentRow(0)
        self.navigation.setFocus()

    def open_page(self, name: str) -> Page:
        """Show the page of that name, made now if it was not open before, and return it."""
        page = self.pages.get(name)
        if page is None:
            page = next(kind for kind in PAGES if kind.name == name)(self.place)
            self.pages[name] = page
            self.holdings.scope.push(f"page {name}", page.cleanup)
            self.stack.addWidget(page)
        page.reload()
        self.stack.setCurrentWidget(page)
        self.navigation.setCurrentRow([kind.name for kind in PAGES].index(name))
        return page

    async def cleanup(self) -> None:
        """Let go of everything the window and its pages hold. Raises ``CleanupError`` with all that failed."""
        await self.holdings.close(limit_s=CLOSE_LIMIT_S)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Close at once, and end everything that the window started."""
        event.accept()
        self.hide()
        if self._ending is None:
            self._ending = self.supervisor.spawn("close the window", self._end())

    async def _end(self) -> None:
        try:
            await self.cleanup()
        except CleanupError as error:
            self.failures = [f"{name}: {failure}" for name, failure in error.failures]
            log.exception("the window was closed, but not all of it was let go of")
        except Exception as error:  # Where a task ends: whatever it was, the window is closed and says so.
            self.failures = [described(error)]
            log.exception("the window was closed, but its clean-up broke off")
        finally:
            for page in self.pages.values():
                page.deleteLater()
            self.pages.clear()
            self.ended.set()

    async def _end_tasks(self) -> None:
        if left := await self.supervisor.cancel_all(TASKS_LIMIT_S):
            log.error("these tasks of the window did not end: %s", ", ".join(left))

    def _make(self) -> None:
        self.navigation = QListWidget()
        self.navigation.setObjectName("navigation")
        self.navigation.setAccessibleName(self.tr("Pages"))
        self.navigation.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        titles = self._titles()
        self.navigation.addItems([titles[kind.name] for kind in PAGES])
        brand = QLabel(self.tr("pyWATS"))
        brand.setObjectName("brand")
        self.look_button = QPushButton(self.tr("Dark"))
        self.look_button.setObjectName("dark")
        self.look_button.setCheckable(True)
        self.look_button.setChecked(self._look.is_dark)
        self.side = QWidget()
        self.side.setObjectName("side")
        column = QVBoxLayout(self.side)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(brand)
        column.addWidget(self.navigation, 1)
        bottom = QHBoxLayout()
        bottom.setContentsMargins(14, 4, 14, 12)
        bottom.addWidget(self.look_button)
        column.addLayout(bottom)
        self.stack = Stack()
        whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.side)
        row.addWidget(self.stack, 1)
        self.setCentralWidget(whole)
        self.link_label = QLabel(self.tr("Looking for the service …"))
        self.link_label.setObjectName("link")
        self.statusBar().addWidget(self.link_label, 1)
        self.statusBar().setSizeGripEnabled(False)
        self.resize(1000, 720)
        self.setMinimumSize(640, 480)
        self._fit_navigation()

    def _connect(self) -> None:
        self.holdings.connect("page chosen", self.navigation.currentRowChanged, self._page_chosen)
        self.holdings.connect("dark or light", self.look_button.clicked, self._look_chosen)
        self.holdings.connect("service came up", self.link.came_up, self._came_up)
        self.holdings.connect("service went down", self.link.went_down, self._went_down)
        self.holdings.connect("service looked for", self.link.changed, self._show_link)
        for keys, step in (("Ctrl++", 1), ("Ctrl+=", 1), ("Ctrl+-", -1)):
            shortcut = QShortcut(QKeySequence(keys), self)
            self.holdings.connect(f"key {keys}", shortcut.activated, lambda step=step: self._zoom(step))

    def _titles(self) -> dict[str, str]:
        return {
            "Dashboard": self.tr("Dashboard"), "Connection": self.tr("Connection"),
            "Converters": self.tr("Converters"), "Setup": self.tr("Setup"),
            "SerialNumberHandler": self.tr("Serial numbers"), "Log": self.tr("Log"), "About": self.tr("About"),
            "ApiSettings": self.tr("API settings"), "Location": self.tr("Location"),
            "ProxySettings": self.tr("Proxy settings"), "Software": self.tr("Software"),
        }  # fmt: skip

    def _page_chosen(self, row: int) -> None:
        if 0 <= row < len(PAGES):
            self.open_page(PAGES[row].name)

    def _look_chosen(self) -> None:
        self._look.use(is_dark=self.look_button.isChecked())

    def _zoom(self, step: int) -> None:
        self._look.zoom_by(step)
        self._fit_navigation()

    def _fit_navigation(self) -> None:
        widest = max(self.navigation.sizeHintForColumn(0), 130)
        self.side.setFixedWidth(widest + 34)

    def _came_up(self) -> None:
        self._show_link()
        self.watch.look_now()
        self.holdings.run("which pages are shown", self._show_pages())

    def _went_down(self, _: str) -> None:
        self._show_link()

    async def _show_pages(self) -> None:
        """Hide the pages that the configuration hides; where it cannot be read, all stay."""
        try:
            shown = settings_in(await self._client.request("get_config"), OPTIONAL.values())
        except ReliabilityError as error:
            log.warning("which pages to show is not known, so all are shown: %s", error)
            return
        for row, kind in enumerate(PAGES):
            if kind.name in OPTIONAL:
                self.navigation.item(row).setHidden(shown[OPTIONAL[kind.name]] is False)

    def _show_link(self) -> None:
        if self.link.is_up:
            words = self.tr("The service is running.")
        else:
            words = self.tr("The service cannot be reached. Next try in {} s.").format(f"{self.link.next_try_s:g}")
        self.link_label.setText(words)
        self.link_label.setToolTip(self.link.why)
        self.link_label.setProperty("up", bool(self.link.is_up))
        self.link_label.style().unpolish(self.link_label)
        self.link_label.style().polish(self.link_label)

    def __repr__(self) -> str:
        return f"MainWindow({len(self.pages)} pages, service {'up' if self.link.is_up else 'down'})"
