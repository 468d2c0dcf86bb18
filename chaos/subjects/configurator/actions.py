"""Every action of every page under every fault, judged by what the person sees (H3.2).

* The actions are not listed here: they are the page's buttons. What each asks the service for is learned by pressing it
  while all is well; then it is pressed again and again, each time with another of its requests failing in another way.
* The person must see: an error, with what failed, why and what to do; no success; a page that is idle again and shows
  what it showed. When all is well again the same action must succeed.
* Buttons are pressed and fields are typed into with the mouse and the keyboard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QTableWidget

from chaos.faults.ipc_answers import ERROR_WORDS, Fault
from chaos.subjects.configurator.stage import SHORT, Stage, chosen
from pywats_reliability.gui.fields import CheckField, Field, TextField
from pywats_reliability.gui.page import Page

LOCAL = {("Log", "clear"), ("About", "copy"), ("About", "diagnose")}
"""Buttons that ask the service for nothing; the diagnosis starts a program, and has tests of its own."""
_TYPED = {
    "new_name": "two", "new_module_path": "a.b:D", "new_watch_folder": "in/two", "preset_key": "two",
    "preset_name": "Station 2",
}  # fmt: skip


async def every_action_under_every_fault(stage: Stage, *, pages: Sequence[str] = (), only: str = "") -> dict[str, Any]:
    """Press every button of the pages (or the ``only`` one) under every fault; return what was shown wrongly."""
    wrong: list[str] = []
    tried, actions = 0, []
    for kind in chosen(pages):
        for name in [only] if only else await _actions_of(stage, kind):
            requests, words = await _when_all_is_well(stage, kind, name)
            wrong += words
            actions.append(f"{kind.name}.{name}")
            for number, fault in _cases(requests):
                tried += 1
                wrong += await _under_fault(stage, kind, name, number, fault)
    fired = {str(fault): count for fault, count in stage.service.fired.items()}
    return {"actions": actions, "tried": tried, "fired": fired, "wrong": wrong + stage.complaints}


async def _actions_of(stage: Stage, kind: type[Page]) -> list[str]:
    page = stage.open(kind)
    await stage.idle(page)
    names = [b.objectName() for b in page.findChildren(QPushButton) if b.property("action")]
    await stage.dispose(page)
    return [name for name in names if (kind.name, name) not in LOCAL]


def _cases(requests: list[str]) -> Iterator[tuple[int, Fault]]:
    """Yield each request of an action with each fault; a request that is repeated is failed at its first time."""
    for number, command in enumerate(requests):
        if command not in requests[:number]:
            yield from ((number, fault) for fault in Fault if fault is not Fault.EMPTY or _has_parts(command))


def _has_parts(command: str) -> bool:
    """Tell whether an empty object is no good answer to a command: it is one where only the success counts."""
    return command not in ("start_converter", "stop_converter")


async def _when_all_is_well(stage: Stage, kind: type[Page], name: str) -> tuple[list[str], list[str]]:
    """Return what an action asks for when all is well, and what is wrong with what is seen then."""
    page = await _ready(stage, kind, name)
    await _press(stage, page, name)
    requests = list(stage.service.asked)
    wrong = [] if requests else ["it asks for nothing: list it as local"]
    wrong += [] if _is_well(page, name) else [f"all was well, and it shows: {page.banner.words() or 'nothing'}"]
    await stage.dispose(page)
    return requests, [f"{kind.name}.{name}: {words}" for words in wrong]


async def _under_fault(stage: Stage, kind: type[Page], name: str, number: int, fault: Fault) -> list[str]:
    page = await _ready(stage, kind, name)
    shown = _shown(page)
    fired = stage.service.fired[fault]
    stage.service.misbehave(lambda n, _: fault if n == number else None)
    if fault is Fault.SILENT:
        page.place = replace(stage.place, limits=SHORT)
    await _press(stage, page, name)
    page.place = stage.place
    wrong = [] if stage.service.fired[fault] > fired else ["the fault never fired"]
    wrong += _told_badly(page, fault)
    if number == 0 and _shown(page) != shown:
        wrong.append("it shows something else than before, though it was told nothing")
    if QApplication.activeModalWidget() is not None:
        wrong.append("something modal stands in the way")
    stage.service.behave()
    stage.backend.reset()
    await _mended(stage, page, name, wrong)
    await stage.dispose(page)
    return [f"{kind.name}.{name}, request {number} {fault}: {words}" for words in wrong]


def _told_badly(page: Page, fault: Fault) -> list[str]:
    """Return what is wrong with what the person sees of a failure."""
    banner = page.banner
    if page.is_busy or page.busy.isVisible():
        return ["it is still busy"]
    if not banner.isVisible() or banner.kind != "error":
        return [f"no error is seen; {banner.kind or 'nothing'}: {banner.words()!r}"]
    wrong = [f"{part.objectName()} is empty" for part in (banner.what, banner.why, banner.to_do) if not part.text()]
    if fault is Fault.ERROR and ERROR_WORDS.partition(";")[0] not in banner.why.text():
        wrong.append(f"the service's own words are not shown, but {banner.why.text()!r}")
    if not banner.copy.isVisible():
        wrong.append("no details can be copied")
    return wrong


async def _mended(stage: Stage, page: Page, name: str, wrong: list[str]) -> None:
    """Press the same button again, all being well: it must succeed now."""
    button = _button(page, name)
    if not button.isEnabled():
        _prepare(page, name)
    if not button.isEnabled():
        wrong.append("its button cannot be pressed again")
        return
    await _press(stage, page, name)
    if not _is_well(page, name):
        wrong.append(f"all is well again, and it shows: {page.banner.words() or 'nothing'}")


def _is_well(page: Page, name: str) -> bool:
    """Tell whether a success is seen; what only loads shows none, but no error either."""
    if name in ("refresh", "revert"):
        return page.banner.kind == "" and not page.banner.isVisible()
    return page.banner.kind == "success" and page.banner.isVisible()


async def _ready(stage: Stage, kind: type[Page], name: str) -> Page:
    """Return a page that has loaded and whose button can be pressed."""
    stage.service.behave()
    stage.backend.reset()
    page = stage.open(kind)
    await stage.idle(page)
    assert page.banner.kind == "", f"{kind.name} could not load: {page.banner.words()}"
    _prepare(page, name)
    assert _button(page, name).isEnabled(), f"{kind.name}.{name} cannot be pressed"
    stage.service.behave()
    return page


def _prepare(page: Page, name: str) -> None:
    """Do by hand what a button needs: choose a row, type into the fields."""
    for table in page.findChildren(QTableWidget):
        if (first := table.item(0, 0)) is not None and table.isVisible():
            place = table.visualItemRect(first).center()
            QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    for line in page.findChildren(QLineEdit):
        if (text := _TYPED.get(line.objectName())) and not line.text():
            QTest.keyClicks(line, text)
    if name in ("save", "revert", "test") and page.banner.kind == "":
        _edit(page)


def _edit(page: Page) -> None:
    """Change the first field of a form that can be typed into; where there is none, tick its first box."""
    fields = page.findChildren(Field)
    field = next((f for f in fields if isinstance(f, TextField)), None)
    if field is None:
        box = next(f for f in fields if isinstance(f, CheckField)).box
        QTest.keyClick(box, Qt.Key.Key_Space)
        return
    field.line.setFocus()
    field.line.selectAll()
    QTest.keyClicks(field.line, "https://other.example.com" if field.setting.name.endswith("address") else "77")


async def _press(stage: Stage, page: Page, name: str) -> None:
    button = _button(page, name)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    if name == "discard":
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    await asyncio.sleep(0)
    await stage.idle(page)


def _button(page: Page, name: str) -> QPushButton:
    found = page.findChild(QPushButton, name)
    assert isinstance(found, QPushButton), f"{page!r} has a button {name}"
    return found


def _shown(page: Page) -> list[str]:
    """Return what tables and figures show, as the person sees it."""
    texts = [label.text() for label in page.findChildren(QLabel) if label.objectName() == "figure"]
    texts += [f"{f.setting.name} {f.value()!r} {f.isEnabled()}" for f in page.findChildren(Field)]
    for table in page.findChildren(QTableWidget):
        for row in range(table.rowCount()):
            items = (table.item(row, column) for column in range(table.columnCount()))
            texts.append(" | ".join(item.text() for item in items if item is not None))
    return texts
