"""SerialNumberHandler: where serial numbers come from and what they look like."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QLabel, QVBoxLayout

from pywats_reliability.gui.form_page import FormPage, Section

SHOWN_DIGITS_MAX = 40


class SerialNumberHandlerPage(FormPage):
    """The serial numbers, with the first one as it would be."""

    name = "SerialNumberHandler"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("Serial numbers")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("Where the serial numbers of units come from, and what they look like.")

    def sections(self) -> tuple[Section, ...]:
        """Return the settings of the source, the form and the checks."""
        source = (
            ("sn_mode", self.tr("&Source")),
            ("sn_com_port", self.tr("Scanner &port")),
            ("sn_terminator", self.tr("Terminator")),
        )
        form = (
            ("sn_prefix", self.tr("Pre&fix")),
            ("sn_start", self.tr("Start &at")),
            ("sn_padding", self.tr("&Digits")),
            ("sn_pattern", self.tr("Patter&n")),
        )
        checks = (
            ("sn_validate_format", self.tr("Refuse a number that does not &match the pattern")),
            ("sn_check_duplicates", self.tr("&Warn of a number that was there before")),
        )
        return ((self.tr("Source"), source), (self.tr("Form"), form), (self.tr("Checks"), checks))

    def build_more(self, content: QVBoxLayout) -> None:
        """Make the line with the first number."""
        self.preview = QLabel()
        self.preview.setObjectName("sn_preview")
        content.addWidget(self.preview)

    def enable_actions(self) -> None:
        """Show also what the first number would be."""
        super().enable_actions()
        if hasattr(self, "preview"):
            first = first_number(*(self.fields[name].value() for name in ("sn_prefix", "sn_start", "sn_padding")))
            self.preview.setText(self.tr("First number: {}").format(first or "–"))


def first_number(prefix: Any, start: Any, padding: Any) -> str:
    """Return the first serial number that the settings describe; nothing while they describe none."""
    if type(start) is not int or type(padding) is not int or not 0 <= padding <= SHOWN_DIGITS_MAX:
        return ""
    return f"{prefix}{start:0{padding}d}"
