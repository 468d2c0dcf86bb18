"""Location: where the station is, and whether it may find that out by itself."""

from __future__ import annotations

from pywats_reliability.gui.form_page import FormPage, Section


class LocationPage(FormPage):
    """The station's place."""

    name = "Location"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("Location")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("Where this station is: every report carries it.")

    def sections(self) -> tuple[Section, ...]:
        """Return the settings of the place."""
        rows = (
            ("location", self.tr("&Location")),
            ("auto_detect_location", self.tr("&Detect the location when the service starts")),
            ("location_services_enabled", self.tr("&Use the system's location services")),
        )
        return ((self.tr("Place"), rows),)
