"""The strip in a page that says how an action ended: an error to act on, a warning, or a success that did happen."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from pywats_reliability.gui.trouble import Trouble

ERROR, WARNING, SUCCESS = "error", "warning", "success"


class Banner(QFrame):
    """Shown while there is something to say; ``kind`` is what it says at the moment, empty when it is hidden."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self.kind, self._detail = "", ""
        self.what = _words("banner_what", self)
        self.why = _words("banner_why", self)
        self.to_do = _words("banner_to_do", self)
        self.copy = QPushButton(self.tr("Copy details"), self)
        self.copy.setObjectName("banner_copy")
        self.dismiss = QPushButton(self.tr("Dismiss"), self)
        self.dismiss.setObjectName("banner_dismiss")
        layout = QGridLayout(self)
        for row, label in enumerate((self.what, self.why, self.to_do)):
            layout.addWidget(label, row, 0)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self.copy)
        buttons.addWidget(self.dismiss)
        layout.addLayout(buttons, 3, 0)
        layout.setContentsMargins(14, 10, 14, 10)
        layout.setVerticalSpacing(4)
        self.hide()

    def show_trouble(self, trouble: Trouble, kind: str = ERROR) -> None:
        """Show what failed, why and what to do."""
        self._detail = trouble.detail
        to_do = self.tr("What to do: {}").format(trouble.to_do)
        self._show(kind, trouble.what, trouble.why, to_do)

    def show_success(self, words: str) -> None:
        """Show that something was done."""
        assert words, "a success says what was done"
        self._detail = ""
        self._show(SUCCESS, words, "", "")

    def show_warning(self, words: str) -> None:
        """Show what is neither an error nor done."""
        self._detail = words
        self._show(WARNING, words, "", "")

    def clear(self) -> None:
        """Say nothing any more."""
        self.kind, self._detail = "", ""
        for label in (self.what, self.why, self.to_do):
            label.clear()
        self.hide()

    def copy_details(self) -> None:
        """Put the details on the clipboard."""
        QGuiApplication.clipboard().setText(self._detail)

    def words(self) -> str:
        """Return everything that it shows, for tests and screen readers."""
        return "\n".join(label.text() for label in (self.what, self.why, self.to_do) if label.text())

    def _show(self, kind: str, *texts: str) -> None:
        self.kind = kind
        for label, text in zip((self.what, self.why, self.to_do), texts, strict=True):
            label.setText(text)
            label.setVisible(bool(text))
        self.copy.setVisible(bool(self._detail))
        self.setProperty("kind", kind)
        self.setAccessibleName(self.words())
        self.style().unpolish(self)
        self.style().polish(self)
        self.show()


def _words(name: str, parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setObjectName(name)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return label
