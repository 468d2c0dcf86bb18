"""Converters: what turns dropped files into reports: listed, added, started, stopped and removed.

* Adding and removing change the configuration; each is done only when the answer shows it in force.
* A new converter is held against the configuration's own rules before it is sent; the words stand at the form.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QComboBox, QFormLayout, QFrame, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from pywats_reliability.config import SETTINGS, ConverterConfig
from pywats_reliability.errors import AnswerMalformedError, ConfigError
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.rows import Rows
from pywats_reliability.gui.service_answers import Converter, converters_in, object_in, part_of


class ConvertersPage(Page):
    """The converters."""

    name = "Converters"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("Converters")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("What turns the files that testers drop into reports.")

    def build(self, content: QVBoxLayout) -> None:
        """Make the list, its actions and the form for a new one."""
        headings = [self.tr("Name"), self.tr("State"), self.tr("Priority"), self.tr("Watches"), self.tr("Module")]
        self.rows = Rows("converters", headings)
        content.addWidget(self.rows)
        row = QHBoxLayout()
        self.start_button = self.action_button("start", self.tr("&Start"), self.start)
        self.stop_button = self.action_button("stop", self.tr("S&top"), self.stop)
        self.remove_button = self.action_button("remove", self.tr("Re&move"), self.remove)
        self.refresh_button = self.action_button("refresh", self.tr("&Refresh"), self.reload)
        self.chosen_buttons = (self.start_button, self.stop_button, self.remove_button)
        for button in (*self.chosen_buttons, self.refresh_button):
            row.addWidget(button)
        row.addStretch()
        content.addLayout(row)
        content.addWidget(self._new_converter())
        self.holdings.connect("converter selected", self.rows.itemSelectionChanged, self.enable_actions)
        self.enable_actions()

    async def load(self) -> str:
        """Show the converters that the service has, and how they are."""
        converters = converters_in(await self.service.request("get_converters"))
        configured = _configured(await self.service.request("get_config"), "get_config")
        self._show(converters, configured)
        return ""

    def start(self) -> None:
        """Start the chosen converter."""
        self._switch("start_converter", self.tr("Starting {}"), self.tr("{} is started."))

    def stop(self) -> None:
        """Stop the chosen converter; what it is converting is finished first."""
        self._switch("stop_converter", self.tr("Stopping {}"), self.tr("{} is stopped."))

    def remove(self) -> None:
        """Remove the chosen converter from the configuration; its files stay."""
        name = self.rows.selected_key()
        self.act(self.tr("Removing {}").format(name), lambda: self._remove(name))

    def add(self) -> None:
        """Add the converter that was typed."""
        given = self._given()
        try:
            ConverterConfig(**given)
        except ConfigError as error:
            self.form_error.setText(str(error))
            self.form_error.show()
            return
        self.form_error.hide()
        self.act(self.tr("Adding {}").format(given["name"]), lambda: self._add(given))

    def enable_actions(self) -> None:
        """Start, Stop and Remove need a chosen converter."""
        super().enable_actions()
        is_chosen = bool(self.rows.selected_key()) and not self.is_busy
        for button in self.chosen_buttons:
            button.setEnabled(is_chosen)

    def _switch(self, command: str, doing: str, done: str) -> None:
        name = self.rows.selected_key()

        async def work() -> str:
            object_in(command, await self.service.request(command, {"name": name}))
            converters = converters_in(await self.service.request("get_converters"))
            wanted = command == "start_converter"
            found = next((c for c in converters if c.name == name), None)
            if found is None or found.is_enabled is not wanted:
                state = "none of that name" if found is None else f"it {'on' if found.is_enabled else 'off'}"
                raise AnswerMalformedError(command, f"{name} to be {'on' if wanted else 'off'} now", state)
            self._show(converters, _configured(await self.service.request("get_config"), "get_config"))
            return done.format(name)

        self.act(doing.format(name), work)

    async def _remove(self, name: str) -> str:
        known = _configured(await self.service.request("get_config"), "get_config")
        left = [item for item in known if item["name"] != name]
        now = await self._saved(left)
        if any(item["name"] == name for item in now):
            raise AnswerMalformedError("set_config", f"{name} gone", "it in force")
        return self.tr("Removed: {}").format(name)

    async def _add(self, given: dict[str, Any]) -> str:
        known = _configured(await self.service.request("get_config"), "get_config")
        now = await self._saved([*known, given])
        if not any(item["name"] == given["name"] for item in now):
            raise AnswerMalformedError("set_config", f"{given['name']} in force", "none of that name")
        for line in self.lines.values():
            line.clear()
        return self.tr("Added: {}").format(given["name"])

    async def _saved(self, converters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = await self.service.request("set_config", {"settings": {"converters": converters}})
        now = _configured(answer, "set_config")
        self._show(converters_in(await self.service.request("get_converters")), now)
        return now

    def _show(self, converters: tuple[Converter, ...], configured: list[dict[str, Any]]) -> None:
        watched = {item["name"]: item for item in configured}
        states = {True: self.tr("on"), False: self.tr("off")}
        self.rows.show_rows(
            [
                (
                    c.name,
                    c.state or states[c.is_enabled],
                    str(c.priority),
                    str(watched.get(c.name, {}).get("watch_folder") or "–"),
                    str(watched.get(c.name, {}).get("module_path") or "–"),
                )
                for c in converters
            ]
        )

    def _given(self) -> dict[str, Any]:
        texts = {name: line.text().strip() for name, line in self.lines.items()}
        patterns = [word for word in texts.pop("file_patterns").split() if word] or ["*.*"]
        return {**texts, "file_patterns": patterns, "post_action": self.post_action.currentText()}

    def _new_converter(self) -> QWidget:
        frame = QFrame()
        frame.setObjectName("card")
        box = QVBoxLayout(frame)
        box.setContentsMargins(16, 12, 16, 14)
        heading = QLabel(self.tr("New converter"))
        heading.setObjectName("section")
        box.addWidget(heading)
        form = QFormLayout()
        form.setHorizontalSpacing(18)
        form.setVerticalSpacing(9)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        labels = {
            "name": self.tr("&Name"), "module_path": self.tr("Mo&dule"), "watch_folder": self.tr("&Watch folder"),
            "file_patterns": self.tr("File &patterns"),
        }  # fmt: skip
        hints = {"name": "", "module_path": "pywats_reliability.converters.csv_log:CSVLog", "watch_folder": "",
                 "file_patterns": "*.csv *.txt"}  # fmt: skip
        self.lines = {name: QLineEdit() for name in labels}
        for name, line in self.lines.items():
            line.setObjectName(f"new_{name}")
            line.setPlaceholderText(hints[name])
            form.addRow(labels[name], line)
        self.post_action = QComboBox()
        self.post_action.setObjectName("new_post_action")
        self.post_action.addItems(SETTINGS["converters"].fields["post_action"].choices)
        form.addRow(self.tr("&Afterwards"), self.post_action)
        box.addLayout(form)
        self.form_error = QLabel()
        self.form_error.setObjectName("field_error")
        self.form_error.setWordWrap(True)
        self.form_error.hide()
        box.addWidget(self.form_error)
        row = QHBoxLayout()
        row.addWidget(self.action_button("add", self.tr("Add converter"), self.add, main=True))
        row.addStretch()
        box.addLayout(row)
        return frame


def _configured(answer: object, command: str) -> list[dict[str, Any]]:
    """Return the converters of a configuration, each an object with a name."""
    items = [dict(object_in(command, item)) for item in part_of(command, answer, "converters", list)]
    for item in items:
        part_of(command, item, "name", str)
    return items
