"""The pages do their job with a real service: by mouse and keys, and what they show is what is so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QPushButton

from pywats_reliability.gui.form_page import FormPage
from pywats_reliability.gui.pages import PAGES
from pywats_reliability.gui.pages.converters import ConvertersPage
from pywats_reliability.gui.pages.dashboard import DashboardPage
from pywats_reliability.gui.pages.log import LogPage
from pywats_reliability.gui.pages.setup import SetupPage
from tests.gui.desk import Desk, at_a_desk
from tests.service.service_world import answering
from tests.service.store_world import make_report


def test_every_page_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        await desk.start_service(log_file="client.log")
        (desk.folder / "data" / "client.log").write_text("level=INFO message=started\n")
        for kind in PAGES:
            page = await desk.page(kind.name)
            assert page.banner.kind == "", f"{kind.name}: {page.banner.words()}"

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_setting_is_saved_by_keys_and_stands_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service()
        page = cast("FormPage", await desk.page("Location"))
        desk.fill_in(page, "location", "Hall C")
        assert page.unsaved.isVisible()
        QTest.keyClick(desk.find(page, QPushButton, "save"), Qt.Key.Key_Space)
        await desk.idle(page)
        assert (page.banner.kind, page.unsaved.isVisible()) == ("success", False)
        assert world.service.config.location == "Hall C"
        assert json.loads((desk.folder / "config.json").read_text())["location"] == "Hall C"

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_value_that_does_not_hold_is_told_at_its_field_and_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        await desk.start_service()
        page = cast("FormPage", await desk.page("ProxySettings"))
        desk.fill_in(page, "proxy_port", "eighty")
        field = page.fields["proxy_port"]
        assert field.error.isVisible()
        assert field.error.text().startswith("proxy_port: expected")
        assert field.editor.property("wrong") is True
        await desk.press(page, "save")
        assert page.banner.kind == ""

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_rule_across_fields_is_told_at_the_field_that_the_service_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service()
        page = cast("FormPage", await desk.page("ProxySettings"))
        QTest.keyClicks(desk.find(page, QComboBox, "proxy_mode"), "manual")
        page._edited(page.fields["proxy_mode"])  # A key changes the choice; `activated` comes with the popup only.
        await desk.press(page, "save")
        assert page.fields["proxy_host"].error.text().startswith("proxy_host: expected a value")
        assert page.banner.kind == "error"
        assert world.service.config.proxy_mode == "system"

    at_a_desk(tmp_path, monkeypatch, story)


def test_what_was_typed_stays_when_the_page_loads_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service()
        page = cast("FormPage", await desk.page("Location"))
        desk.fill_in(page, "location", "half of a na")
        await world.service.change_settings({"auto_detect_location": True})
        page.reload()
        await desk.idle(page)
        assert page.fields["location"].value() == "half of a na"
        assert desk.find(page, QCheckBox, "auto_detect_location").isChecked()

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_secret_is_replaced_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service(api_token="b2xkOm9sZA==")
        page = cast("FormPage", await desk.page("Connection"))
        assert page.fields["api_token"].value() == ""
        desk.fill_in(page, "api_token", "bmV3Om5ldw==")
        await desk.press(page, "save")
        assert world.service.config.api_token == "bmV3Om5ldw=="
        assert "bmV3Om5ldw==" not in page.banner.words()

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_converter_is_added_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service()
        page = cast("ConvertersPage", await desk.page("Converters"))
        desk.fill_in(page, "new_name", "csv")
        await desk.press(page, "add")
        assert "module_path" in page.form_error.text()
        desk.fill_in(page, "new_module_path", "pywats_reliability.converters.csv_log:CSVLog")
        desk.fill_in(page, "new_watch_folder", str(desk.folder / "in"))
        await desk.press(page, "add")
        assert page.rows.keys() == ["csv"] == [c.name for c in world.service.config.converters]
        page.rows.selectRow(0)
        await desk.press(page, "remove")
        assert page.rows.keys() == [] == list(world.service.config.converters)

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_preset_is_added_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service()
        page = cast("SetupPage", await desk.page("Setup"))
        for part, text in (("key", "one"), ("name", "Station 1"), ("location", "Hall A")):
            desk.fill_in(page, f"preset_{part}", text)
        await desk.press(page, "add_preset")
        page.presets.selectRow(0)
        await desk.press(page, "use_preset")
        config = world.service.config
        assert (config.active_station_key, config.station_name, config.location) == ("one", "Station 1", "Hall A")

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_failed_report_is_seen_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service(script=answering(400, "the part number is unknown"))
        page = cast("DashboardPage", await desk.page("Dashboard"))
        await world.service.queue.submit(make_report())
        await desk.until(lambda: page.failed.rowCount() == 1, "the failed report in the table")
        page.failed.selectRow(0)
        await desk.press(page, "retry")
        assert page.banner.kind == "success"

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_report_is_deleted_only_by_the_second_click(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service(script=answering(400))
        page = cast("DashboardPage", await desk.page("Dashboard"))
        await world.service.queue.submit(make_report())
        await desk.until(lambda: page.failed.rowCount() == 1, "the failed report in the table")
        page.failed.selectRow(0)
        await desk.press(page, "discard")
        assert len(world.kept("failed")) == 1
        await desk.press(page, "discard")
        assert world.kept("failed") == []

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_test_report_counts_when_the_server_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service()
        page = await desk.page("Connection")
        await desk.press(page, "upload")
        assert page.banner.kind == "success"
        assert len(world.kept("sent")) == 1

    at_a_desk(tmp_path, monkeypatch, story)


def test_a_test_report_that_the_server_refuses_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        await desk.start_service(script=answering(422, "no such process"))
        page = await desk.page("Connection")
        await desk.press(page, "upload")
        assert page.banner.kind == "error"
        assert "no such process" in page.banner.words()

    at_a_desk(tmp_path, monkeypatch, story)


def test_the_log_is_followed_and_filtered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        await desk.start_service(log_file="client.log")
        log = desk.folder / "data" / "client.log"
        log.write_text("level=INFO message=started\n")
        page = cast("LogPage", await desk.page("Log"))
        with log.open("a") as file:
            file.write("level=ERROR message=bad\n")
        await desk.until(lambda: "bad" in page.lines.toPlainText(), "the new line")
        QTest.keyClicks(page.level, "ERROR")
        assert page.lines.toPlainText() == "level=ERROR message=bad"

    at_a_desk(tmp_path, monkeypatch, story)


def test_an_error_is_copied_with_its_details(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        page = await desk.page("Location")
        assert page.banner.kind == "error"
        QTest.mouseClick(page.banner.copy, Qt.MouseButton.LeftButton)
        assert "IPCConnectionError" in QApplication.clipboard().text()

    at_a_desk(tmp_path, monkeypatch, story)


def test_what_is_not_known_looks_like_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        page = cast("FormPage", await desk.page("Software"))
        assert page.fields["log_level"].value() == ""
        assert not any(field.isEnabled() for field in page.fields.values())
        assert not page.unsaved.isVisible()
        assert not page.save_button.isEnabled()

    at_a_desk(tmp_path, monkeypatch, story)
