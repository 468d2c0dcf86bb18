"""Software: how the client starts and updates, which pages it shows, and a restart of the service."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

from pywats_reliability.errors import AnswerMalformedError
from pywats_reliability.gui.form_page import FormPage, Section
from pywats_reliability.gui.service_answers import part_of


class SoftwarePage(FormPage):
    """The software itself."""

    name = "Software"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("Software")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("How the client starts and updates, and which pages it shows.")

    def sections(self) -> tuple[Section, ...]:
        """Return the settings of start, update and pages."""
        start = (
            ("service_auto_start", self.tr("Start the service with the &computer")),
            ("software_auto_update", self.tr("Install &updates without asking")),
            ("auto_connect", self.tr("Connect to the server at &once")),
            ("start_minimized", self.tr("Start the configurator &minimized")),
            ("minimize_to_tray", self.tr("Minimize to the &tray")),
            ("log_level", self.tr("Log &level")),
        )
        pages = (
            ("show_converters_tab", self.tr("Con&verters")),
            ("show_sn_handler_tab", self.tr("Serial &numbers")),
            ("show_location_tab", self.tr("Loc&ation")),
            ("show_proxy_tab", self.tr("Pro&xy settings")),
            ("show_software_tab", self.tr("So&ftware")),
        )
        return ((self.tr("Start and update"), start), (self.tr("Pages shown at the next start"), pages))

    def build_more(self, content: QVBoxLayout) -> None:
        """Make the restart."""
        row = QHBoxLayout()
        row.addWidget(self.action_button("restart", self.tr("Restart the service"), self.restart))
        row.addStretch()
        content.addLayout(row)

    def restart(self) -> None:
        """Ask the service to stop and start anew; what is in flight is finished first."""
        self.act(self.tr("Asking for a restart"), self._restart)

    async def _restart(self) -> str:
        if not part_of("restart", await self.service.request("restart"), "requested", bool):
            raise AnswerMalformedError("restart", "requested to be true", "false")
        self.place.link.suspect()
        return self.tr("The restart is requested; the service finishes what is in flight first.")
