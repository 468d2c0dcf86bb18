"""A table that shows what it is given and remembers what is selected by its key, not by its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

ROWS_SHOWN = 5


class Rows(QTableWidget):
    """A table for reading; the first column is the key."""

    def __init__(self, name: str, headings: Sequence[str], *, rows_shown: int = ROWS_SHOWN) -> None:
        super().__init__(0, len(headings))
        self.setObjectName(name)
        self.setAccessibleName(", ".join(headings))
        self.setHorizontalHeaderLabels(list(headings))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        header.setHighlightSections(False)
        self.setMinimumHeight(self.fontMetrics().lineSpacing() * (rows_shown + 1) * 2 - 20)

    def show_rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Show these rows; what was selected stays selected if it is still there."""
        selected = self.selected_key()
        self.blockSignals(True)
        self.setRowCount(len(rows))
        self.clearSelection()
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.setItem(number, column, item)
            if row[0] == selected:
                self.selectRow(number)
        self.blockSignals(False)
        self.itemSelectionChanged.emit()

    def selected_key(self) -> str:
        """Return the key of the row that is selected, or nothing."""
        chosen = self.selectionModel().selectedRows() if self.selectionModel() is not None else []
        return cast("str", chosen[0].data()) if chosen else ""

    def keys(self) -> list[str]:
        """Return the keys of all rows."""
        return [item.text() for row in range(self.rowCount()) if (item := self.item(row, 0)) is not None]
