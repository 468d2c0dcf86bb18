"""Takes the pictures of the documentation: python -m tests.gui.pictures docs/images."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from PySide6.QtWidgets import QApplication

from chaos.subjects.configurator.stage import Stage, play
from pywats_reliability.gui.application import application
from pywats_reliability.gui.look import Look
from pywats_reliability.gui.pages import PAGES
from pywats_reliability.gui.window import MainWindow

SIZE = (900, 640)


async def _take(stage: Stage, target: Path) -> None:
    look = Look(application(), is_dark=False)
    window = MainWindow(stage.place.config_path, stage.place.data, look, stage.place.limits)
    window.start()
    window.resize(*SIZE)
    window.show()
    for kind in PAGES:
        await stage.idle(window.open_page(kind.name))
        await _save(window, target / f"{kind.name}.png")
    look.use(is_dark=True)
    window.open_page("Dashboard")
    await _save(window, target / "dark.png")
    look.use(is_dark=False)
    await stage.service.go_away()
    await stage.idle(window.open_page("Location"))
    await _save(window, target / "service-down.png")
    window.close()
    await window.ended.wait()
    window.deleteLater()


async def _save(window: MainWindow, path: Path) -> None:
    await asyncio.sleep(0.4)  # Until the busy strip is gone; a picture is no proof of anything.
    QApplication.processEvents()
    window.grab().save(str(path), quality=10)


def main(target: Path) -> None:
    """Take every picture."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder), lambda stage: _take(stage, target))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
