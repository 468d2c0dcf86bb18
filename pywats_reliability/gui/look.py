"""How the configurator looks at the moment: light or dark, and how large its text is."""

from __future__ import annotations

from PySide6.QtCore import QDir, QPoint, Qt, QTemporaryDir
from PySide6.QtGui import QColor, QImage, QPainter, QPen
from PySide6.QtWidgets import QApplication

from pywats_reliability.gui.style import DARK, LIGHT, ZOOM_MAX, ZOOM_MIN, ZOOM_STEP, style_sheet


class Look:
    """The look of ``application``; the system's choice of light or dark counts until the person makes one."""

    def __init__(self, application: QApplication, *, is_dark: bool | None = None, zoom: float = 1.0) -> None:
        self._application, self.zoom = application, zoom
        self._folder = QTemporaryDir()  # The style sheet takes its images from files; this goes with the look.
        scheme = application.styleHints().colorScheme()
        self.is_dark = scheme is Qt.ColorScheme.Dark if is_dark is None else is_dark
        self._apply()

    def use(self, *, is_dark: bool) -> None:
        """Be light or dark from now on."""
        self.is_dark = is_dark
        self._apply()

    def zoom_by(self, steps: int) -> None:
        """Make the text larger or smaller by 25 % each, within 100 to 200 %."""
        self.zoom = min(ZOOM_MAX, max(ZOOM_MIN, self.zoom + steps * ZOOM_STEP))
        self._apply()

    def _apply(self) -> None:
        colours = DARK if self.is_dark else LIGHT
        images = {
            "check": self._drawn("check", colours.accent_text, [QPoint(7, 17), QPoint(13, 23), QPoint(25, 9)]),
            "arrow": self._drawn("arrow", colours.soft, [QPoint(6, 11), QPoint(16, 21), QPoint(26, 11)]),
        }
        self._application.setStyleSheet(style_sheet(colours, self.zoom, images))

    def _drawn(self, name: str, colour: str, line: list[QPoint]) -> str:
        """Return the file with a line drawn in a colour."""
        path = QDir(self._folder.path()).filePath(f"{name}-{colour[1:]}.png")
        image = QImage(32, 32, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(colour), 5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawPolyline(line)
        painter.end()
        image.save(path)
        return path
