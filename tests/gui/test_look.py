"""What can be measured of the look: contrast, labels, keyboard order, translations, and room for every word."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt, QTranslator
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLabel, QLineEdit, QPlainTextEdit, QWidget

from chaos.subjects.configurator.stage import Stage, play
from pywats_reliability.gui.application import application
from pywats_reliability.gui.fields import CheckField, Field
from pywats_reliability.gui.look import Look
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.pages import PAGES
from pywats_reliability.gui.style import DARK, LIGHT, Colours, contrast
from pywats_reliability.gui.window import MainWindow

OPEN, CLOSE = "⟦", "⟧"


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_can_be_read_on_its_ground(colours: Colours) -> None:
    pairs = [
        (colours.text, colours.ground), (colours.text, colours.card), (colours.text, colours.side),
        (colours.soft, colours.ground), (colours.soft, colours.card), (colours.accent_text, colours.accent),
        (colours.error, colours.error_ground), (colours.error, colours.card), (colours.error, colours.side),
        (colours.warning, colours.warning_ground), (colours.success, colours.success_ground),
        (colours.success, colours.side), (colours.text, colours.error_ground),
    ]  # fmt: skip
    assert [pair for pair in pairs if contrast(*pair) < 4.5] == []


def in_a_window(folder: Path, look: Callable[[Page], list[str]], *, zoom: float = 1.0, size: tuple[int, int]) -> None:
    """Hold each page of a window of that size against ``look``, which returns what is wrong."""

    async def story(stage: Stage) -> list[str]:
        window = MainWindow(
            stage.place.config_path, stage.place.data, Look(application(), is_dark=False, zoom=zoom), stage.place.limits
        )
        window.start()
        window.resize(*size)
        window.show()
        wrong = []
        for kind in PAGES:
            page = window.open_page(kind.name)
            await stage.idle(page)
            QApplication.processEvents()
            wrong += [f"{kind.name}: {words}" for words in look(page)]
        window.close()
        await window.ended.wait()
        window.deleteLater()
        return wrong

    assert play(folder, story) == []


def seen(page: Page) -> Iterator[QWidget]:
    yield from (widget for widget in page.findChildren(QWidget) if widget.isVisible())


def without_room(page: Page) -> list[str]:
    """Return the words that are cut off."""
    wrong = []
    for widget in seen(page):
        if isinstance(widget, QLabel) and widget.text() and not widget.wordWrap():
            is_cut = widget.sizeHint().width() > widget.width() + 1
        elif isinstance(widget, QAbstractButton) and widget.text():
            is_cut = widget.sizeHint().width() > widget.width() + 1 or widget.height() < widget.sizeHint().height() - 1
        elif isinstance(widget, QLabel) and widget.wordWrap():
            is_cut = widget.heightForWidth(widget.width()) > widget.height() + 1
        else:
            is_cut = isinstance(widget, QLineEdit) and widget.height() < widget.minimumSizeHint().height() - 1
        if is_cut:
            wrong.append(f"{type(widget).__name__} {widget.objectName()} {getattr(widget, 'text', str)()!r} is cut off")
    return wrong


@pytest.mark.parametrize(("zoom", "size"), [(1.0, (800, 600)), (2.0, (1600, 1200)), (2.0, (1000, 720))])
def test_every_word_has_room(zoom: float, size: tuple[int, int], tmp_path: Path) -> None:
    in_a_window(tmp_path, without_room, zoom=zoom, size=size)


def without_words(page: Page) -> list[str]:
    """Return the editors that nothing names: neither a label that is tied to them nor an accessible name."""
    tied = {label.buddy() for label in page.findChildren(QLabel) if label.buddy() is not None}
    editors = [w for kind in (QLineEdit, QComboBox, QPlainTextEdit) for w in page.findChildren(kind)]
    nameless = [w for w in editors if w not in tied and not w.accessibleName()]
    fields = [f for f in page.findChildren(Field) if not isinstance(f, CheckField) and f.editor not in tied]
    return [f"{w.objectName()} has no label" for w in [*nameless, *fields] if w.objectName() != "qt_spinbox_lineedit"]


def test_every_field_is_tied_to_a_label(tmp_path: Path) -> None:
    in_a_window(tmp_path, without_words, size=(1000, 720))


def out_of_order(page: Page) -> list[str]:
    """Return where the tab key would go back up the page."""
    order: list[QWidget] = []
    widget: QWidget | None = page.nextInFocusChain()
    while widget is not None and widget is not page and len(order) < 500:
        if page.isAncestorOf(widget) and widget.isVisible() and widget.isEnabled() and _takes_tab(widget):
            order.append(widget)
        widget = widget.nextInFocusChain()
    places = [(w.mapTo(page, QPoint(0, 0)).y(), w.mapTo(page, QPoint(0, 0)).x(), w.objectName()) for w in order]
    steps = itertools.pairwise(places)
    return [f"from {one[2]} the tab key goes up to {two[2]}" for one, two in steps if two[0] < one[0] - 40]


def _takes_tab(widget: QWidget) -> bool:
    return bool(widget.focusPolicy().value & Qt.FocusPolicy.TabFocus.value)


def test_the_tab_key_goes_down_the_page(tmp_path: Path) -> None:
    in_a_window(tmp_path, out_of_order, size=(1000, 720))


class Bracketed(QTranslator):
    """A language in which every text stands in brackets."""

    def translate(self, context: str, text: str, disambiguation: str | None = None, n: int = -1) -> str:
        """Return the text in brackets."""
        del context, disambiguation, n
        return f"{OPEN}{text}{CLOSE}" if text else ""


def untranslated(page: Page) -> list[str]:
    """Return the words that stand in no brackets."""
    data = ("figure", "version_", "banner_", "reasons", "field_error")  # What the service says is not ours.
    labels: list[QLabel | QAbstractButton] = [*page.findChildren(QLabel), *page.findChildren(QAbstractButton)]
    texts = {
        label.objectName() or label.text(): label.text()
        for label in labels
        if label.text().strip() and label.objectName() not in data and not label.objectName().startswith(data[1])
    }
    return [f"{name}: {text!r} cannot be translated" for name, text in texts.items() if OPEN not in text]


def test_every_word_of_ours_can_be_translated(tmp_path: Path) -> None:
    app = application()
    language = Bracketed(app)
    app.installTranslator(language)
    try:
        in_a_window(tmp_path, untranslated, size=(1000, 720))
    finally:
        app.removeTranslator(language)
