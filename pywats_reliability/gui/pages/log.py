"""Log: what the service writes into its log, as it writes it, or what the configurator itself has to say."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPlainTextEdit, QVBoxLayout

from pywats_reliability.errors import DiskError, ProgramFailedError
from pywats_reliability.gui.log_buffer import LEVELS, LINES_MAX, BufferHandler, LogBuffer, LogTail
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.service_answers import part_of


class _Heard(QObject):
    """Brings what was logged in another thread into this one."""

    line = Signal(str, int)


class LogPage(Page):
    """The log."""

    name = "Log"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("Log")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("The last 1,000 lines, as they are written.")

    def build(self, content: QVBoxLayout) -> None:
        """Make the choice of log and level, and the lines."""
        self.service_log, self.own_log = LogBuffer(), LogBuffer()
        self._tail: LogTail | None = None
        self.source = _choice("source", [self.tr("Service"), self.tr("Configurator")])
        self.level = _choice("level", list(LEVELS))
        self.level.setCurrentText("INFO")
        row = QHBoxLayout()
        for label, choice in ((self.tr("Log &of"), self.source), (self.tr("&Level"), self.level)):
            words = QLabel(label)
            words.setBuddy(choice)
            row.addWidget(words)
            row.addWidget(choice)
        row.addStretch()
        row.addWidget(self.action_button("refresh", self.tr("&Refresh"), self.reload))
        row.addWidget(self.action_button("clear", self.tr("C&lear"), self.clear))
        self.lines = QPlainTextEdit()
        self.lines.setObjectName("lines")
        self.lines.setAccessibleName(self.tr("Lines"))
        self.lines.setReadOnly(True)
        self.lines.setTabChangesFocus(True)
        self.lines.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.lines.setMaximumBlockCount(LINES_MAX)
        self.lines.setMinimumHeight(260)
        content.addLayout(row)
        content.addWidget(self.lines, 100)
        self._connect()

    async def load(self) -> str:
        """Find the service's log and read what is new in it."""
        folder = part_of("get_data_folder", await self.service.request("get_data_folder"), "data", str)
        name = part_of("get_config", await self.service.request("get_config"), "log_file", str)
        if not name:
            raise ProgramFailedError("the service's log", "a file in log_file", "none set")
        path = Path(folder) / name
        if self._tail is None or self._tail.path != path:
            self._tail = LogTail(path)
            self.service_log.clear()
        await self._read(self._tail)
        return ""

    def clear(self) -> None:
        """Forget the lines shown; the file stays as it is."""
        self._shown().clear()
        self._show_all()

    def _connect(self) -> None:
        self._heard = _Heard(self)
        self.holdings.connect("own lines", self._heard.line, self._own_line)
        self.holdings.connect("choice of log", self.source.currentIndexChanged, self._show_all)
        self.holdings.connect("choice of level", self.level.currentIndexChanged, self._show_all)
        self.holdings.add_log_handler(logging.getLogger(), BufferHandler(self._heard.line.emit))
        self.holdings.every("reading the log", self.place.limits.log_s, self._look)

    def _look(self) -> None:
        if self.isVisible() and self._tail is not None and not self.is_busy:
            tail = self._tail
            self.holdings.run("read the log", self._read_quietly(tail))

    async def _read_quietly(self, tail: LogTail) -> None:
        try:
            await self._read(tail)
        except DiskError as error:
            self.say_trouble(self.tr("Reading the log: failed"), error, is_load=True)

    async def _read(self, tail: LogTail) -> None:
        try:
            lines = await asyncio.to_thread(tail.read)
        except OSError as error:
            raise DiskError("read the log", tail.path, error) from error
        for line in lines:
            self.service_log.add(line)
        if lines and self._shown() is self.service_log:
            self._show_all()

    def _own_line(self, text: str, level: int) -> None:
        self.own_log.add(text, level)
        if self._shown() is self.own_log:
            self._show_all()

    def _shown(self) -> LogBuffer:
        return self.service_log if self.source.currentIndex() == 0 else self.own_log

    def _show_all(self, _: int = 0) -> None:
        at_least = logging.getLevelNamesMapping()[self.level.currentText()]
        self.lines.setPlainText("\n".join(self._shown().texts(at_least)))
        bar = self.lines.verticalScrollBar()
        bar.setValue(bar.maximum())


def _choice(name: str, texts: list[str]) -> QComboBox:
    choice = QComboBox()
    choice.setObjectName(name)
    choice.addItems(texts)
    choice.setMinimumContentsLength(max(len(text) for text in texts) + 1)
    return choice
