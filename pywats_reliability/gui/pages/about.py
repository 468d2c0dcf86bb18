"""About: which versions work together here, and a diagnosis: the same checks as ``pywats-service doctor``."""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from typing import Any

from PySide6.QtCore import qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFormLayout, QFrame, QHBoxLayout, QLabel, QVBoxLayout

from pywats_reliability.errors import AnswerMalformedError
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.program import output_of
from pywats_reliability.gui.rows import Rows
from pywats_reliability.gui.service_answers import object_in, part_of

PROBLEMS_FOUND = 1


class AboutPage(Page):
    """Versions and diagnosis."""

    name = "About"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("About")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("Which versions work together here, and what stands in the way where something does.")

    def build(self, content: QVBoxLayout) -> None:
        """Make the versions and the diagnosis."""
        frame = QFrame()
        frame.setObjectName("card")
        form = QFormLayout(frame)
        form.setContentsMargins(16, 12, 16, 14)
        form.setHorizontalSpacing(18)
        self.versions: dict[str, QLabel] = {}
        for name, words, text in self._known():
            value = QLabel(text)
            value.setObjectName(f"version_{name}")
            value.setWordWrap(True)
            value.setAccessibleName(words)
            self.versions[name] = value
            form.addRow(words, value)
        content.addWidget(frame)
        self.findings = Rows("findings", [self.tr("Check"), self.tr("Found")], rows_shown=6)
        content.addWidget(self.findings)
        row = QHBoxLayout()
        row.addWidget(self.action_button("diagnose", self.tr("&Diagnose"), self.diagnose, main=True))
        row.addWidget(self.action_button("copy", self.tr("&Copy"), self.copy))
        row.addWidget(self.action_button("refresh", self.tr("&Refresh"), self.reload))
        row.addStretch()
        content.addLayout(row)

    async def load(self) -> str:
        """Show the version of the service that runs."""
        is_alive = part_of("ping", await self.service.request("ping"), "pong", bool)
        hello = self.service.hello
        if hello is None or not is_alive:
            raise AnswerMalformedError("ping", "a sign of life after a hello", "none")
        self.versions["service"].setText(f"{hello.server_version} ({hello.instance_id})")
        self.versions["protocol"].setText(hello.protocol_version)
        return ""

    def diagnose(self) -> None:
        """Run every check of ``pywats-service doctor``."""
        self.act(self.tr("Diagnosing"), self._diagnose, limit_s=self.place.limits.program_s)

    def copy(self) -> None:
        """Put versions and findings on the clipboard."""
        versions = [f"{label.accessibleName()}: {label.text()}" for label in self.versions.values()]
        rows = range(self.findings.rowCount())
        found = [" ".join(self._cell(row, column) for column in (0, 1)) for row in rows]
        QGuiApplication.clipboard().setText("\n".join(versions + found))
        self.banner.show_success(self.tr("Copied to the clipboard."))

    async def _diagnose(self) -> str:
        words = (
            sys.executable,
            "-m",
            "pywats_reliability",
            "doctor",
            "--json",
            "--config",
            str(self.place.config_path),
        )
        where = ("--data", str(self.place.data))
        printed = await output_of(self, "doctor", (*words, *where), exit_codes=(0, PROBLEMS_FOUND))
        findings = _findings(printed)
        self.findings.show_rows([(item["check"], self._words(item)) for item in findings])
        problems = sum(not item["is_ok"] for item in findings)
        return self.tr("{} checks made, {} problems found.").format(len(findings), problems)

    def _words(self, item: dict[str, Any]) -> str:
        if item["is_ok"]:
            return str(item["found"])
        to_do = f"; {item['to_do']}" if item["to_do"] else ""
        expected = self.tr("expected {}, found ").format(item["expected"]) if item["expected"] else ""
        return self.tr("PROBLEM: {}{}{}").format(expected, item["found"], to_do)

    def _cell(self, row: int, column: int) -> str:
        item = self.findings.item(row, column)
        return item.text() if item is not None else ""

    def _known(self) -> tuple[tuple[str, str, str], ...]:
        return (
            ("configurator", self.tr("Configurator"), metadata.version("pywats-reliability")),
            ("service", self.tr("Service"), "–"),
            ("protocol", self.tr("Protocol"), "–"),
            ("python", self.tr("Python"), platform.python_version()),
            ("qt", self.tr("Qt"), qVersion() or "–"),
            ("configuration", self.tr("Configuration"), str(self.place.config_path)),
        )


def _findings(printed: str) -> list[dict[str, Any]]:
    """Return what the doctor printed. Raises ``AnswerMalformedError`` for anything that is no list of findings."""
    try:
        answer = json.loads(printed)
    except ValueError as error:
        raise AnswerMalformedError("doctor", "JSON", "something else") from error
    if not isinstance(answer, list) or not answer:
        raise AnswerMalformedError("doctor", "a list of findings", "none")
    for item in answer:
        part_of("doctor", item, "is_ok", bool)
        for name in ("check", "found", "expected", "to_do"):
            part_of("doctor", item, name, str)
    return [dict(object_in("doctor", item)) for item in answer]
