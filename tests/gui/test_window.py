"""The window: it waits for a service, finds it again, hides what is to be hidden, and closes without a question."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from chaos.subjects.configurator.stage import Stage, play
from pywats_reliability.errors import ProgramFailedError
from pywats_reliability.gui.form_page import FormPage
from pywats_reliability.gui.pages import PAGES
from pywats_reliability.gui.program import output_of
from pywats_reliability.gui.window import MainWindow
from tests.gui.desk import Desk, at_a_desk


def test_it_says_that_the_service_is_down_and_recovers_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        page = cast("FormPage", await desk.page("Location"))
        assert "expected a running service" in page.banner.words()
        await desk.until(lambda: desk.window.link.is_up is False, "the link down")
        assert "cannot be reached" in desk.window.link_label.text()
        await desk.start_service(location="Hall D")
        await desk.until(lambda: desk.window.link.is_up is True, "the link up")
        await desk.until(lambda: page.banner.kind == "", "the error gone")
        assert page.fields["location"].value() == "Hall D"

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_service_that_goes_is_told_in_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        await desk.start_service()
        page = await desk.page("Dashboard")
        assert page.banner.kind == ""
        await desk.stop_service()
        await desk.until(lambda: page.banner.kind == "error", "the error")
        await desk.until(lambda: desk.window.link.is_up is False, "the link down")

    at_a_desk(tmp_path, monkeypatch, story)


def test_pages_are_chosen_by_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        QTest.keyClick(desk.window.navigation, Qt.Key.Key_Down)
        assert desk.window.stack.currentWidget() is desk.window.pages[PAGES[1].name]
        await desk.idle(desk.window.pages[PAGES[1].name])

    at_a_desk(tmp_path, monkeypatch, story)


def test_pages_that_the_configuration_hides_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        row = next(number for number, kind in enumerate(PAGES) if kind.name == "Location")
        await desk.start_service(show_location_tab=False)
        desk.window.link.suspect()
        await desk.until(lambda: desk.window.navigation.item(row).isHidden(), "the page hidden")

    at_a_desk(tmp_path, monkeypatch, story)


def test_the_text_grows_by_keys_up_to_twice_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        desk.window.activateWindow()
        await desk.until(desk.window.isActiveWindow, "the window active")
        for _ in range(6):
            QTest.keyClick(desk.window, Qt.Key.Key_Plus, Qt.KeyboardModifier.ControlModifier)
        assert desk.window._look.zoom == 2.0
        await asyncio.sleep(0)

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_failing_clean_up_of_one_page_keeps_no_other_from_its_own(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        window = MainWindow(stage.place.config_path, stage.place.data, stage.look(), stage.place.limits)
        window.start()
        bad, good = window.open_page("Setup"), window.open_page("Location")

        def fails() -> None:
            raise OSError("planted")

        bad.holdings.scope.push("a bad step", fails)
        window.close()
        await window.ended.wait()
        assert [failure for failure in window.failures if "page Setup" in failure and "a bad step" in failure]
        assert not bad.holdings.is_open
        assert not good.holdings.is_open
        window.deleteLater()

    play(tmp_path, story)


def test_a_task_that_ignores_its_cancellation_does_not_hold_up_the_window(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        window = MainWindow(stage.place.config_path, stage.place.data, stage.look(), stage.place.limits)
        window.start()
        free = asyncio.Event()

        async def stubborn() -> None:
            while not free.is_set():
                try:
                    await free.wait()
                except asyncio.CancelledError:
                    continue

        task = window.open_page("Location").holdings.run("being stubborn", stubborn())
        assert task is not None
        await asyncio.sleep(0)
        window.close()
        async with asyncio.timeout(10):
            await window.ended.wait()
        assert [failure for failure in window.failures if "page Location" in failure]
        free.set()
        await stage.until(task.done, "the end of what was left behind")
        window.deleteLater()

    play(tmp_path, story)


def test_cancel_says_that_the_effect_is_not_known(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.service.go_away()
        page = stage.open(PAGES[0])
        never = asyncio.Event()

        async def waits() -> str:
            await never.wait()
            return "done"

        await stage.idle(page)
        page.act("Waiting", waits)
        await asyncio.sleep(0)
        cancel = page.busy.cancel
        assert cancel.isVisible()
        assert not page.findChild(QPushButton, "refresh").isEnabled()  # type: ignore[union-attr]
        QTest.mouseClick(cancel, Qt.MouseButton.LeftButton)
        await stage.idle(page)
        assert page.banner.kind == "warning"
        assert "not known" in page.banner.words()
        await stage.dispose(page)

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("words", "found"), [(["/no/such/program"], "it to start"), (["/bin/sh", "-c", "echo no >&2; exit 9"], "9 (no)")]
)
def test_a_program_that_fails_is_an_error(tmp_path: Path, words: list[str], found: str) -> None:
    async def story(stage: Stage) -> None:
        with pytest.raises(ProgramFailedError) as failure:
            await output_of(stage.place.link, "program", words)
        assert found in str(failure.value)

    play(tmp_path, story)


def test_nothing_modal_is_ever_shown() -> None:
    sources = [path.read_text() for path in (Path(__file__).parents[2] / "pywats_reliability/gui").rglob("*.py")]
    assert not [
        word for word in ("QMessageBox", "QDialog", ".exec()", "QInputDialog") for text in sources if word in text
    ]
