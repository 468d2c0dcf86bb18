"""Setup: what this station is called, and the presets an operator can choose from.

* The page watches the configuration file: what is changed there, by hand or by another program, is shown at once; what
  was typed here and not saved stays.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout

from pywats_reliability.config import StationPreset
from pywats_reliability.errors import AnswerMalformedError, ConfigError
from pywats_reliability.gui.form_page import FormPage, Section
from pywats_reliability.gui.rows import Rows
from pywats_reliability.gui.service_answers import object_in, part_of


class SetupPage(FormPage):
    """The station and its presets."""

    name = "Setup"
    prose = frozenset({"station_description"})

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("Setup")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("What this station is called in reports, and the presets that operators choose from.")

    def sections(self) -> tuple[Section, ...]:
        """Return the settings of the station."""
        station = (
            ("station_name_source", self.tr("Name comes &from")),
            ("station_name", self.tr("Station &name")),
            ("location", self.tr("&Location")),
            ("purpose", self.tr("&Purpose")),
            ("station_description", self.tr("&Description")),
            ("include_station_in_reports", self.tr("Put the station into every &report")),
        )
        return ((self.tr("Station"), station),)

    def build_more(self, content: QVBoxLayout) -> None:
        """Make the presets."""
        frame = QFrame()
        frame.setObjectName("card")
        box = QVBoxLayout(frame)
        box.setContentsMargins(16, 12, 16, 14)
        heading = QLabel(self.tr("Presets"))
        heading.setObjectName("section")
        headings = [self.tr("Key"), self.tr("Name"), self.tr("Location"), self.tr("Purpose"), self.tr("Active")]
        self.presets = Rows("presets", headings, rows_shown=3)
        box.addWidget(heading)
        box.addWidget(self.presets)
        box.addLayout(self._new_preset())
        row = QHBoxLayout()
        self.use_button = self.action_button("use_preset", self.tr("&Use"), self.use_preset)
        self.remove_button = self.action_button("remove_preset", self.tr("Re&move"), self.remove_preset)
        for button in (self.use_button, self.remove_button):
            row.addWidget(button)
        row.addStretch()
        box.addLayout(row)
        content.addWidget(frame)
        self.holdings.connect("preset selected", self.presets.itemSelectionChanged, self.enable_actions)
        self.holdings.watch_file(self.place.config_path, self._file_changed)

    async def load(self) -> str:
        """Show the station and the presets in force."""
        answer = await self.service.request("get_config")
        self._show_presets(answer, "get_config")
        self.show_settings(answer, command="get_config", keep_edit=True)
        return ""

    def add_preset(self) -> None:
        """Add the preset that was typed."""
        given: dict[str, Any] = {
            "key": self.preset_key.text(),
            "name": self.preset_name.text(),
            "location": self.preset_place.text(),
        }
        try:
            StationPreset(**given)
        except ConfigError as error:
            self.preset_error.setText(str(error))
            self.preset_error.show()
            return
        self.preset_error.hide()
        self.act(self.tr("Adding preset {}").format(given["key"]), lambda: self._add_preset(given))

    def use_preset(self) -> None:
        """Make the chosen preset the active one, with its name, location and purpose."""
        key = self.presets.selected_key()
        self.act(self.tr("Choosing preset {}").format(key), lambda: self._use_preset(key))

    def remove_preset(self) -> None:
        """Remove the chosen preset."""
        key = self.presets.selected_key()
        self.act(self.tr("Removing preset {}").format(key), lambda: self._remove_preset(key))

    def enable_actions(self) -> None:
        """Use and Remove need a chosen preset."""
        super().enable_actions()
        if hasattr(self, "use_button"):
            is_chosen = bool(self.presets.selected_key()) and not self.is_busy
            self.use_button.setEnabled(is_chosen)
            self.remove_button.setEnabled(is_chosen)

    def _new_preset(self) -> QVBoxLayout:
        self.preset_key, self.preset_name, self.preset_place = QLineEdit(), QLineEdit(), QLineEdit()
        row = QHBoxLayout()
        parts = (("preset_key", self.preset_key, self.tr("Key")), ("preset_name", self.preset_name, self.tr("Name")),
                 ("preset_location", self.preset_place, self.tr("Location")))  # fmt: skip
        for name, line, words in parts:
            line.setObjectName(name)
            line.setPlaceholderText(words)
            line.setAccessibleName(self.tr("New preset: {}").format(words))
            row.addWidget(line, 1)
        row.addWidget(self.action_button("add_preset", self.tr("Add"), self.add_preset))
        self.preset_error = QLabel()
        self.preset_error.setObjectName("field_error")
        self.preset_error.setWordWrap(True)
        self.preset_error.hide()
        box = QVBoxLayout()
        box.addLayout(row)
        box.addWidget(self.preset_error)
        return box

    def _show_presets(self, answer: object, command: str) -> list[dict[str, Any]]:
        """Show the presets that an answer holds, and return them. Raises ``AnswerMalformedError``."""
        active = part_of(command, answer, "active_station_key", str)
        presets = [dict(object_in(command, item)) for item in part_of(command, answer, "station_presets", list)]
        rows = [
            (part_of(command, item, "key", str), part_of(command, item, "name", str),
             part_of(command, item, "location", str), part_of(command, item, "purpose", str),
             self.tr("active") if item["key"] == active else "")
            for item in presets
        ]  # fmt: skip
        self.presets.show_rows(rows)
        return presets

    async def _known(self) -> list[dict[str, Any]]:
        return self._show_presets(await self.service.request("get_config"), "get_config")

    async def _saved(self, settings: dict[str, Any]) -> list[str]:
        """Save and return the keys of the presets that are in force now."""
        answer = await self.service.request("set_config", {"settings": settings})
        self._show_presets(answer, "set_config")
        self.show_settings(answer, command="set_config", keep_edit=True)
        return self.presets.keys()

    async def _add_preset(self, given: dict[str, Any]) -> str:
        known = await self._known()
        if given["key"] not in await self._saved({"station_presets": [*known, given]}):
            raise AnswerMalformedError("set_config", f"preset {given['key']} in force", "none")
        for line in (self.preset_key, self.preset_name, self.preset_place):
            line.clear()
        return self.tr("Added: preset {}").format(given["key"])

    async def _remove_preset(self, key: str) -> str:
        left = [preset for preset in await self._known() if preset["key"] != key]
        if key in await self._saved({"station_presets": left}):
            raise AnswerMalformedError("set_config", f"preset {key} gone", "it in force")
        return self.tr("Removed: preset {}").format(key)

    async def _use_preset(self, key: str) -> str:
        preset = next((item for item in await self._known() if item["key"] == key), None)
        if preset is None:
            raise AnswerMalformedError("get_config", f"preset {key}", "none of that key any more")
        station = {"station_name": preset["name"], "location": preset["location"], "purpose": preset["purpose"]}
        changes = {**station, "station_name_source": "manual", "active_station_key": key}
        answer = await self.service.request("set_config", {"settings": changes})
        self._require_in_force(changes, answer)
        self._show_presets(answer, "set_config")
        self.show_settings(answer, command="set_config", keep_edit=False)
        return self.tr("In force: preset {}").format(key)

    def _file_changed(self, _: str) -> None:
        self.reload()
