"""Dashboard: how the service is, what waits, what failed and why, and what happens at this moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QListWidget, QPushButton, QVBoxLayout, QWidget

from pywats_reliability.gui.page import Page
from pywats_reliability.gui.rows import Rows
from pywats_reliability.gui.service_answers import (
    Converter,
    Status,
    Waiting,
    converters_in,
    number_in,
    queue_in,
    status_in,
)

EVENTS_SHOWN = 100


class DashboardPage(Page):
    """The whole at a glance."""

    name = "Dashboard"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("Dashboard")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("How the service is, what it is doing, and what needs a hand.")

    def build(self, content: QVBoxLayout) -> None:
        """Make the cards, the tables and the list of what happens."""
        content.addWidget(self._cards())
        self.reasons = QLabel()
        self.reasons.setObjectName("reasons")
        self.reasons.setWordWrap(True)
        self.reasons.setTextFormat(Qt.TextFormat.PlainText)
        self.reasons.hide()
        content.addWidget(self.reasons)
        row = QHBoxLayout()
        self.refresh_button = self.action_button("refresh", self.tr("&Refresh"), self.reload)
        self.sync_button = self.action_button("sync", self.tr("&Send now"), self.sync, main=True)
        for button in (self.sync_button, self.refresh_button):
            row.addWidget(button)
        row.addStretch()
        content.addLayout(row)
        self.failed = Rows("failed", [self.tr("Failed report"), self.tr("Accepted at"), self.tr("Bytes")], rows_shown=3)
        content.addWidget(self._table(self.tr("Failed reports"), self.failed, self._failed_actions()))
        self.converters = Rows(
            "converters", [self.tr("Converter"), self.tr("State"), self.tr("Priority")], rows_shown=2
        )
        content.addWidget(self._table(self.tr("Converters"), self.converters, None))
        self.events = QListWidget()
        self.events.setObjectName("events")
        self.events.setAccessibleName(self.tr("What happens"))
        self.events.setFixedHeight(110)
        content.addWidget(self._table(self.tr("What happens"), self.events, None))
        self._connect()

    async def load(self) -> str:
        """Show status, failed reports and converters."""
        status = status_in(await self.service.request("get_status"))
        failed = queue_in(await self.service.request("get_queue", {"folder": "failed"}))
        converters = converters_in(await self.service.request("get_converters"))
        self._show(status, failed, converters)
        return ""

    def sync(self) -> None:
        """Have every report that waits for its retry tried at once."""
        self.act(self.tr("Sending what waits"), self._sync)

    def retry(self) -> None:
        """Queue the chosen failed report again."""
        report_id = self.failed.selected_key()
        self.act(self.tr("Queueing report {} again").format(report_id), lambda: self._retry(report_id))

    def discard(self) -> None:
        """Delete the chosen failed report for good: asked for twice, in the button itself."""
        if not self._is_sure.isActive():
            self.discard_button.setText(self.tr("Really discard?"))
            self._is_sure.start()
            return
        self._calm_down()
        report_id = self.failed.selected_key()
        self.act(self.tr("Discarding report {}").format(report_id), lambda: self._discard(report_id))

    def enable_actions(self) -> None:
        """Retry and Discard need a chosen report."""
        super().enable_actions()
        if hasattr(self, "discard_button"):
            is_chosen = bool(self.failed.selected_key()) and not self.is_busy
            self.retry_button.setEnabled(is_chosen)
            self.discard_button.setEnabled(is_chosen)

    def _connect(self) -> None:
        queue, limits = self.place.queue, self.place.limits
        self.holdings.connect("report queued", queue.operation_queued, self._queued)
        self.holdings.connect("report sent", queue.operation_sent, self._sent)
        self.holdings.connect("report failed", queue.operation_failed, self._failed_report)
        self.holdings.connect("queue changed", queue.queue_changed, self._queue_changed)
        self.holdings.connect("failed report selected", self.failed.itemSelectionChanged, self.enable_actions)
        self._is_sure = self.holdings.every("the second click on discard", limits.sure_s, self._calm_down)
        self._is_sure.setSingleShot(True)
        self._is_sure.stop()
        self.holdings.every("looking anew", limits.poll_s, self._look)
        self.enable_actions()

    def _look(self) -> None:
        if self.isVisible() and self.banner.kind != "success":
            self.reload()

    def _calm_down(self) -> None:
        self._is_sure.stop()
        self.discard_button.setText(self.tr("&Discard"))

    async def _sync(self) -> str:
        waiting = number_in("sync_now", await self.service.request("sync_now"), "waiting")
        return self.tr("{} waiting reports are being tried now.").format(waiting)

    async def _retry(self, report_id: str) -> str:
        number_in("retry_failed", await self.service.request("retry_failed", {"id": report_id}), "retried", at_least=1)
        await self.load()
        return self.tr("Report {} is queued again.").format(report_id)

    async def _discard(self, report_id: str) -> str:
        answer = await self.service.request("discard_failed", {"id": report_id})
        number_in("discard_failed", answer, "discarded", at_least=1)
        await self.load()
        return self.tr("Report {} is deleted.").format(report_id)

    def _show(self, status: Status, failed: tuple[Waiting, ...], converters: tuple[Converter, ...]) -> None:
        values = {
            "status": status.status, "server": status.api_status, "pending": f"{status.pending}",
            "in_flight": str(status.in_flight), "sent": str(status.sent), "failed": str(status.failed),
        }  # fmt: skip
        for name, text in values.items():
            self.figures[name].setText(text)
        self.reasons.setText("\n".join(f"• {reason}" for reason in status.reasons))
        self.reasons.setVisible(bool(status.reasons))
        self.failed.show_rows([(r.report_id, r.accepted_at, str(r.size_bytes)) for r in failed])
        states = {True: self.tr("on"), False: self.tr("off")}
        self.converters.show_rows([(c.name, c.state or states[c.is_enabled], str(c.priority)) for c in converters])

    def _queued(self, report_id: str) -> None:
        self._happened(self.tr("queued  {}").format(report_id))

    def _sent(self, report_id: str) -> None:
        self._happened(self.tr("sent  {}").format(report_id))

    def _failed_report(self, report_id: str, error: str) -> None:
        self._happened(self.tr("failed  {}: {}").format(report_id, error))

    def _queue_changed(self, _: object) -> None:
        self._look()

    def _happened(self, words: str) -> None:
        self.events.insertItem(0, f"{datetime.now().astimezone():%H:%M:%S}  {words}")
        while self.events.count() > EVENTS_SHOWN:
            self.events.takeItem(self.events.count() - 1)

    def _cards(self) -> QWidget:
        whole = QWidget()
        grid = QGridLayout(whole)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(10)
        words = {
            "status": self.tr("Service"), "server": self.tr("Server"), "pending": self.tr("Pending"),
            "in_flight": self.tr("Being sent"), "sent": self.tr("Sent"), "failed": self.tr("Failed"),
        }  # fmt: skip
        self.figures: dict[str, QLabel] = {}
        for number, (name, text) in enumerate(words.items()):
            card = QFrame()
            card.setObjectName("card")
            box = QVBoxLayout(card)
            box.setContentsMargins(14, 10, 14, 10)
            box.setSpacing(2)
            label, figure = QLabel(text), QLabel("–")
            label.setObjectName("figure_label")
            figure.setObjectName("figure")
            figure.setAccessibleName(text)
            self.figures[name] = figure
            box.addWidget(label)
            box.addWidget(figure)
            grid.addWidget(card, number // 3, number % 3)
        return whole

    def _failed_actions(self) -> tuple[QPushButton, ...]:
        actions: tuple[tuple[str, str, Callable[[], object]], ...] = (
            ("retry", self.tr("&Try again"), self.retry),
            ("discard", self.tr("&Discard"), self.discard),
        )
        self.retry_button, self.discard_button = (self.action_button(*action) for action in actions)
        return self.retry_button, self.discard_button

    def _table(self, title: str, table: QWidget, buttons: tuple[QPushButton, ...] | None) -> QFrame:
        frame = QFrame()
        frame.setObjectName("card")
        box = QVBoxLayout(frame)
        box.setContentsMargins(16, 12, 16, 14)
        heading = QLabel(title)
        heading.setObjectName("section")
        row = QHBoxLayout()
        row.addWidget(heading)
        row.addStretch()
        for button in buttons or ():
            row.addWidget(button)
        box.addLayout(row)
        box.addWidget(table)
        return frame
