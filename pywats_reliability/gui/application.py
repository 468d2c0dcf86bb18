"""The configurator as a program: one Qt application, one joined loop, one window, and nothing left when it closes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QLocale, QTranslator
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication

from pywats_reliability.gui.availability import require_fonts, require_qt
from pywats_reliability.gui.event_loop import JoinedLoop
from pywats_reliability.gui.look import Look
from pywats_reliability.gui.window import MainWindow

CLEAN, INCOMPLETE = 0, 4
log = logging.getLogger(__name__)


def application(name: str = "pywats-configurator") -> QApplication:
    """Return the process's Qt application, made if there is none. Raises ``GuiUnavailableError`` without fonts."""
    known = QApplication.instance()
    if isinstance(known, QApplication):
        return known
    made = QApplication([name])
    made.setStyle("Fusion")
    made.setQuitOnLastWindowClosed(False)  # The loop ends when everything has been let go of, and not before.
    require_fonts(len(QFontDatabase.families()))
    return made


def load_translation(app: QApplication, folder: Path) -> QTranslator | None:
    """Install ``pywats_<locale>.qm`` from a folder, if there is one for the person's language, and return it."""
    translator = QTranslator(app)
    if not translator.load(QLocale(), "pywats", "_", str(folder)):
        translator.deleteLater()
        return None
    app.installTranslator(translator)
    return translator


def run_configurator(
    config_path: Path, data: Path, environment: Mapping[str, str], *, is_dark: bool | None = None,
    translations: Path | None = None,
) -> int:  # fmt: skip
    """Show the configurator until its window is closed; return 0, or 4 when something could not be let go of.

    Raises ``GuiUnavailableError``.
    """
    require_qt(environment, platform=sys.platform)
    app = application()
    if translations is not None and load_translation(app, translations) is None:
        log.warning("%s has no translation for %s", translations, QLocale().name())
    loop = JoinedLoop(app)
    try:
        failures: list[str] = loop.run_until_complete(_shown(config_path, data, Look(app, is_dark=is_dark)))
    finally:
        loop.close()
    return INCOMPLETE if failures else CLEAN


async def _shown(config_path: Path, data: Path, look: Look) -> list[str]:
    window = MainWindow(config_path, data, look)
    window.start()
    window.show()
    await window.ended.wait()
    failures = window.failures
    window.deleteLater()
    return failures
