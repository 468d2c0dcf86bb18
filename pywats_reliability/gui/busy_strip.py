"""The strip in a page that says what it is doing, and lets the person cancel it; it keeps its place when it is idle."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget


class BusyStrip(QWidget):
    """Shown while an action runs."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("busy")
        self.what = QLabel(self)
        self.what.setObjectName("busy_what")
        self.bar = QProgressBar(self)
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.cancel = QPushButton(self.tr("Cancel"), self)
        self.cancel.setObjectName("cancel")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.what)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.cancel)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)
        self.hide()

    def begin(self, what: str) -> None:
        """Show that ``what`` is going on."""
        self.what.setText(self.tr("{} …").format(what))
        self.setAccessibleName(self.what.text())
        self.show()

    def end(self) -> None:
        """Show nothing."""
        self.hide()
