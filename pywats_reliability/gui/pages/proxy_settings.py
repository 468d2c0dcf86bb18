"""ProxySettings: the way out to the server."""

from __future__ import annotations

from pywats_reliability.gui.form_page import FormPage, Section


class ProxySettingsPage(FormPage):
    """The proxy."""

    name = "ProxySettings"

    def title(self) -> str:
        """Return the page's name for people."""
        return self.tr("Proxy settings")

    def purpose(self) -> str:
        """Return in one sentence what the page is for."""
        return self.tr("How the client reaches the server where the way out leads through a proxy.")

    def sections(self) -> tuple[Section, ...]:
        """Return the settings of the proxy."""
        proxy = (
            ("proxy_mode", self.tr("&Mode")),
            ("proxy_host", self.tr("&Host")),
            ("proxy_port", self.tr("&Port")),
            ("proxy_bypass", self.tr("&Bypass for")),
        )
        credentials = (
            ("proxy_auth", self.tr("The proxy asks &who we are")),
            ("proxy_username", self.tr("&User name")),
            ("proxy_password", self.tr("Pass&word")),
        )
        return ((self.tr("Proxy"), proxy), (self.tr("Credentials"), credentials))
