"""ApiSettings: the service's own HTTP interface, and the webhooks it calls."""

from __future__ import annotations

from pywats_reliability.gui.form_page import FormPage, Section


class ApiSettingsPage(FormPage):
    """The interface and the webhooks."""

    name = "ApiSettings"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("API settings")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("Where other programs on this network can ask the client, and whom it tells of its work.")

    def sections(self) -> tuple[Section, ...]:
        """Return the settings of the interface and of the webhooks."""
        interface = (
            ("api_enabled", self.tr("Offer the &interface")),
            ("api_host", self.tr("&Host")),
            ("api_port", self.tr("&Port")),
            ("api_base_path", self.tr("&Base path")),
            ("api_auth_type", self.tr("&Authentication")),
            ("api_cors_enabled", self.tr("Allow other &origins")),
            ("api_cors_origins", self.tr("Allowed ori&gins")),
        )
        rate = (
            ("api_rate_limit_enabled", self.tr("&Limit the rate")),
            ("api_rate_limit_requests", self.tr("Re&quests")),
            ("api_rate_limit_window", self.tr("Per &seconds")),
        )
        webhooks = (
            ("webhook_converter_url", self.tr("&Converters")),
            ("webhook_report_url", self.tr("&Reports")),
            ("webhook_service_url", self.tr("Ser&vice")),
            ("webhook_auth_header", self.tr("Hea&der")),
            ("webhook_auth_value", self.tr("Header va&lue")),
        )
        return (
            (self.tr("Interface"), interface),
            (self.tr("Rate limit"), rate),
            (self.tr("Webhooks"), webhooks),
        )
